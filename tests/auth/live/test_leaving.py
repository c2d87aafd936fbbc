"""What is logged if a client leaves, and its handler goes on sending?

The applications are served by aiohttp alone, which logs every error of a handler.
"""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import bearer
from support.live import Handler
from support.sockets import connected

HANDSHAKE = {
    "Host": "a",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture
def leaves(validator: auth.TokenValidator, issuer: Issuer) -> Any:
    """Begins a request, and leaves."""

    async def leave(handler: Handler) -> None:
        left = asyncio.Event()

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            finally:
                left.set()

        app = web.Application()
        auth.setup(app, validator)
        app.router.add_get("/feed", handle)
        runner = web.AppRunner(app)  # a test server would cancel the handler
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with connected(runner.addresses[0][1]) as connection:
            headers = {**HANDSHAKE, **bearer(issuer.mint())}
            lines = [f"{name}: {value}" for name, value in headers.items()]
            connection.send("\r\n".join(["GET /feed HTTP/1.1", *lines, "", ""]).encode())
            await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 30)
        await asyncio.wait_for(left.wait(), 30)
        await runner.cleanup()

    return leave


async def streams(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, web.StreamResponse()) as stream:
        while True:
            await stream.write(b"x")
            await asyncio.sleep(0.001)


async def sends(request: web.Request) -> web.StreamResponse:
    async with auth.live(request) as socket:
        while True:
            await socket.send_str("x")
            await asyncio.sleep(0.001)


async def has_a_database_that_is_gone(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, web.StreamResponse()) as stream:
        await stream.write(b"x")
        raise ConnectionResetError


async def has_another_error(request: web.Request) -> web.StreamResponse:
    try:
        await streams(request)
    except ConnectionError:
        raise ZeroDivisionError from None
    raise AssertionError


@pytest.mark.parametrize(
    ("handler", "is_logged"),
    [(streams, False), (sends, False), (has_a_database_that_is_gone, True)],
)
async def test_a_handler_whose_client_has_left_has_not_failed(
    leaves: Any, caplog: pytest.LogCaptureFixture, handler: Handler, *, is_logged: bool
) -> None:
    await leaves(handler)
    assert any(each.levelno >= logging.WARNING for each in caplog.records) is is_logged


async def test_it_can_be_noticed_by_the_handler(
    leaves: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await leaves(has_another_error)
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)
