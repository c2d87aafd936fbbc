"""What is to be done about a valid token that does not meet the requirement of a route?"""

from collections.abc import Sequence
from typing import Any

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import Reason
from hello.tokens.jwt.rules import ABSENT
from hello.tokens.requirements.checking import meets
from hello.tokens.requirements.requirement import Requirement
from hello.tokens.timing import is_numeric_date

from .sentences import Advice, sentence

_TOLERATED_SECONDS = 60  # nobody logs in for a token later than this after it was issued


def missing(reason: Reason, required: Requirement, token: AccessToken) -> Advice:
    """Return what to do about a valid token that does not meet a route's requirement.

    The reason may not fit the requirement, because a check may raise a refusal with any reason.
    """
    permissions = sorted(set(required.permissions) - token.permissions)
    if reason is Reason.PERMISSIONS and permissions:
        if "permissions" not in token.claims:
            return sentence("permissions.no_claim")
        return sentence("permissions.lacking", lacking=" and ".join(permissions))
    any_scope = tuple(required.any_scope or ())
    unmet = any_scope and token.scopes.isdisjoint(any_scope)
    if reason is Reason.SCOPE and (unmet or not token.scopes.issuperset(required.scopes)):
        scopes = sorted(set(required.scopes) - token.scopes)
        scopes += [f"{'one of ' * (len(any_scope) > 1)}{', '.join(any_scope)}"] if unmet else []
        variant = "lacking" if {"scope", "scp"} & {*token.claims} else "no_claim"
        return sentence(f"scope.{variant}", lacking=" and ".join(scopes))
    if reason is Reason.AUTHENTICATION:
        return _authentication(required, token)
    broken = [
        name
        for name, expected in sorted(required.claims.items())
        if not meets(name, token.claims.get(name, ABSENT), expected)
    ]
    if reason is Reason.CLAIM and broken:
        return _claim(required, token, broken)
    return sentence("check.refused", check=required.check_name)


def _authentication(required: Requirement, token: AccessToken) -> Advice:
    auth_time: Any = token.claims.get("auth_time")
    needed = {"acr": required.acr_values, "auth_time": required.max_auth_age is not None}
    absent = [name for name, need in needed.items() if need and token.claims.get(name) is None]
    if absent:
        return sentence("authentication.no_claim", claims=" and ".join(absent))
    weak = required.acr_values and token.claims["acr"] not in required.acr_values
    if not weak and required.max_auth_age is not None:
        issued: float = token.claims.get("iat", token.expires_at)
        if not is_numeric_date(auth_time) or auth_time > issued + _TOLERATED_SECONDS:
            return sentence("authentication.no_time")
        return sentence("authentication.login", required=f"max_age={required.max_auth_age}")
    values = " ".join(required.acr_values or ())
    return sentence("authentication.login", required=f'acr_values="{values}"')


def _claim(required: Requirement, token: AccessToken, broken: Sequence[str]) -> Advice:
    wanted = ", ".join(f"{name}={required.claims[name]!r}" for name in broken)
    absent = [name for name in broken if name not in token.claims]
    if not absent:
        return sentence("claim.other", required=wanted)
    # OpenID Connect Core 1.0 §5.6.2: Entra ID writes this for more groups than a token has room.
    distributed = token.claims.get("_claim_names", {})
    if any(name in distributed for name in absent if isinstance(distributed, dict)):
        return sentence("claim.elsewhere", claims=" and ".join(absent))
    return sentence("claim.absent", required=wanted, claims=" and ".join(absent))
