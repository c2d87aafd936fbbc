"""How is a document fetched from an issuer, which may be hostile?

The only file of hello.tokens that needs aiohttp. It is imported when the first document is fetched.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from hello.tokens.urls import is_loopback

from .fetched import FetchError

# Those that a request to an issuer may have, in lower case. A tracer names its trace in the last.
_HEADERS = frozenset(
    [
        *("accept", "accept-encoding", "authorization", "connection", "content-length"),
        *("content-type", "host", "proxy-authorization", "transfer-encoding", "user-agent"),
        "traceparent",
    ]
)
_MAX_BYTES = 512 * 1024
_CHUNK_BYTES = 64 * 1024
_ERRORS = (aiohttp.ClientError, OSError, ValueError)  # a certificate error is a ValueError
# Threads of our own for DNS: event loops have few, and the names of some tenants may take long.
_LOOKUPS = ThreadPoolExecutor(100, "issuer-dns")
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


async def fetch(url: str) -> bytes:
    """GET a URL and return the body of the answer with status 200, decompressed.

    Raises FetchError for anything else: a redirect, because keys are fetched only from the issuer's
    own addresses; another status; a network or certificate error; more than 512 KiB. The caller
    limits the time.
    """
    # Each fetch has its own session, so that none stays open. There are two fetches in ten minutes.
    async with new_session() as session:
        status, body = await send(session, "GET", url)
    if status != 200:  # noqa: PLR2004
        redirect = 300 <= status < 400  # noqa: PLR2004
        hint = ", and redirects are not followed: give the address it leads to as jwks_uri="
        raise FetchError(f"{url} answered {status}{hint if redirect else ''}")
    return body


def new_session() -> aiohttp.ClientSession:
    """Return a session that asks issuers. The caller closes it."""
    # Some issuers have key sets of that type only. Some firewalls refuse Python's own User-Agent.
    headers = {
        "Accept": "application/jwk-set+json, application/json",
        "User-Agent": "hello-auth",
    }
    return aiohttp.ClientSession(
        # Servers close idle connections after some seconds. A request that is sent just then fails.
        connector=aiohttp.TCPConnector(resolver=_Resolver(), keepalive_timeout=3),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        middlewares=(_keep_to_ourselves,),
    )


async def _keep_to_ourselves(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send only headers that are meant for an issuer, and raise no error that quotes an answer.

    A tracer passes on what a client sent, such as `baggage`, and some issuers refuse a request with
    so long a header. It also records errors, and some of them repeat what an issuer answered.
    """
    for name in {*request.headers}:
        if name.lower() not in _HEADERS:
            request.headers.popall(name)
    try:
        return await handler(request)
    except aiohttp.ServerDisconnectedError:
        raise aiohttp.ServerDisconnectedError from None  # aiohttp itself tries again
    except _ERRORS as error:
        if type(error) is aiohttp.ClientOSError:
            raise  # aiohttp tries again after this one, too
        raise _fetch_error(str(request.url), error) from None


async def send(
    session: aiohttp.ClientSession, method: str, url: str, **request: Any
) -> tuple[int, bytes]:
    """Send a request and return the status and the body of the answer, decompressed.

    No redirect is followed. Raises FetchError for a network or certificate error, and for more than
    512 KiB.
    """
    try:
        async with session.request(
            method, url, allow_redirects=False, proxy=_proxy_for(url), **request
        ) as response:
            body = bytearray()
            # Read in pieces, because a few compressed bytes can expand to very many.
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise FetchError(f"{url} answered with more than {_MAX_BYTES} bytes")
            return response.status, bytes(body)
    except _ERRORS as error:
        raise _fetch_error(url, error) from error


def _fetch_error(url: str, error: Exception) -> FetchError:
    return FetchError(f"{url}: {type(error).__name__}{_detail(error)}")


def _detail(error: Exception) -> str:
    """Return what an error says, if it is safe to log.

    Some errors repeat the address of a proxy, with its password, or what a broken answer contains,
    which may be what was sent.
    """
    if isinstance(error, aiohttp.ClientResponseError):
        return f": {error.status}"
    quotes = isinstance(error, aiohttp.InvalidURL | aiohttp.ClientPayloadError)
    return "" if quotes else f": {error}"


def _proxy_for(url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name, as for other programs."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]  # NO_PROXY may name a port, too
    if is_loopback(parts.hostname or "") or proxy_bypass(place):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


class _Resolver(AbstractResolver):
    """Looks up names in the threads above."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        look_up = partial(
            socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(_LOOKUPS, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=int(number),
                family=kind,
                proto=protocol,
                flags=_NUMERIC,
            )
            for kind, _, protocol, _, (address, number, *_) in found
        ]

    async def close(self) -> None:
        """Do nothing: the threads are shared."""
