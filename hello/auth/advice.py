"""What is to be done about a refusal, in plain words?

For the operator who asks why a token is refused. Each text says what most likely happened, and what
to do next.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from .access_token import AccessToken
from .errors import Reason
from .requirements import Requirement

TOO_LONG = (
    "Have the issuer write fewer claims into it: groups, roles and profile data are what makes "
    "tokens long. Proxies on the way may take even less than this server does."
)
"""What to do about a token that no request can carry."""

_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash", "s_hash")
_PARTS_OF_JWE = 5
_ENTRA_1, _ENTRA_2 = "https://sts.windows.net/", "https://login.microsoftonline.com/"


class Case(NamedTuple):
    """What is known of a token that is refused, and of what it was compared with.

    `stray`: there is a character in it that no token has.
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


def advice(reason: Reason, case: Case) -> str:
    """Return what to do about a token that is refused for a reason."""
    return _ADVICE[reason](case)


def missing(reason: Reason, asked: Requirement, token: AccessToken) -> str:
    """Return what to do about a valid token that lacks what a route asks for.

    A check that raises a refusal of its own may give any reason, of what is there or not asked for.
    """
    lacking = sorted(asked.permissions - token.permissions)
    if reason is Reason.PERMISSIONS and lacking:
        if "permissions" not in token.claims:
            return (
                "The token has no permissions claim. With Auth0: APIs > your API > Settings > "
                "Enable RBAC, and Add Permissions in the Access Token."
            )
        return (
            f"The permission {_and(lacking)} is missing: grant it to the person, to one of their "
            "roles, or to the client, and get a new token."
        )
    unmet = asked.any_scope and token.scopes.isdisjoint(asked.any_scope)
    if reason is Reason.SCOPE and (unmet or not asked.scopes <= token.scopes):
        wanted = _and(sorted({*asked.scopes, *asked.any_scope[:1]}))
        return f"Ask for scope {wanted} when you get the token; the issuer has to allow it."
    if reason is Reason.AUTHENTICATION:
        return "Log in again as the challenge says: acr_values, max_age (RFC 9470)."
    if reason is Reason.CLAIM and asked.claims:
        return f"It asks for {asked}: look at what the issuer writes into these claims."
    return (
        f"The route's check {asked.check_name} does not let this token through. If it raised or "
        "took too long, the log has its stack."
    )


def _malformed(case: Case) -> str:
    wanted = _or(case.audience) or "the API's identifier"
    if case.stray:
        return (
            "There is a space, a quote or something else in it that no token has: perhaps Bearer "
            "stands twice, or too much was copied. Send one Bearer, one space and the token alone."
        )
    if case.parts == _PARTS_OF_JWE:
        what = "This is an encrypted token (JWE), which only the issuer can read."
    elif case.parts == 1:
        what = "This is an opaque token, which only the issuer can read."
    else:
        return (
            "It has been changed or cut off on its way: copy it again, all of it and nothing else. "
            "Three parts of letters, digits, - and _ are joined by two dots."
        )
    return (
        f"{what} Issuers give one to clients that do not say which API it is for: ask for a token "
        f"with audience={wanted} (some issuers call it resource)."
    )


def _type(case: Case) -> str:
    typ = case.header.get("typ")
    if case.strict and isinstance(typ, str | None) and (typ or "jwt").lower() == "jwt":
        return (
            "strict asks for tokens of RFC 9068, and the issuer makes others: switch it over (with "
            "Auth0: APIs > your API > Settings > Access Token Profile), or turn strict off."
        )
    return "This is no access token but one for another use: send the access token."


def _algorithm(case: Case) -> str:
    alg = case.header.get("alg")
    accepted = _or(case.algorithms)
    if isinstance(alg, str) and alg.startswith("HS"):
        if any(name.startswith("HS") for name in case.algorithms):
            return f"Only {accepted} is accepted."
        return (
            f"The issuer signs with a shared secret. Let it sign with {accepted}, and get a new "
            "token. With Auth0: APIs > your API > Settings > Signing Algorithm; where that cannot "
            "be changed, create the API anew."
        )
    return (
        f"Only {accepted} is accepted. If the issuer really signs with another algorithm, accept "
        "that one in the settings; none, or a name in other letters, is never accepted."
    )


def _issuer(case: Case) -> str:
    iss = case.claims.get("iss")
    if not isinstance(iss, str):
        return "The token does not say who issued it: this is no issuer's access token."
    if nearly := _nearly([iss], case.trusted):
        return (
            f"Only {nearly} is different, and the comparison is exact: configure the issuer just "
            "as the token has it."
        )
    if iss.startswith(_ENTRA_1) and any(name.startswith(_ENTRA_2) for name in case.trusted):
        return (
            "It is one of Entra ID's version 1.0: in the manifest of the API's own registration, "
            "set requestedAccessTokenVersion to 2, and get a new one."
        )
    return (
        "It comes from another issuer, perhaps another tenant, environment or custom domain: get "
        f"a token from {_or(case.trusted) or 'one that the resolver knows'}, or trust this one in "
        "the settings."
    )


def _unknown_key(case: Case) -> str:
    # http is for issuers on this machine only.
    on_this_machine = any(name.startswith("http:") for name in case.trusted)
    sandbox = "a restart of the sandbox, " if on_this_machine else ""
    return (
        f"The issuer does not publish this key; it has {case.kids or 'none'}. The token may be "
        f"older than {sandbox}a change of keys, or from another environment of the same name: get "
        "a new one."
    )


