"""What does a token that nobody signed leave behind?"""

import gc
import tracemalloc

import pytest

from hello.auth import InvalidTokenError, TokenValidator
from hello.sandbox.issuer import base64url
from support.validators import presented

MIB = 1 << 20


@pytest.mark.parametrize("size", [6_000, 100_000])
async def test_unsigned_tokens_leave_next_to_nothing(validator: TokenValidator, size: int) -> None:
    """Anybody can send them, so what they say is not kept: not in any number, not of any length."""
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(100):
            members = b",".join([b'{"":0}'] * (size // 7))
            header = b'{"alg":"RS256","x":[%d,%b]}' % (number, members)
            with pytest.raises(InvalidTokenError):
                await validator.validate(presented(f"{base64url(header)}.{base64url(b'{}')}."))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < MIB
