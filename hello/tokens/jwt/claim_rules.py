"""What must the claims of a token be like (RFC 7519 §4.1, RFC 9068 §4)?

Each rule checks one claim. There is no rule for `iss`, because the validator has to compare it
before it looks for a key.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from hello.tokens.bounded import check_names
from hello.tokens.errors import Reason
from hello.tokens.timing import check_seconds, is_numeric_date

from .rules import ABSENT, Rule

RFC_9068_REQUIRED = frozenset({"iss", "exp", "aud", "sub", "client_id", "iat", "jti"})
"""The claims that RFC 9068 §2.2 requires."""

_REFUSED_TIMES = {Reason.EXPIRED: "exp", Reason.NOT_YET_VALID: "nbf", Reason.ISSUED_AT: "iat"}
_FAR = 1e9  # seconds, which are 30 years

_RFC_9068_STRINGS = ("client_id", "jti", "scope")  # §2.2, and §2.2.3 for the last


class Expected(NamedTuple):
    """What claims are compared with.

    The token must name one of the strings in `audience`. `leeway` and `max_age` are in seconds, and
    `now` is in seconds since the epoch. `token_type` is what an issuer's answer may say
    besides Bearer.
    """

    audience: frozenset[str]
    leeway: float
    max_age: float | None
    now: float
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme


def claim_rules(
    *, required: Collection[str], strict: bool, max_age: float | None
) -> tuple[Rule[Expected], ...]:
    """Return the rules for every token.

    `required` claims must be present and not null. `strict` adds the claims that RFC 9068 §2.2
    requires, and their types. `max_age` makes `iat` a required claim. Raises ValueError.
    """
    if max_age is not None:
        check_seconds("max_age", max_age)
    check_names("required_claims", required)
    present = {*required, *(RFC_9068_REQUIRED if strict else ())}
    return (
        *(
            rule if rule.name != "iat" else rule._replace(optional=max_age is None)
            for rule in _RULES
        ),
        *(Rule(name, _string, "a string") for name in (_RFC_9068_STRINGS if strict else ())),
        *(Rule(name, _present, "there, and not null", optional=False) for name in sorted(present)),
    )


def audience_rules(claim: str) -> tuple[Rule[Expected], ...]:
    """Return the rules for the claim that names the API. For most issuers, that is `aud`.

    With another claim, such as the client's identifier, an ID token for the same client could pass.
    So there are rules against what marks an ID token (OpenID Connect Core 1.0 §2 and §3.3.2.11,
    FAPI for `s_hash`, and what Cognito and Keycloak write).
    """
    wants = "the audience, or a list of strings with it"
    rules = [Rule(claim, _audience, wants, optional=False)]
    if claim != "aud":
        rules += [
            Rule("aud", _no_id_token, "absent, or another name than the client's"),
            Rule("at_hash", _other_use, "absent: only ID tokens have it"),
            Rule("c_hash", _other_use, "absent: only ID tokens have it"),
            Rule("s_hash", _other_use, "absent: only ID tokens have it"),
            *_FOR_ACCESS,
        ]
    return tuple(rules)


def answer_rules(*, token_type: bool) -> tuple[Rule[Expected], ...]:
    """Return the rules for an issuer's answer about a token (RFC 7662 §2.2).

    Some issuers answer that a refresh token is active, too. `token_type` makes that a required
    member.
    """
    wants = "Bearer" if token_type else "absent, or Bearer"
    return (*_FOR_ACCESS, Rule("token_type", _token_type, wants, optional=not token_type))


def validity(claims: Mapping[str, Any], expected: Expected) -> tuple[float, float]:
    """Return from when until when claims that passed stay valid, in seconds since the epoch.

    The end is never later than `exp` itself: in the leeway after it, all rules are checked again.
    """
    since = max(claims.get("nbf", -math.inf), claims.get("iat", -math.inf)) - expected.leeway
    until = claims["exp"]
    if expected.max_age is not None:
        until = min(until, claims["iat"] + expected.max_age + expected.leeway)
    return since, until


def time_difference(reason: Reason, claims: Mapping[str, Any], now: float) -> str | None:
    """Return how far a refused time is from now, for the log, or None if no time was refused.

    It shows by how much a clock is wrong: `iat=+3600s` is an hour ahead of this machine.
    """
    name = _REFUSED_TIMES.get(reason)
    if name is None:
        return None
    return f"{name}={max(-_FAR, min(_FAR, claims[name] - now)):+.0f}s"


def names_in(value: Any) -> frozenset[str]:
    """Return the names in a claim, which is a list of strings or a string with spaces."""
    found = frozenset(value.split(" ") if isinstance(value, str) else value)
    return found - {""} if "" in found else found


def _present(value: Any, _expected: Expected) -> Reason | None:
    return Reason.MISSING_CLAIM if value is ABSENT or value is None else None


def _audience(aud: Any, expected: Expected) -> Reason | None:
    # Compare whole strings. `audience in aud` would accept a part of a string.
    named = [aud] if isinstance(aud, str) else aud
    meant = _are_strings(named) and not expected.audience.isdisjoint(named)
    return None if meant else Reason.AUDIENCE


def _no_id_token(aud: Any, expected: Expected) -> Reason | None:
    # The `aud` of an ID token is the client's identifier, which is the audience here.
    named = aud if isinstance(aud, list) else [aud]
    own = any(isinstance(name, str) and name in expected.audience for name in named)
    return Reason.TYPE if own else None


def _other_use(_value: Any, _expected: Expected) -> Reason | None:
    return Reason.TYPE


def _access(value: Any, _expected: Expected) -> Reason | None:
    return None if value in _ACCESS else Reason.TYPE


def _token_type(value: Any, expected: Expected) -> Reason | None:
    known = isinstance(value, str) and value.lower() in ("bearer", expected.token_type.lower())
    return None if known else Reason.TYPE


def _expiry(exp: Any, expected: Expected) -> Reason | None:
    if not is_numeric_date(exp):
        return Reason.EXPIRY
    return Reason.EXPIRED if expected.now >= exp + expected.leeway else None


def _not_before(nbf: Any, expected: Expected) -> Reason | None:
    if not is_numeric_date(nbf):
        return Reason.CLAIM_TYPE
    return Reason.NOT_YET_VALID if nbf > expected.now + expected.leeway else None


def _issued_at(iat: Any, expected: Expected) -> Reason | None:
    if iat is ABSENT:
        return Reason.MISSING_CLAIM
    if not is_numeric_date(iat):
        return Reason.CLAIM_TYPE
    if iat > expected.now + expected.leeway:
        return Reason.ISSUED_AT
    if expected.max_age is not None and expected.now >= iat + expected.max_age + expected.leeway:
        return Reason.TOO_OLD
    return None


def _string(value: Any, _expected: Expected) -> Reason | None:
    return None if isinstance(value, str) else Reason.CLAIM_TYPE


def _strings(value: Any, _expected: Expected) -> Reason | None:
    return None if _are_strings(value) else Reason.CLAIM_TYPE


def _names(value: Any, _expected: Expected) -> Reason | None:
    return None if isinstance(value, str) or _are_strings(value) else Reason.CLAIM_TYPE


def _confirmation(cnf: Any, _expected: Expected) -> Reason | None:
    # RFC 7800 §3.1. Whether the sender has the key is checked with each request.
    return None if isinstance(cnf, dict) and cnf else Reason.BOUND


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# What says that a token is an access token: Cognito and Ory Hydra write it as `token_use`, Keycloak
# as the claim `typ`.
_ACCESS = ("access", "access_token", "Bearer", "JWT", "at+jwt")
_FOR_ACCESS = (
    Rule("token_use", _access, "absent, or access"),
    Rule("typ", _access, "absent, or Bearer"),
)
_RULES = (
    Rule("exp", _expiry, "a time that is not past", optional=False),
    Rule("nbf", _not_before, "absent, or a time that is not in the future"),
    Rule("iat", _issued_at, "absent, or a time that is not in the future"),
    Rule("sub", _string, "absent, or a string"),
    Rule("scope", _names, "absent, a string, or a list of strings"),
    Rule("scp", _names, "absent, a string, or a list of strings"),
    Rule("permissions", _strings, "absent, or a list of strings"),
    Rule("cnf", _confirmation, "absent, or an object with the key that the token is bound to"),
)