def _unfit_key(case: Case) -> str:
    if "kid" not in case.header:
        return (
            "The token does not name its key, and not exactly one of the issuer's fits: have the "
            "issuer write kid into the header."
        )
    return (
        "The issuer publishes this key for another algorithm: get a new token, or ask the issuer."
    )


def _audience(case: Case) -> str:
    aud, wanted = case.claims.get("aud"), _or(case.audience)
    if _is_id_token(case.claims):
        return (
            "This is an ID token: it tells the client who logged in, and no API takes it. Send the "
            f"access token that came beside it; for that, ask for audience={wanted}."
        )
    if nearly := _nearly(aud if isinstance(aud, list) else [aud], case.audience):
        return (
            f"Only {nearly} is different, and the comparison is exact: set the audience just as "
            f"the token has it, or ask for one with audience={wanted}."
        )
    if aud is None:
        return (
            f"It is for no API in particular: ask for a token with audience={wanted} (some issuers "
            "call it resource)."
        )
    return (
        f"It is for another API: ask for a token with audience={wanted}. Or, if what it has is "
        "this API's identifier, set the audience to it, letter by letter."
    )


def _is_id_token(claims: Mapping[str, Any]) -> bool:
    return (
        any(name in claims for name in _OF_ID_TOKENS)
        or claims.get("token_use") == "id"  # Cognito
        or claims.get("typ") == "ID"  # Keycloak
        or ("sid" in claims and claims.keys().isdisjoint(("scope", "scp")))
    )


def _expired(case: Case) -> str:
    ago = case.now - case.claims["exp"]
    return (
        f"It expired {_long(ago)} ago: get a new one. If it is new, this machine's clock is wrong: "
        f"it says {_utc(case.now)}."
    )


def _from_the_future(name: str, case: Case) -> str:
    # The claim that was refused: nobody knows yet whether another one is a number at all.
    ahead = case.claims[name] - case.now
    return (
        f"It is from the future, by {_long(ahead)}, and {case.leeway:g} s are tolerated. The "
        f"issuer's clock or this machine's is off: this one says {_utc(case.now)}. Set it by NTP."
    )


def _keys_unavailable(case: Case) -> str:
    return (
        f"The keys of {_or(case.trusted) or 'the issuer'} cannot be had: the log says why. Is that "
        "address right, and can this machine reach it? In the sandbox, start the server first."
    )


def _and(names: list[str]) -> str:
    return " and ".join(names)


def _nearly(found: list[Any], wanted: tuple[str, ...]) -> str:
    """Return the small difference between two names that look alike, or an empty text."""
    for has in found:
        for name in wanted:
            if isinstance(has, str) and has.rstrip("/").lower() == name.rstrip("/").lower():
                letters = has.rstrip("/") != name.rstrip("/")
                slash = len(has) != len(name)
                return _and(["upper and lower case"] * letters + ["the slash at the end"] * slash)
    return ""


def _or(names: tuple[str, ...]) -> str:
    return " or ".join(names)


def _long(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _always(text: str) -> Callable[[Case], str]:
    return lambda _case: text


_ISSUERS_PART = "Look at what writes it at the issuer: an action, a rule, a mapper."

_ADVICE: Mapping[Reason, Callable[[Case], str]] = {
    Reason.NO_CREDENTIALS: _always("There is no token: nothing was given."),
    Reason.MALFORMED: _malformed,
    Reason.HEADER: _always("Its header is not as RFC 7515 has it: this is no issuer's token."),
    Reason.CRITICAL: _always(
        "Its header asks for an extension that this API does not know: have the issuer make "
        "tokens without it."
    ),
    Reason.TYPE: _type,
    Reason.ISSUER: _issuer,
    Reason.ALGORITHM: _algorithm,
    Reason.UNKNOWN_KEY: _unknown_key,
    Reason.UNFIT_KEY: _unfit_key,
    Reason.SIGNATURE: _always(
        "It was changed after it was signed, or somebody else signed it: copy it again, all of it; "
        "if that does not help, do not trust where it comes from."
    ),
    Reason.AUDIENCE: _audience,
    Reason.EXPIRED: _expired,
    Reason.EXPIRY: _always("It never ends, and that is not accepted: have the issuer write exp."),
    Reason.NOT_YET_VALID: partial(_from_the_future, "nbf"),
    Reason.ISSUED_AT: partial(_from_the_future, "iat"),
    Reason.TOO_OLD: _always("It was issued longer ago than max_age allows: get a new one."),
    Reason.CLAIM_TYPE: _always(f"A claim is of the wrong type. {_ISSUERS_PART}"),
    Reason.MISSING_CLAIM: _always(f"A required claim is not there. {_ISSUERS_PART}"),
    Reason.BOUND: _always(
        "The token is bound to a key that its sender would have to prove to have (DPoP, mTLS), and "
        "this API does not take such proofs: get a plain bearer token."
    ),
    Reason.REVOKED: _always("The application's own hook says that it was revoked."),
    Reason.KEYS_UNAVAILABLE: _keys_unavailable,
    Reason.RESOLVER_UNAVAILABLE: _always(
        "The resolver of issuers did not answer: the log says why."
    ),
    Reason.REVOCATION_UNAVAILABLE: _always("The revocation hook did not answer: the log says why."),
}
