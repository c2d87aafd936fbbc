"""Handlers with `auth.live`, served, and clients of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from hello import auth
from hello.auth.protection import observe
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer

READER = {"permissions": ["read:reports"]}
PATIENCE = 30  # seconds; no test takes that long unless it fails


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Closed(NamedTuple):
    """How a WebSocket was closed."""

    code: int | None
    reason: str


class Live:
    """An application whose handlers echo, and its client."""

    def __init__(self, start: Callable[[ApiServer], Awaitable[Client]], issuer: Issuer) -> None:
        self._start = start
        self.issuer = issuer
        self.app: web.Application
        self.client: Client
        self.received: list[str] = []
        self.on_message: Callable[[web.Request], object] = id
        self.left: list[BaseException | None] = []
        self.options: dict[str, Any] = {}
        self.decisions: list[auth.Decision] = []

    async def serve(
        self,
        mark: Callable[[Any], Any],
        validator: auth.Validator,
        handler: Handler | None = None,
        *,
        middlewares: Any = (),
        **setup: Any,
    ) -> None:
        app = self.app = web.Application()
        auth.setup(app, validator, **setup)
        app.middlewares.extend(middlewares)
        observe(app, self.decisions.append)
        app.router.add_get("/feed", mark(handler or self.echo))
        self.client = await self._start(ApiServer(app))

    async def echo(self, request: web.Request) -> web.StreamResponse:
        socket: web.WebSocketResponse
        try:
            async with auth.live(request, **self.options) as socket:
                async for message in socket:
                    self.received.append(message.data)
                    self.on_message(request)
                    await socket.send_str(f"{message.data}")
        except BaseException as error:
            self.left.append(error)
            raise
        self.left.append(None)
        return socket

    async def has_left(self) -> BaseException | None:
        """What the handler left the block with, once it has."""
        async with asyncio.timeout(PATIENCE):
            while not self.left:  # noqa: ASYNC110 - a handler tells nobody
                await asyncio.sleep(0.001)
        return self.left[-1]

    def mint(self, seconds: float = 3600, **claims: Any) -> str:
        now = self.issuer.clock()
        return self.issuer.mint(claims={**READER, "exp": int(now + seconds), **claims})

    @asynccontextmanager
    async def opened(
        self, token: str | None = None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {**options.pop("headers", {}), **(bearer(token) if token else {})}
        async with self.client.ws_connect("/feed", headers=headers, **options) as socket:
            yield socket

    async def status(self, token: str | None = None, **options: Any) -> int:
        """The answer to a handshake: 101 if it succeeds."""
        try:
            async with self.opened(token, **options):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def closed(socket: aiohttp.ClientWebSocketResponse) -> Closed:
    """How the server closes a WebSocket, whatever it says before that."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return Closed(message.data, message.extra or "")
            if message.type is not aiohttp.WSMsgType.TEXT:
                return Closed(socket.close_code, "")


async def answered(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """What the server says of a token."""
    message: dict[str, Any] = json.loads(await socket.receive_str(timeout=PATIENCE))
    assert set(message) == {"access_token"}
    return dict(message["access_token"])


async def send_token(socket: aiohttp.ClientWebSocketResponse, token: object, **more: Any) -> None:
    await socket.send_json({**more, "access_token": token})


__all__ = ["AUDIENCE", "READER", "Closed", "Live", "answered", "closed", "send_token"]
