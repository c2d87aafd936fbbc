"""Where does a trusted issuer publish its keys?

Its metadata says so (OpenID Connect Discovery 1.0 §4, or RFC 8414 §3 for plain OAuth 2.0).
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from hello.tokens.jwt.strict_json import load_object
from hello.tokens.urls import is_secure_url

from .fetched import FetchError
from .key_set import KeySet, load_key_set

Fetch = Callable[[str], Awaitable[bytes]]
"""A coroutine function that sends a GET to a URL and returns the body, or raises FetchError."""


async def load_signing_keys(issuer: str, jwks_uri: str | None, fetch: Fetch) -> KeySet:
    """Fetch keys from `jwks_uri` or, if it is None, from the metadata's URL. Raises FetchError."""
    if jwks_uri is None:
        found = (await _discover(issuer, fetch)).get("jwks_uri")
        jwks_uri = found if isinstance(found, str) else ""
        as_secure = ("https", urlsplit(issuer).scheme)
        if not is_secure_url(jwks_uri) or urlsplit(jwks_uri).scheme not in as_secure:
            raise FetchError(f"the metadata of {issuer} has no https jwks_uri")
    document = await fetch(jwks_uri)
    try:
        return load_key_set(document)
    except ValueError as error:
        raise FetchError(f"{jwks_uri} is no usable JWK Set: {error}") from error


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
            # RFC 8414 §3.3: the issuer must be identical, or else the keys are somebody else's.
            if metadata.get("issuer") != issuer:
                raise FetchError(
                    f"{url} is the metadata of {metadata.get('issuer')!r}, not of {issuer!r}"
                )
            return metadata
    raise FetchError("; ".join(failures))


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    # OpenID Connect appends its path to the issuer's; RFC 8414 §3.1 puts its path before it.
    return (
        urlunsplit(parts._replace(path=f"{path}/.well-known/openid-configuration")),
        urlunsplit(parts._replace(path=f"/.well-known/oauth-authorization-server{path}")),
    )
