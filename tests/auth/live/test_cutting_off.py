"""Does a connection end when its handler, its client or a check does not take part?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.live import connection, watch
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import Handler, Live, answered, closed, send_token
from support.logs import faults, reasons
from support.sockets import connected

Open = Callable[..., Awaitable[Live]]
EVENTS = {"Content-Type": "text/event-stream"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
PINGS = 20_000 * (b"\x89\xfd\0\0\0\0" + b"p" * 125)


@pytest.fixture
def opens(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> Open:
    async def start(
        handler: Handler, mark: Any = auth.protected, validator: Any = validator
    ) -> Live:
        live = Live(aiohttp_client, issuer)
        await live.serve(mark, validator, handler)
        return live

    return start


def head(headers: dict[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in {"Host": "a", **headers}.items()]
    return "\r\n".join(["GET /feed HTTP/1.1", *lines, "", ""]).encode()


async def test_a_refused_token_ends_a_handler_that_reads_in_a_task_of_its_own(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    there: Live
    readers: list[asyncio.Task[None]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        async def read(socket: web.WebSocketResponse) -> None:
            async for _ in socket:
                pass

        try:
            async with auth.live(request) as socket:
                readers.append(asyncio.create_task(read(socket)))
                await asyncio.Event().wait()
        except BaseException as error:
            there.left.append(error)
            raise
        return socket

    there = await opens(handler)
    async with there.opened(there.mint()) as socket:
        await send_token(socket, there.mint(aud="x"))
        assert (await closed(socket)).code == 4401
    assert isinstance(await there.has_left(), auth.InvalidTokenError)
    assert isinstance((await asyncio.gather(*readers, return_exceptions=True))[0], auth.AuthError)
    assert reasons(caplog) == ["401 audience"]
    assert not faults(caplog)


async def floods_a_socket(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, timeout=60) as socket:  # for which aiohttp would wait
        while True:
            await socket.send_bytes(b"x" * 1_000_000)


async def floods_a_stream(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, web.StreamResponse(headers=EVENTS)) as stream:
        while True:
            await stream.write(b"x" * 1_000_000)


async def fills_a_stream_and_waits(request: web.Request) -> web.StreamResponse:
    """Without waiting for its client."""
    async with auth.live(request, web.StreamResponse()) as stream:
        transport = request.transport
        assert transport is not None
        transport.write(b"x" * 20_000_000)
        await asyncio.Event().wait()
    return stream


async def fills_a_socket_and_leaves(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, timeout=60) as socket:
        transport = request.transport
        assert transport is not None
        transport.write(b"x" * 20_000_000)
    return socket


@pytest.mark.parametrize(
    ("handler", "logged"),
    [
        (floods_a_socket, ["401 expired"]),
        (floods_a_stream, ["401 expired"]),
        (fills_a_stream_and_waits, ["401 expired"]),
        (fills_a_socket_and_leaves, []),
    ],
)
async def test_a_client_that_does_not_read_is_disconnected(
    opens: Open,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    handler: Handler,
    logged: list[str],
) -> None:
    there = await opens(handler)
    async with connected(there.client.port or 0) as stranger:
        stranger.send(head({**HANDSHAKE, **bearer(there.mint(seconds=10))}))
        await stranger.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)
        clock.advance(10)
        await nobody_is_connected(there)
    assert reasons(caplog) == logged


async def nobody_is_connected(there: Live) -> None:
    async with asyncio.timeout(30):
        while there.client.server.handler.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_stranger_who_sends_pings_and_does_not_read_is_disconnected(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, first_message_timeout=0.2, timeout=60):
            raise AssertionError

    there = await opens(handler, auth.protected(also_from={"message"}))
    async with connected(there.client.port or 0) as stranger:
        stranger.send(head(HANDSHAKE))
        stranger.send(PINGS)
        await stranger.reader.readuntil(b"\r\n\r\n")  # it was connected
        await nobody_is_connected(there)
    assert reasons(caplog) == ["401 no_credentials"]


async def test_a_stream_that_its_handler_has_ended_is_left_with_the_refusal(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    there: Live

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            async with auth.live(request, web.StreamResponse(headers=EVENTS)) as stream:
                await stream.write(b"data: first\n\n")
                try:
                    await asyncio.Event().wait()
                finally:
                    await stream.write_eof()
        except BaseException as error:
            there.left.append(error)
            raise
        return stream

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\n\n")
        clock.advance(10)
        assert await asyncio.wait_for(response.read(), 30) == b""
    assert isinstance(await there.has_left(), auth.InvalidTokenError)
    assert reasons(caplog) == ["401 expired"]
    assert not faults(caplog)


async def test_a_check_that_outlives_its_cancellation_does_not_end_what_follows_the_block(
    opens: Open, clock: FakeClock
) -> None:
    begun, answered, after = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def check(_token: auth.AccessToken) -> bool:
        if clock.time() == start:
            return True
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            answered.set()
        return False

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, check_every=10) as socket:
            await begun.wait()
        await answered.wait()
        await asyncio.sleep(0.01)
        after.set()
        return socket

    start = clock.time()
    there = await opens(handler, auth.protected(check=check))
    async with there.opened(there.mint()) as socket:
        clock.advance(10)
        await closed(socket)
        await asyncio.wait_for(after.wait(), 30)


async def test_a_check_that_takes_long_is_not_begun_again(opens: Open, clock: FakeClock) -> None:
    """Although the connection is looked at meanwhile."""
    begun, answer, start = asyncio.Queue[None](), asyncio.Event(), clock.time()

    async def check(_token: auth.AccessToken) -> bool:
        if clock.time() > start:
            begun.put_nowait(None)
            await answer.wait()
        return True

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, check_every=10) as socket:
            await begun.get()
            await asyncio.sleep(4 * watch._LOOK_SECONDS)
            await socket.send_json(begun.qsize())
        return socket

    there = await opens(handler, auth.protected(check=check))
    async with there.opened(there.mint()) as socket:
        clock.advance(10)
        assert await socket.receive_json(timeout=30) == 0


@pytest.mark.parametrize("late", [False, True])
async def test_a_check_that_cannot_be_asked_does_not_end_it_before_exp(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    *,
    late: bool,
) -> None:
    """Although it refuses a request."""
    there, failing, asked = Live(aiohttp_client, issuer), False, asyncio.Event()

    async def check(_token: auth.AccessToken) -> bool:
        if failing:
            asked.set()
            await (asyncio.Event().wait() if late else asyncio.sleep(0))
            raise OSError
        return True

    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, hook_timeout=0.01
    )
    there.options = {"check_every": 10}
    await there.serve(auth.protected(check=check), validator)
    async with there.opened(there.mint(seconds=100)) as socket:
        failing = True
        assert await there.status(there.mint()) == 403
        asked.clear()
        clock.advance(10)
        await asyncio.wait_for(asked.wait(), 30)
        await asyncio.sleep(0.05)  # and it was looked at
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
        await send_token(socket, there.mint(seconds=200))
        assert (await answered(socket))["status"] == 503
        clock.advance(90)
        assert await closed(socket) == (4401, "The access token expired")
    assert reasons(caplog) == ["403 check", "503 check", "401 expired"]


@pytest.mark.parametrize("cancelled_by", ["aiohttp", "the server"])
async def test_a_polite_end_that_is_cancelled_becomes_an_abrupt_one(
    opens: Open, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, cancelled_by: str
) -> None:
    there: Live
    handlers: list[asyncio.Task[Any] | None] = []

    async def end(*_arguments: object) -> None:
        if cancelled_by == "aiohttp":  # a future that another send waits for, too
            raise asyncio.CancelledError
        assert handlers[0] is not None
        handlers[0].cancel()
        await asyncio.Event().wait()

    monkeypatch.setattr(connection, "say_end", end)
    monkeypatch.setattr(connection, "_LEAVE_SECONDS", 10)

    async def handler(request: web.Request) -> web.StreamResponse:
        handlers.append(asyncio.current_task())
        try:
            async with auth.live(request):
                await asyncio.Event().wait()
        except BaseException as error:
            there.left.append(error)
            raise
        raise AssertionError

    there = await opens(handler)
    async with there.opened(there.mint(seconds=10)) as socket:
        clock.advance(10)
        assert (await closed(socket)).code == 1006
    left = auth.InvalidTokenError if cancelled_by == "aiohttp" else asyncio.CancelledError
    assert isinstance(await there.has_left(), left)
