"""Where does a trusted issuer publish its keys?

Its metadata says so (OpenID Connect Discovery 1.0 §4, or RFC 8414 §3 for plain OAuth 2.0).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from hello.tokens.hooks import Listeners
from hello.tokens.jwt.strict_json import load_document
from hello.tokens.timing import Clock
from hello.tokens.urls import is_secure_url

from .fetched import FetchedKeys, FetchError, KeyPolicy
from .key_set import KeySet, load_key_set
from .state import KeyFetch

_MAX_SHOWN = 200  # characters of what an issuer wrote, in a line of the log

Fetch = Callable[[str], Awaitable[bytes]]
"""A coroutine function that sends a GET to a URL and returns the body, or raises FetchError."""


async def fetch_with_aiohttp(url: str) -> bytes:
    """GET a URL with aiohttp. A validator that is given no Fetch uses this. Raises FetchError."""
    from .fetch import fetch  # noqa: PLC0415 - it loads aiohttp

    return await fetch(url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an issuer's keys are fetched from: `jwks_uri`, or the URL in its metadata if None.

    If `jwks_uri` is given, `issuer` is None: issuers that share a key set share its fetches.
    `allow_insecure_http` says that http is allowed for every host.
    """

    issuer: str | None
    jwks_uri: str | None
    allow_insecure_http: bool

    @property
    def name(self) -> str:
        """The issuer, or the URL of its keys without the query, in which there may be a secret."""
        return self.issuer or urlunsplit(urlsplit(self.jwks_uri or "")._replace(query=""))

    def keys(
        self, *, fetch: Fetch, policy: KeyPolicy, clock: Clock, listeners: Listeners[KeyFetch]
    ) -> FetchedKeys:
        """Return the keys of this place. They are not fetched yet."""
        return FetchedKeys(self.name, partial(self.load, fetch), policy, clock, listeners)

    async def load(self, fetch: Fetch) -> KeySet:
        """Fetch the keys. Raises FetchError."""
        jwks_uri = self.jwks_uri
        if jwks_uri is None:
            jwks_uri = await self.find_endpoint("jwks_uri", fetch)
        document = await fetch(jwks_uri)
        try:
            return load_key_set(document)
        except ValueError as error:
            raise FetchError(f"{jwks_uri} is no usable JWK Set: {error}") from error

    async def find_endpoint(self, name: str, fetch: Fetch) -> str:
        """Return a URL from the metadata of the issuer. Raises FetchError."""
        url = await _discover(self.issuer or "", name, fetch)
        allowed = {"https", urlsplit(self.issuer or "").scheme}
        allowed |= {"http"} if self.allow_insecure_http else set()
        secure = is_secure_url(url, allow_insecure_http=self.allow_insecure_http)
        if not secure or urlsplit(url).scheme not in allowed:
            raise FetchError(f"the metadata of {self.issuer} has no https {name}")
        return url


async def _discover(issuer: str, name: str, fetch: Fetch) -> str:
    """Return a member of the first metadata that has it. Raises FetchError."""
    failures = []
    for url in _metadata_urls(issuer):
        try:
            document = await fetch(url)
        except FetchError as error:
            failures.append(str(error))
            continue
        try:
            metadata = load_document(document)
        except ValueError as error:
            failures.append(f"{url} is no metadata: {error}")
            continue
        # RFC 8414 §3.3: the issuer must be identical, or else the keys are somebody else's.
        if metadata.get("issuer") != issuer:
            named = ascii(metadata.get("issuer"))[:_MAX_SHOWN]
            raise FetchError(f"{url} is the metadata of {named}, not of {issuer!r}")
        found = metadata.get(name)
        if isinstance(found, str) and found:
            return found
        failures.append(f"{url} has no {name}")
    raise FetchError("; ".join(failures))


def _metadata_urls(issuer: str) -> list[str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    # OpenID Connect appends its path to the issuer's; RFC 8414 §3.1 puts its path before it. The
    # last form is among those that clients of the Model Context Protocol try.
    paths = [
        f"{path}/.well-known/openid-configuration",
        f"/.well-known/oauth-authorization-server{path}",
        *([f"/.well-known/openid-configuration{path}"] if path else ()),
    ]
    return [urlunsplit(parts._replace(path=each)) for each in paths]
