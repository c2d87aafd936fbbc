"""Do a token's claims say what they must (RFC 7519 §4.1, RFC 9068 §4)?

One table, one loop: each rule looks at one claim and names the reason for which it refuses. `iss`
is not among them: the validator compares it before it looks for a key.
"""

import math
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from .errors import InvalidTokenError, Reason

ABSENT: Any = object()
"""What stands for a claim that is not there: not null, which may be there."""

_RFC_9068_REQUIRED = frozenset({"iss", "exp", "aud", "sub", "client_id", "iat", "jti"})
_RFC_9068_STRINGS = ("client_id", "jti", "scope")  # §2.2, and §2.2.3 for the last


class Expected(NamedTuple):
    """What the rules compare with. `audience`: one of these. `leeway`, `max_age`: seconds."""

    audience: frozenset[str]
    leeway: float
    max_age: float | None
    rules: "tuple[Rule, ...]"


def check(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    """Refuse claims that break a rule. `now`: seconds since the epoch.

    Raises InvalidTokenError with the reason of the first rule that is broken.
    """
    for name, broken, _, optional in expected.rules:
        value = claims.get(name, ABSENT)
        if value is ABSENT and optional:
            continue
        reason = broken(value, expected, now)
        if reason is not None:
            raise InvalidTokenError(reason)


def validity(claims: Mapping[str, Any], expected: Expected) -> tuple[float, float]:
    """Return since and until when claims that were checked stay good, in seconds since the epoch.

    `until` is `exp` itself at most: in the leeway after it, everything is checked again.
    """
    since = max(claims.get("nbf", -math.inf), claims.get("iat", -math.inf)) - expected.leeway
    until = claims["exp"]
    if expected.max_age is not None:
        until = min(until, claims["iat"] + expected.max_age + expected.leeway)
    return since, until


def rules(*, required: Collection[str], strict: bool, max_age: float | None) -> "tuple[Rule, ...]":
    """Return the rules for every token, with those for `required` claims.

    `strict`: RFC 9068 §2.2 requires more, and says what those are that no other rule reads.
    `max_age` counts from `iat`, which then has to be there.
    """
    present = {*required, *(_RFC_9068_REQUIRED if strict else ())}
    return (
        *(
            rule if rule.name != "iat" else rule._replace(optional=max_age is None)
            for rule in _RULES
        ),
        *(Rule(name, _string, "a string") for name in (_RFC_9068_STRINGS if strict else ())),
        *(Rule(name, _present, "there, and not null", optional=False) for name in sorted(present)),
    )


def names(value: Any) -> frozenset[str]:
    """Read a claim of several names: a list of strings, or one string with spaces between them."""
    found = frozenset(value.split(" ") if isinstance(value, str) else value)
    return found - {""} if "" in found else found


def is_numeric_date(value: Any) -> bool:
    """Say whether a claim is a NumericDate (RFC 7519 §2) that can be counted with."""
    # bool is an int to Python; the bounds refuse NaN, infinities, and integers no double can hold.
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max


def _present(value: Any, _expected: Expected, _now: float) -> Reason | None:
    return Reason.MISSING_CLAIM if value is ABSENT or value is None else None


def _audience(aud: Any, expected: Expected, _now: float) -> Reason | None:
    # Equality, never `in` on the claim itself: that would take a substring for the audience.
    if isinstance(aud, list):
        meant = _are_strings(aud) and not expected.audience.isdisjoint(aud)
    else:
        meant = isinstance(aud, str) and aud in expected.audience
    return None if meant else Reason.AUDIENCE


def _expiry(exp: Any, expected: Expected, now: float) -> Reason | None:
    if not is_numeric_date(exp):
        return Reason.EXPIRY
    return Reason.EXPIRED if now >= exp + expected.leeway else None


def _not_before(nbf: Any, expected: Expected, now: float) -> Reason | None:
    if not is_numeric_date(nbf):
        return Reason.CLAIM_TYPE
    return Reason.NOT_YET_VALID if nbf > now + expected.leeway else None


def _issued_at(iat: Any, expected: Expected, now: float) -> Reason | None:
    if iat is ABSENT:
        return Reason.MISSING_CLAIM
    if not is_numeric_date(iat):
        return Reason.CLAIM_TYPE
    if iat > now + expected.leeway:
        return Reason.ISSUED_AT
    if expected.max_age is not None and now >= iat + expected.max_age + expected.leeway:
        return Reason.TOO_OLD
    return None


def _string(value: Any, _expected: Expected, _now: float) -> Reason | None:
    return None if isinstance(value, str) else Reason.CLAIM_TYPE


def _strings(value: Any, _expected: Expected, _now: float) -> Reason | None:
    return None if _are_strings(value) else Reason.CLAIM_TYPE


def _string_or_strings(value: Any, expected: Expected, now: float) -> Reason | None:
    return None if isinstance(value, str) else _strings(value, expected, now)


def _unbound(_cnf: Any, _expected: Expected, _now: float) -> Reason | None:
    # RFC 9449 §7.1, RFC 8705 §3: a bound token proves nothing by itself.
    return Reason.BOUND


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


class Rule(NamedTuple):
    """What one claim must be like.

    `broken` returns the reason to refuse its value, or None; `wants` says in words what is
    accepted. An `optional` claim is looked at only where it is there.
    """

    name: str
    broken: Callable[[Any, Expected, float], Reason | None]
    wants: str
    optional: bool = True


_RULES = (
    Rule("aud", _audience, "the audience, or a list of strings with it", optional=False),
    Rule("exp", _expiry, "a time that is not past", optional=False),
    Rule("nbf", _not_before, "absent, or a time that is not in the future"),
    Rule("iat", _issued_at, "absent, or a time that is not in the future"),
    Rule("sub", _string, "absent, or a string"),
    Rule("scope", _string_or_strings, "absent, a string, or a list of strings"),
    Rule("scp", _string_or_strings, "absent, a string, or a list of strings"),
    Rule("permissions", _strings, "absent, or a list of strings"),
    Rule("cnf", _unbound, "absent: a bound token proves nothing by itself"),
)
