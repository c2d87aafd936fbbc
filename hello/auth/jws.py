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

_COMPACT = re.compile(r"([A-Za-z0-9_-]*+)\.([A-Za-z0-9_-]*+)\.([A-Za-z0-9_-]*+)")
# Canonical base64url without padding: RFC 4648 §3.5 wants the unused bits of a last group to be
# zero, else one signature could be written in several ways. By the segment's length modulo four,
# which characters can be its last.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (frozenset(_ALPHABET), frozenset[str](), frozenset("AQgw"), frozenset("AEIMQUYcgkosw048"))


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
        signature = _decode(match[3])
    except ValueError:
        raise InvalidTokenError(Reason.MALFORMED) from None
    return Token(header, claims, token[: match.end(2)].encode("ascii"), signature)


def _decode(segment: str) -> bytes:
    remainder = len(segment) % 4
    if segment and segment[-1] not in _LAST[remainder]:
        raise ValueError("no canonical base64url")
    return base64.urlsafe_b64decode(segment + "=" * (-remainder % 4))
