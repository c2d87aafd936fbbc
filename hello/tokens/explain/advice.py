"""Which advice fits a refusal?

The texts are in advice.toml, each under its id. The id is chosen here.
"""

import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import Reason
from hello.tokens.requirements import Requirement

_SENTENCES: Mapping[str, Any] = tomllib.loads(
    Path(__file__).with_name("advice.toml").read_text("utf-8")
)
_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
_JWE_PARTS = 5
ANY_TRUSTED = "an issuer that the resolver knows"
_ENTRA_1, _ENTRA_2 = "https://sts.windows.net/", "https://login.microsoftonline.com/"


class Advice(NamedTuple):
    """What to do. The `id` is stable. The `text` is for a person, and its words may change."""

    id: str
    text: str


class Case(NamedTuple):
    """What is known about a refused token, and what it was compared with.

    `stray` says that it contains a character that no token can contain.
    """

    parts: int
    stray: bool
    now: float
    strict: bool
    leeway: float
    trusted: tuple[str, ...]
    audience: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()
    kids: str = ""
    header: Mapping[str, Any] = {}
    claims: Mapping[str, Any] = {}


_Choice = str | tuple[str, dict[str, str]]  # an id within the reason's table, and values for it


def sentence(name: str, **values: str) -> Advice:
    """Return the advice with an id, with values in place of the names in its braces."""
    found: Any = _SENTENCES
    for key in name.split("."):
        found = found[key]
    return Advice(name, found.strip().format(**values))


def advice(reason: Reason, case: Case) -> Advice:
    """Return what to do about a token that was refused for a reason."""
    choice = _CHOICES[reason](case) if reason in _CHOICES else ""
    within, values = choice if isinstance(choice, tuple) else (choice, {})
    return sentence(
        f"{reason}.{within}" if within else reason.value,
        wanted=" or ".join(case.audience) or "the API's identifier",
        accepted=" or ".join(case.algorithms),
        trusted=" or ".join(case.trusted) or ANY_TRUSTED,
        kids=case.kids or "none",
        leeway=f"{case.leeway:g}",
        now=f"{datetime.fromtimestamp(case.now, UTC):%Y-%m-%d %H:%M:%S} UTC",
        **values,
    )


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
        scopes = sorted({*required.scopes, *any_scope[:1]})
        return sentence("scope.lacking", lacking=" and ".join(scopes))
    if reason is Reason.AUTHENTICATION:
        return sentence("authentication.login")
    if reason is Reason.CLAIM and required.claims:
        return sentence("claim.required", required=str(required))
    return sentence("check.refused", check=required.check_name)


def _malformed(case: Case) -> _Choice:
    if case.stray:
        return "stray"
    return {_JWE_PARTS: "encrypted", 1: "opaque"}.get(case.parts, "damaged")


def _type(case: Case) -> _Choice:
    typ = case.header.get("typ")
    plain = isinstance(typ, str | None) and (typ or "jwt").lower() == "jwt"
    return "strict" if case.strict and plain else "other"


def _algorithm(case: Case) -> _Choice:
    alg = case.header.get("alg")
    if not (isinstance(alg, str) and alg.startswith("HS")):
        return "other"
    return "other_secret" if any(name.startswith("HS") for name in case.algorithms) else "secret"


def _issuer(case: Case) -> _Choice:
    iss = case.claims.get("iss")
    if not isinstance(iss, str):
        return "absent"
    if nearly := _nearly([iss], case.trusted):
        return "nearly", {"nearly": nearly}
    entra = iss.startswith(_ENTRA_1) and any(name.startswith(_ENTRA_2) for name in case.trusted)
    return "entra_version" if entra else "other"


def _unknown_key(case: Case) -> _Choice:
    # Only an issuer on this machine has an http URL.
    return "sandbox" if any(name.startswith("http:") for name in case.trusted) else "published"


def _audience(case: Case) -> _Choice:
    aud = case.claims.get("aud")
    if _is_id_token(case.claims):
        return "id_token"
    if nearly := _nearly(aud if isinstance(aud, list) else [aud], case.audience):
        return "nearly", {"nearly": nearly}
    return "absent" if aud is None else "other"


def _is_id_token(claims: Mapping[str, Any]) -> bool:
    return (
        any(name in claims for name in _ID_TOKEN_CLAIMS)
        or claims.get("token_use") == "id"  # Cognito
        or claims.get("typ") == "ID"  # Keycloak
        or ("sid" in claims and claims.keys().isdisjoint(("scope", "scp")))
    )


def _distance(name: str, within: str, case: Case) -> _Choice:
    # Only the claim that was refused is known to be a number.
    return within, {within: _in_words(abs(case.now - case.claims[name]))}


def _nearly(found: list[Any], wanted: tuple[str, ...]) -> str:
    """Return in which way a name differs slightly from a wanted one, or an empty text."""
    for has in found:
        for name in wanted:
            if isinstance(has, str) and has.rstrip("/").lower() == name.rstrip("/").lower():
                letters = has.rstrip("/") != name.rstrip("/")
                slash = len(has) != len(name)
                named = ["upper and lower case"] * letters + ["the slash at the end"] * slash
                return " and ".join(named)
    return ""


def _in_words(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


_CHOICES: Mapping[Reason, Callable[[Case], _Choice]] = {
    Reason.MALFORMED: _malformed,
    Reason.TYPE: _type,
    Reason.ISSUER: _issuer,
    Reason.ALGORITHM: _algorithm,
    Reason.UNKNOWN_KEY: _unknown_key,
    Reason.UNFIT_KEY: lambda case: "other" if "kid" in case.header else "unnamed",
    Reason.AUDIENCE: _audience,
    Reason.EXPIRED: partial(_distance, "exp", "ago"),
    Reason.NOT_YET_VALID: partial(_distance, "nbf", "ahead"),
    Reason.ISSUED_AT: partial(_distance, "iat", "ahead"),
}
