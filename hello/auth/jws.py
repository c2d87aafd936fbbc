"""Is this text a signed token, and what does it say before anybody has verified it?

The compact serialization of RFC 7515 §7.1, read once and strictly. Nothing here trusts the token:
what comes out is a claim until the validator has checked the signature.
"""

import base64
import re
from typing import Any, NamedTuple

from .errors import InvalidTokenError, Reason
from .strict_json import load_object

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
    | {"ES256K", "EdDSA", "Ed25519"}
)
"""The `alg` values that a validator can be told to accept: asymmetric ones, by exact name."""

HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The symmetric ones, which want a secret, and as many bytes of it (RFC 7518 §3.2)."""

# Base64url without padding, and canonical: RFC 4648 §3.5 wants the unused bits of a last group
# to be zero, else one signature could be written in several ways.
_BASE64URL = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT = re.compile(rf"({_BASE64URL})\.({_BASE64URL})\.({_BASE64URL})")


class Token(NamedTuple):
    """A token's parts, none of them verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


def parse(token: str) -> Token:
    """Take a compact JWS apart. Raises InvalidTokenError where it is not exactly one."""
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise InvalidTokenError(Reason.MALFORMED)
    try:
        header = load_object(_decode(match[1]))
        claims = load_object(_decode(match[2]))
    except ValueError:
        raise InvalidTokenError(Reason.MALFORMED) from None
    return Token(header, claims, token[: match.end(2)].encode("ascii"), _decode(match[3]))


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
