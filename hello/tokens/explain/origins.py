"""Which advice fits a token whose issuer or whose key is not trusted?"""

import re
from urllib.parse import SplitResult, urlsplit

from hello.tokens.issuers.resolved import ASKABLE
from hello.tokens.urls import is_loopback

from .case import Case, Choice

_ENTRA_1, _ENTRA_2 = "sts.windows.net", "login.microsoftonline.com"
# What documentation has in place of a tenant. No token has it as its issuer.
_NO_TENANTS = re.compile(r"/(?:common|organizations|consumers)/")
_GRAPH = ("00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com")
HTTP = "http or https"


def issuer(case: Case) -> Choice:
    """Return the advice about an `iss` that is not trusted."""
    iss = case.claims.get("iss")
    if not isinstance(iss, str) or not iss:
        return "absent"
    if is_own_assertion(case):
        return "assertion"
    if iss == "kubernetes/serviceaccount":
        return "kubernetes"
    if case.trusted:
        return _nearly(iss, case.trusted) or _entra(case, iss) or _place_of(iss, case.trusted)
    if not ASKABLE.fullmatch(iss):
        return "unaskable"
    return "resolver" if case.has_host else "no_host"


def unknown_key(case: Case) -> Choice:
    """Return the advice about a key that the issuer does not publish."""
    if case.keys_given:
        return "given"
    if on_this_machine(case.keys_at):
        return "sandbox", {"keys_at": case.keys_at}
    return "entra" if is_of_entra(case) else "published"


def keys_unavailable(case: Case) -> Choice:
    """Return the advice about keys that cannot be fetched."""
    within = "sandbox" if on_this_machine(case.keys_at) else "other"
    return within, {"from": f" from {case.jwks_uri}" if case.jwks_uri else ""}


def is_of_entra(case: Case) -> bool:
    """Return whether the trusted issuer of a token is Entra ID."""
    return _split(case.issuer).hostname in (_ENTRA_1, _ENTRA_2)


def is_for_graph(case: Case) -> bool:
    """Return whether a token of Entra ID is for Microsoft Graph, which alone can verify it."""
    aud = case.claims.get("aud")
    return isinstance(aud, str) and aud.rstrip("/") in _GRAPH


def is_own_assertion(case: Case) -> bool:
    """Return whether a client made this itself, to log in at the issuer (RFC 7523 §3)."""
    iss, sub = case.claims.get("iss"), case.claims.get("sub")
    return isinstance(iss, str) and iss == sub


def on_this_machine(keys_at: str) -> bool:
    """Return whether the keys come from this machine: a sandbox makes new ones at each start."""
    parts = _split(keys_at)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")


def difference(found: str, wanted: str) -> str:
    """Return in which way a name differs slightly from a wanted one, or an empty text."""
    has, wants = found.strip(), wanted.strip()
    if has.rstrip("/").lower() == wants.rstrip("/").lower():
        letters = has.rstrip("/") != wants.rstrip("/")
        slash = len(has) != len(wants)
        spaces = (found, wanted) != (has, wants)
        named = ["upper and lower case"] * letters + ["the slash at the end"] * slash
        return " and ".join(named + ["white space around it"] * spaces)
    one, other = _split(has), _split(wants)
    for bare, parts in ((has, other), (wants, one)):
        if parts.hostname and bare.rstrip("/") == f"{parts.netloc}{parts.path}".rstrip("/"):
            return f"{parts.scheme}:// at the beginning"
    if not one.hostname or _place(one) != _place(other):
        return ""
    if one.scheme != other.scheme:
        return HTTP if {one.scheme, other.scheme} == {"http", "https"} else ""
    return "" if one.port == other.port else "the port"


def _place(parts: SplitResult) -> tuple[str | None, str]:
    return parts.hostname, parts.path.rstrip("/")


def _nearly(iss: str, trusted: tuple[str, ...]) -> Choice:
    for name in trusted:
        if differs := difference(iss, name):
            if differs == HTTP and iss.startswith("http:"):
                return "plain_http"
            bare = "://" in name and "://" not in iss
            return ("no_scheme" if bare else "nearly"), {"nearly": differs}
    return ""


def _entra(case: Case, iss: str) -> Choice:
    """Return the advice about a token of Entra ID, or an empty text."""
    has = _split(iss)
    if has.hostname not in (_ENTRA_1, _ENTRA_2):
        return ""
    if is_for_graph(case):
        return "graph"
    for name in case.trusted:
        wants = _split(name)
        if wants.hostname not in (_ENTRA_1, _ENTRA_2):
            continue
        if _NO_TENANTS.match(wants.path):
            return "entra_tenant"
        if has.hostname != wants.hostname and _tenant(has) == _tenant(wants):
            return "entra_version" if has.hostname == _ENTRA_1 else "entra_version_2"
    return ""


def _tenant(parts: SplitResult) -> str:
    return parts.path.partition("/")[2].partition("/")[0].lower()


def _place_of(iss: str, trusted: tuple[str, ...]) -> Choice:
    has = _split(iss)
    for wants in map(_split, trusted if has.hostname else ()):
        if has.path.strip("/") and has.path.rstrip("/") == wants.path.rstrip("/"):
            return "host"
        if has.netloc == wants.netloc and has.path != wants.path:
            return "path"
    return "other"


def _split(url: str) -> SplitResult:
    """Return the parts of a URL, which are empty for what is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is none
    except ValueError:
        return urlsplit("")
    return parts
