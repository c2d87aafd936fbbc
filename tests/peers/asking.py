"""How is a server asked for its protected message, and what becomes of its issuer meanwhile?"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from joserfc.jwk import Key

from bench.servers import PROTECTED, started
from bench.token_sets import AUDIENCE
from hello.sandbox.issuer import Issuer, issuer_app
from peers.compare import Server
from support.forger import Forger

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

NO_ANSWER = "no answer"

_JWKS = "/.well-known/jwks.json"
_TIMEOUT = ClientTimeout(total=3)

Headers = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """What came back. `said`: the challenge and the body, which a client can read."""

    status: str
    challenged: bool = False
    said: str = ""


class Keys(NamedTuple):
    """An issuer's key, the one that it rotates to, and somebody else's."""

    first: Key
    second: Key
    attackers: Key


class Asked:
    """A server that has just started, and the issuer that it trusts."""

    def __init__(self, server: Server, keys: Keys, port: int) -> None:
        self.server = server
        scheme = "https" if server.https_issuer else "http"  # by its name alone
        self.issuer = Issuer(audience=AUDIENCE, url=f"{scheme}://localhost:{port}/", key=keys.first)
        self.keys = keys
        self.port = port
        self.delay = 0.0  # seconds until the issuer answers
        self._runner: web.AppRunner | None = None

    @cached_property
    def forger(self) -> Forger:
        return Forger(issuer=self.issuer, other=self.keys.second, attacker=self.keys.attackers)

    @property
    def fetches(self) -> int:
        """How often the issuer was asked for its keys."""
        return self.issuer.requests[_JWKS]

    async def issuer_up(self) -> None:
        app = issuer_app(self.issuer)
        app.middlewares.append(self._late)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_port=True).start()

    async def issuer_down(self) -> None:
        """Refuse connections, and close those that are open."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _late(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        await asyncio.sleep(self.delay)
        return await handler(request)

    async def get(self, headers: Headers, query: str = "") -> Answer:
        [answer] = await self.get_all([headers], query)
        return answer

    async def get_all(
        self, requests: Iterable[Headers], query: str = "", limit: ClientTimeout = _TIMEOUT
    ) -> list[Answer]:
        """Ask for the protected message, all at once."""
        url = f"http://127.0.0.1:{self.server.port}{PROTECTED}{query}"
        connector = TCPConnector(limit=0, force_close=True)
        async with ClientSession(timeout=limit, connector=connector) as session:
            return await asyncio.gather(*(_get(session, url, headers) for headers in requests))

    async def token(self, **changes: object) -> Answer:
        """Ask with a token that is valid but for changes of its claims."""
        return await self.get(bearer(self.issuer.mint(claims=changes)))


async def _get(session: ClientSession, url: str, headers: Headers) -> Answer:
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            challenge = response.headers.get("WWW-Authenticate", "")
            said = f"{challenge}\n{await response.text()}"
            return Answer(str(response.status), bool(challenge), said)
    except (TimeoutError, ClientError):
        return Answer(NO_ANSWER)


def bearer(token: str) -> Headers:
    return [("Authorization", f"Bearer {token}")]


@asynccontextmanager
async def starting(
    server: Server, keys: Keys, port: int, log: Path | None, *, issuer_is_up: bool
) -> AsyncIterator[Asked]:
    """Start a server anew, and its issuer before it."""
    asked = Asked(server, keys, port)
    with ExitStack() as stack:
        try:
            if issuer_is_up:
                await asked.issuer_up()
            process = started(server.command, server.environ, server.port, core=None, log=log)
            # In a thread: what asks for keys at its start waits for an issuer that is in here.
            await asyncio.to_thread(stack.enter_context, process)
            yield asked
        finally:
            await asked.issuer_down()
