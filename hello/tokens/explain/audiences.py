"""Which advice fits a token that is not for this API?

Most often it is an ID token, or it was requested without naming the API. An ID token is not always
known for certain. Then both possibilities are told.
"""

import re
from typing import Any

from hello.tokens.jwt.header_rules import type_name

from .case import Case, Choice
from .origins import difference, is_for_graph, is_own_assertion

# OpenID Connect Core 1.0 §3.1.3.6 and §3.3.2.11, and FAPI for the last. No access token has these.
_HASHES = frozenset({"at_hash", "c_hash", "s_hash"})
# ID tokens have none of these. (Okta's cid, and appid and azpacr of Entra ID, name a client.)
_OF_ACCESS_TOKENS = ("scope", "scp", "permissions", "client_id", "cid", "appid", "azpacr", "gty")
KEYCLOAKS_REFRESH_TOKENS = ("Refresh", "Offline")
"""What Keycloak writes as the claim typ of refresh tokens."""
# Values of the header's typ that no standard has.
_ID_TYPE, _REFRESH_TYPE = re.compile("id[._-]?token"), re.compile(r"refresh|\brt(\+jwt)?\Z")
_NEVER_A_CLIENT = frozenset({"iss", "sub"})  # a machine's sub is its client, and a person's is not
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLIENT_CLAIMS = ("azp", "client_id", "cid", "appid")
"""The claims that name the client, as the providers call them."""


def audience(case: Case) -> Choice:
    """Return the advice about a claim that does not name this API."""
    if case.rule not in ("", "aud"):
        return _other_claim(case)
    if other := other_token(case) or ("graph" if is_for_graph(case) else ""):
        return other
    aud = case.claims.get("aud")
    named = [aud] if isinstance(aud, str) else aud
    if named is None or named == []:
        return _without(case, "absent" if named is None else "empty")
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return "no_text"
    return "assertion" if is_own_assertion(case) else _known(case, named) or _unknown(case, named)


def other_token(case: Case) -> str:
    """Return what this is for certain: a `refresh_token`, an `id_token` or neither."""
    if _is_refresh_token(case):
        return "refresh_token"
    return "id_token" if _is_id_token(case) else ""


def _is_id_token(case: Case) -> bool:
    claims = case.claims
    return not case.answered and (  # no ID token is opaque
        not _HASHES.isdisjoint(claims)
        or claims.get("token_use") == "id"  # Cognito
        or claims.get("typ") == "ID"  # Keycloak
        or _ID_TYPE.search(_type_of(case)) is not None
        # Keycloak wrote nonce into its access tokens too, before version 25.
        or ("nonce" in claims and not _is_access_token(case))
    )


def _is_refresh_token(case: Case) -> bool:
    claims = case.claims
    return (
        claims.get("typ") in KEYCLOAKS_REFRESH_TOKENS
        or claims.get("token_use") in ("refresh", "refresh_token")
        or _REFRESH_TYPE.search(_type_of(case)) is not None
    )


def _other_claim(case: Case) -> Choice:
    """Return the advice about a claim that is compared in place of `aud`."""
    claim = {"claim": case.rule}
    if _is_refresh_token(case):
        return "refresh_token"
    if case.claims.get(case.rule) is not None:
        return "other_claim", claim
    if _is_id_token(case):
        return "absent_claim", claim
    for name in (*_CLIENT_CLAIMS, *case.claims):
        value = case.claims.get(name)
        named = value if isinstance(value, list) else [value]
        # An ID token's aud has the client, too.
        meant = name not in _NEVER_A_CLIENT and (name != "aud" or _is_access_token(case))
        if meant and any(wanted in named for wanted in case.audience):
            return "misspelt_claim", {**claim, "other": name}
    return "absent_claim", claim


def _is_access_token(case: Case) -> bool:
    """Return whether something says that this is an access token. Without it, nobody knows."""
    claims = case.claims
    return (
        case.answered
        or any(name in claims for name in _OF_ACCESS_TOKENS)
        or claims.get("token_use") == "access"  # Cognito
        or claims.get("typ") == "Bearer"  # Keycloak
        or type_name(_type_of(case)) == "at+jwt"
    )


def _type_of(case: Case) -> str:
    typ = case.header.get("typ")
    return typ.lower() if isinstance(typ, str) else ""


def _without(case: Case, otherwise: str) -> Choice:
    """Return the advice about a token that is for no API in particular."""
    if case.claims.get("typ") == "Bearer":
        return "keycloak"
    client = next((name for name in _CLIENT_CLAIMS if isinstance(case.claims.get(name), str)), None)
    return otherwise if client is None else (f"{otherwise}_client", {"client": client})


def _known(case: Case, named: list[str]) -> Choice:
    """Return the advice for an audience that some provider is known to write."""
    claims, iss = case.claims, str(case.claims.get("iss"))
    for name in named:
        for wanted in case.audience:
            if _GUID.fullmatch(_bare(name)) and _bare(name) == _bare(wanted):
                return "entra"
            if differs := difference(name, wanted):
                return "nearly", {"nearly": differs}
    if claims.get("typ") == "Bearer":
        return "keycloak"
    if named == ["authenticated"] and iss.rstrip("/").endswith("/auth/v1"):
        return "supabase"
    if iss == f"https://securetoken.google.com/{named[0]}":
        return "firebase"
    base = iss.rstrip("/")
    own = all(name.startswith(f"{base}/") or name in (iss, base) for name in named)
    return "of_issuer" if own or named == ["urn:microsoft:userinfo"] else ""


def _unknown(case: Case, named: list[str]) -> Choice:
    if _is_access_token(case):
        return "other"
    azp: Any = case.claims.get("azp")
    urls = any("://" in name for name in named)
    return "perhaps_id_token" if azp in named or (azp is None and not urls) else "other"


def _bare(name: str) -> str:
    """Return the GUID of an API of Entra ID, which version 1.0 writes behind `api://`."""
    return name.removeprefix("api://").rstrip("/").lower()
