"""Which advice fits a token that is refused because of a time in it?

RFC 7519 §2: a time is a number of seconds since 1970. Issuers write other things, too.
"""

from typing import Any

from .case import Case, Choice, in_words, kind

# The least number that is in a unit, its name, and how many of it are a second.
_UNITS = ((1e17, "nanoseconds", 1e9), (1e14, "microseconds", 1e6), (1e11, "milliseconds", 1e3))
_FIRST_TIME = 315_532_800  # 1980: there were no tokens, so a smaller number is a duration


def expired(case: Case) -> Choice:
    """Return the advice about an `exp` that is past."""
    exp = case.claims["exp"]
    if exp < _FIRST_TIME:
        return "never" if exp <= 0 else "duration"
    return "ago", {"ago": in_words(case.now - exp)}


def expiry(case: Case) -> Choice:
    """Return the advice about an `exp` that is no time."""
    exp: Any = case.claims.get("exp")
    if exp is None:
        return "null" if "exp" in case.claims else "absent"
    if isinstance(exp, str):
        return "text"
    return "wrong", {"found": _found(exp)}


def too_old(case: Case) -> Choice:
    """Return the advice about an `iat` that is longer ago than `max_age`."""
    iat = case.claims["iat"]
    max_age = f"{case.max_age or 0:g}"
    if iat < _FIRST_TIME:
        return "duration", {"max_age": max_age}
    return "ago", {"ago": in_words(case.now - iat), "max_age": max_age}


def unit_of(time: float) -> str:
    """Return the unit that a time is in, if it is not in seconds."""
    return next((unit for least, unit, _ in _UNITS if time >= least), "")


def in_seconds(time: float) -> float:
    """Return a time in seconds, whatever unit it seems to be in."""
    return next((time / per for least, _, per in _UNITS if time >= least), time)


def ahead(name: str, case: Case) -> Choice:
    """Return the advice about a time in the future."""
    time: Any = case.claims[name]
    if unit := unit_of(time):
        return "unit", {"unit": unit}
    return "ahead", {"ahead": in_words(time - case.now)}


def claim_type(case: Case) -> Choice:
    """Return the advice about a claim of a wrong type."""
    value: Any = case.claims.get(case.rule)
    if value is None:
        return "null", {"claim": case.rule}
    if case.rule in ("nbf", "iat"):
        return "time", {"claim": case.rule, "found": _found(value)}
    wants = case.wants.removeprefix("absent, ").removeprefix("or ")
    return "wrong", {"claim": case.rule, "found": kind(value), "wants": wants}


def _found(value: Any) -> str:
    return (
        "a number that is too large"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else kind(value)
    )
