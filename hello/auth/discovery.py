"""Where does a trusted issuer publish its keys?

Discovery: OpenID Connect Discovery 1.0 §4, or RFC 8414 §3 where the issuer is plain OAuth 2.0.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .jwks import FetchError
from .keys import KeySet, load_key_set
from .strict_json import load_object
from .urls import is_secure_url

Fetch = Callable[[str], Awaitable[bytes]]
"""A coroutine function that GETs a URL and returns a body, or raises FetchError."""


async def load_signing_keys(issuer: str, jwks_uri: str | None, fetch: Fetch) -> KeySet:
    """Fetch an issuer's keys: from `jwks_uri` or, if that is None, from where its metadata says.

    Raises FetchError.
    """
    if jwks_uri is None:
        jwks_uri = await _discover_jwks_uri(issuer, fetch)
    document = await fetch(jwks_uri)
    try:
        return load_key_set(document)
    except ValueError as error:
        raise FetchError(f"{jwks_uri} is no usable JWK Set: {error}") from error


async def _discover_jwks_uri(issuer: str, fetch: Fetch) -> str:
    metadata = await _discover(issuer, fetch)
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not _as_secure(jwks_uri, issuer):
        raise FetchError(f"the metadata of {issuer} has no https jwks_uri")
    return jwks_uri


def _as_secure(url: str, issuer: str) -> bool:
    return is_secure_url(url) and urlsplit(url).scheme in ("https", urlsplit(issuer).scheme)


async def _discover(issuer: str, fetch: Fetch) -> dict[str, Any]:
    failures = []
    for url in _metadata_urls(issuer):
        try:
            document = await fetch(url)
        except FetchError as error:
            failures.append(str(error))
            continue
        try:
            metadata = load_object(document)
        except ValueError as error:
            failures.append(f"{url} is no metadata: {error}")
        else:
            # RFC 8414 §3.3: identical, or not to be used. Who else's keys would these be?
            if metadata.get("issuer") != issuer:
                raise FetchError(
                    f"{url} is the metadata of {metadata.get('issuer')!r}, not of {issuer!r}"
                )
            return metadata
    raise FetchError("; ".join(failures))


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    # OpenID Connect appends to the issuer's path, RFC 8414 §3.1 puts itself before it.
    return (
        urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration")),
        urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}")),
    )
