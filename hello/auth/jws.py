"""Is this text a signed token, and what does it say before anybody has verified it?

The compact serialization of RFC 7515 §7.1, read once and strictly. Nothing here trusts the token:
what comes out is a claim until the validator has checked the signature.
"""

import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .errors import InvalidTokenError, Reason
from .strict_json import load_object

# From base64url (RFC 4648 §5) to what binascii reads, strictly. What only the latter has becomes
# what neither has.
_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# Canonical, without padding: RFC 4648 §3.5 wants the unused bits of a last group to be zero, else
# one signature could be written in several ways. By a segment's length modulo four: what it may end
# with, and the padding that is missing.
_ENDINGS = (
    (bytes(range(256)), b""),
    (b"", b""),
    (b"AQgw", b"=="),
    (b"AEIMQUYcgkosw048", b"="),
)


_KEPT_HEADER = 512  # characters: an issuer's has some hundred


class Token(NamedTuple):
    """A token's parts, none of them verified, and not to be changed."""

    header: Mapping[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


def parse(token: str) -> Token:
    """Take a compact JWS apart. Raises InvalidTokenError where it is not exactly one."""
    try:
        text = token.encode("ascii")
        header, claims, signature = text.translate(_BASE64).split(b".")
        return Token(
            _load_header(header) if len(header) <= _KEPT_HEADER else load_object(_decode(header)),
            load_object(_decode(claims)),
            text[: text.rindex(b".")],
            _decode(signature),
        )
    except ValueError:
        raise InvalidTokenError(Reason.MALFORMED) from None


# All that is kept of headers is less than a megabyte, whatever anybody sends.
@lru_cache(maxsize=64)
def _load_header(segment: bytes) -> Mapping[str, Any]:
    # All tokens that a key has signed begin with the same one.
    return load_object(_decode(segment))


def _decode(segment: bytes) -> bytes:
    last, padding = _ENDINGS[len(segment) % 4]
    if segment and segment[-1] not in last:
        raise ValueError("no canonical base64url")
    return binascii.a2b_base64(segment + padding, strict_mode=True)
