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
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLIENT_CLAIMS = ("azp", "client_id", "cid", "appid")
"""The claims that name the client, as the providers call them."""


def audience(case: Case) -> Choice:
    """Return the advice about a claim that does not name this API."""
    if case.rule not in ("", "aud"):
        return "other_claim", {"claim": case.rule}
    for variant, fits in (("id_token", is_id_token), ("graph", is_for_graph)):
        if fits(case):
            return variant
    aud = case.claims.get("aud")
    named = [aud] if isinstance(aud, str) else aud
    if named is None or named == []:
        return _without(case, "absent" if named is None else "empty")
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return "no_text"
    return "assertion" if is_own_assertion(case) else _known(case, named) or _unknown(case, named)


def is_id_token(case: Case) -> bool:
    """Return whether this is an ID token for certain."""
    claims = case.claims
    return (
        not _HASHES.isdisjoint(claims)
        or claims.get("token_use") == "id"  # Cognito
        or claims.get("typ") == "ID"  # Keycloak
        # Keycloak wrote nonce into its access tokens too, before version 25.
        or ("nonce" in claims and not _is_access_token(case))
    )


def _is_access_token(case: Case) -> bool:
    """Return whether something says that this is an access token. Without it, nobody knows."""
    claims, typ = case.claims, case.header.get("typ")
    return (
        any(name in claims for name in _OF_ACCESS_TOKENS)
        or claims.get("token_use") == "access"  # Cognito
        or claims.get("typ") == "Bearer"  # Keycloak
        or (isinstance(typ, str) and type_name(typ) == "at+jwt")
    )


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
