"""Do a token's claims say what they must (RFC 7519 §4.1, RFC 9068 §4)?

One table, one loop: each rule looks at one claim and names the reason for which it refuses. `iss`
is not among them: the validator compares it before it looks for a key.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import InvalidTokenError, Reason

_ABSENT: Any = object()
_RFC_9068_REQUIRED = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the rules compare with. `leeway` and `max_age` are seconds."""

    audience: str
    leeway: float
    max_age: float | None
    strict: bool


def check(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    """Refuse claims that break a rule. `now`: seconds since the epoch.

    Raises InvalidTokenError with the reason of the first rule that is broken.
    """
    for name, rule in _RULES:
        reason = rule(claims.get(name, _ABSENT), expected, now)
        if reason is not None:
            raise InvalidTokenError(reason)
    if expected.strict:
        _check_rfc_9068(claims)


def _check_rfc_9068(claims: Mapping[str, Any]) -> None:
    """RFC 9068 §2.2: more claims are required, and those that no rule above reads are strings."""
    if not all(name in claims for name in _RFC_9068_REQUIRED):
        raise InvalidTokenError(Reason.MISSING_CLAIM)
    if not all(isinstance(claims[name], str) for name in ("client_id", "jti")):
        raise InvalidTokenError(Reason.CLAIM_TYPE)


def names(value: Any) -> frozenset[str]:
    """Read a claim of several names: a list of strings, or one string with spaces between them."""
    return frozenset(value.split(" ") if isinstance(value, str) else value) - {""}


def is_numeric_date(value: Any) -> bool:
    """Say whether a claim is a NumericDate (RFC 7519 §2) that can be counted with."""
    # bool is an int to Python; the bounds refuse NaN, infinities, and integers no double can hold.
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def _audience(aud: Any, expected: Expected, _now: float) -> Reason | None:
    # Equality, never `in` on the claim itself: that would take a substring for the audience.
    if isinstance(aud, list):
        return None if _are_strings(aud) and expected.audience in aud else Reason.AUDIENCE
    return None if aud == expected.audience else Reason.AUDIENCE


def _expiry(exp: Any, expected: Expected, now: float) -> Reason | None:
    if not is_numeric_date(exp):
        return Reason.EXPIRY
    return Reason.EXPIRED if now >= exp + expected.leeway else None


def _not_before(nbf: Any, expected: Expected, now: float) -> Reason | None:
    if nbf is _ABSENT:
        return None
    if not is_numeric_date(nbf):
        return Reason.CLAIM_TYPE
    return Reason.NOT_YET_VALID if nbf > now + expected.leeway else None


def _issued_at(iat: Any, expected: Expected, now: float) -> Reason | None:
    if iat is _ABSENT:
        return None if expected.max_age is None else Reason.MISSING_CLAIM
    if not is_numeric_date(iat):
        return Reason.CLAIM_TYPE
    if iat > now + expected.leeway:
        return Reason.ISSUED_AT
    if expected.max_age is not None and now >= iat + expected.max_age + expected.leeway:
        return Reason.TOO_OLD
    return None


def _string(value: Any, _expected: Expected, _now: float) -> Reason | None:
    return None if value is _ABSENT or isinstance(value, str) else Reason.CLAIM_TYPE


def _strings(value: Any, _expected: Expected, _now: float) -> Reason | None:
    return None if value is _ABSENT or _are_strings(value) else Reason.CLAIM_TYPE


def _string_or_strings(value: Any, expected: Expected, now: float) -> Reason | None:
    return None if isinstance(value, str) else _strings(value, expected, now)


def _unbound(cnf: Any, _expected: Expected, _now: float) -> Reason | None:
    # RFC 9449 §7.1, RFC 8705 §3: a bound token proves nothing by itself.
    return None if cnf is _ABSENT else Reason.BOUND


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_Rule = Callable[[Any, Expected, float], Reason | None]
_RULES: tuple[tuple[str, _Rule], ...] = (
    ("aud", _audience),
    ("exp", _expiry),
    ("nbf", _not_before),
    ("iat", _issued_at),
    ("sub", _string),
    ("scope", _string_or_strings),
    ("scp", _string_or_strings),
    ("permissions", _strings),
    ("cnf", _unbound),
)
