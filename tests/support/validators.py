"""What does a validator know, and why does it refuse?"""

import pytest

from hello.auth import InvalidTokenError, Reason, TokenValidator, UnavailableError
from hello.auth.jwks import FetchedKeys


def signing_keys(validator: TokenValidator) -> FetchedKeys:
    """The fetched keys of a validator's only issuer."""
    [known] = validator.issuers.listed
    assert isinstance(known.keys, FetchedKeys)
    return known.keys


async def refused(validator: TokenValidator, token: str, host: str = "") -> Reason:
    with pytest.raises((InvalidTokenError, UnavailableError)) as refusal:
        await validator.validate(token, host=host)
    return refusal.value.reason
