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
    | {"EdDSA", "Ed25519"}
)
"""The `alg` values that a validator can be told to accept: asymmetric ones, by exact name."""

# Base64url without padding, and canonical: RFC 4648 §3.5 wants the unused bits of a last group
# to be zero, else one signature could be written in several ways.
_BASE64URL = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT = re.compile(rf"({_BASE64URL})\.({_BASE64URL})\.({_BASE64URL})")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ACCESS_TOKEN_TYPES = _TYPES - {"jwt"}


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


def check_header(header: dict[str, Any], algorithms: frozenset[str], *, strict: bool) -> None:
    """Refuse, from the header alone, what no key could make good (RFC 8725 §3.1, §3.11).

    `jwk`, `jku`, `x5u` and `x5c` are not looked at, here or anywhere. `strict` asks for the `typ`
    of RFC 9068 §2.1. Raises InvalidTokenError.
    """
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise InvalidTokenError(Reason.ALGORITHM)
    # RFC 7515 §4.1.11: we understand no extension, so whatever is critical is refused; `b64`
    # (RFC 7797) changes what is signed, so it is refused even where nobody said it is critical.
    if "crit" in header or "b64" in header:
        raise InvalidTokenError(Reason.CRITICAL)
    if not isinstance(header.get("kid", ""), str):
        raise InvalidTokenError(Reason.HEADER)
    if strict or "typ" in header:
        accepted = _ACCESS_TOKEN_TYPES if strict else _TYPES
        typ = header.get("typ")
        if not isinstance(typ, str) or typ.lower() not in accepted:
            raise InvalidTokenError(Reason.TYPE)


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
