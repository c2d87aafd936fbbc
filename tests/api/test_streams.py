"""How do event streams and WebSockets end when the server stops?"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from hello import connections, streams
from hello.server import Runner
from support.logs import faults
from support.sockets import PATIENCE, app_with, connected

EVENTS = {"Content-Type": "text/event-stream"}
NEVER = 3 * PATIENCE  # seconds: a test that waits for so long fails
LARGE = b"x" * 1_000_000
OPEN_SOCKET = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CLOSE_FRAME = b"\x88\x02\x03\xe9"  # 1001 (RFC 6455 §5.5.1)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Served(NamedTuple):
    """An application that is served, and its server."""

    port: int
    runner: Runner

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def stop(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.runner.cleanup())


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Served]:
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Served(int(runner.addresses[0][1]), runner)
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for the drain would be a second for each test that has a connection left.

    And what has to be ended is not left to the time that all requests have.
    """
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", NEVER)
    monkeypatch.setattr(streams, "_LOOK_SECONDS", 0.01)


async def opened(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("first")
    return socket


async def receives(request: web.Request) -> web.StreamResponse:
    socket = await opened(request)
    async for _message in socket:
        pass
    return socket


async def sends(request: web.Request) -> web.StreamResponse:
    socket = await opened(request)
    while True:
        await asyncio.sleep(0)
        await socket.send_str("more")


async def waits_for_something_else(request: web.Request) -> web.StreamResponse:
    await opened(request)
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("handler", [receives, sends, waits_for_something_else])
async def test_a_websocket_is_closed_with_1001_whatever_its_handler_waits_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, handler: Handler
) -> None:
    monkeypatch.setattr(streams, "_END_SECONDS", 1)  # the client answers the close frame by then
    async with (
        serving(app_with(handler)) as served,
        aiohttp.ClientSession() as session,
        session.ws_connect(served.url) as socket,
    ):
        await socket.receive_str()
        stopped = served.stop()
        kinds = {message.type async for message in socket}
        assert kinds <= {WSMsgType.TEXT}
        assert socket.close_code == WSCloseCode.GOING_AWAY
        await asyncio.wait_for(stopped, PATIENCE)
    assert not faults(caplog)


async def begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=EVENTS)
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    return response


async def has_no_event(request: web.Request) -> web.StreamResponse:
    await begun(request)
    await asyncio.Event().wait()
    raise AssertionError


async def writes(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    while True:
        await asyncio.sleep(0)
        await response.write(b"data: more\n\n")


async def says_goodbye(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await response.write(b"event: restart\ndata: {}\n\n")
        raise
    raise AssertionError


async def returns(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return response
    raise AssertionError


async def is_compressed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=EVENTS)
    response.enable_compression()
    await response.prepare(request)
    await response.write(b"data: first\n\n")
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("handler", "last"),
    [
        (has_no_event, b"data: first\n\n"),
        (writes, b"data: more\n\n"),
        (says_goodbye, b"event: restart\ndata: {}\n\n"),
        (returns, b"data: first\n\n"),
        (is_compressed, b"data: first\n\n"),
    ],
)
async def test_an_event_stream_is_complete_with_what_its_handler_still_sends(
    caplog: pytest.LogCaptureFixture, handler: Handler, last: bytes
) -> None:
    """Its client would see an error otherwise, and its line is in the access log."""
    with caplog.at_level(logging.INFO):
        async with (
            serving(app_with(handler)) as served,
            aiohttp.ClientSession() as session,
            session.get(served.url, headers={"Accept-Encoding": "gzip"}) as response,
        ):
            stopped = served.stop()
            assert (await response.read()).endswith(last)
            await asyncio.wait_for(stopped, PATIENCE)
    assert not faults(caplog)
    assert [record.name for record in caplog.records].count("hello.access") == 1


async def test_a_stream_of_a_sub_application_is_ended_too() -> None:
    app = web.Application()
    app.add_subapp("/sub", app_with(has_no_event))
    async with (
        serving(app) as served,
        aiohttp.ClientSession() as session,
        session.get(f"{served.url}sub/") as response,
    ):
        stopped = served.stop()
        assert await response.read() == b"data: first\n\n"
        await asyncio.wait_for(stopped, PATIENCE)


def telling(drained: asyncio.Event, app: web.Application) -> web.Application:
    """An application that tells when its server is past the drain."""

    async def tell(_app: web.Application) -> None:
        drained.set()

    app.on_shutdown.append(tell)
    return app


async def test_a_stream_that_begins_during_the_stop_is_ended_too() -> None:
    asked, drained, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def begins_late(request: web.Request) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return await has_no_event(request)

    async with (
        serving(telling(drained, app_with(begins_late))) as served,
        aiohttp.ClientSession() as session,
    ):
        answer = asyncio.create_task(session.get(served.url))
        await asked.wait()
        stopped = served.stop()
        await drained.wait()
        go_on.set()
        response = await answer
        async with response:
            assert await response.read() == b"data: first\n\n"
        await asyncio.wait_for(stopped, PATIENCE)


async def test_a_stream_whose_head_is_not_sent_yet_begins_before_it_is_ended() -> None:
    asked, drained, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def delay(_request: web.Request, _response: web.StreamResponse) -> None:
        asked.set()
        await go_on.wait()

    inner, app = app_with(has_no_event), web.Application()
    inner.on_response_prepare.append(delay)
    app.add_subapp("/sub", inner)
    async with serving(telling(drained, app)) as served, aiohttp.ClientSession() as session:
        answer = asyncio.create_task(session.get(f"{served.url}sub/"))
        await asked.wait()
        stopped = served.stop()
        await drained.wait()
        go_on.set()
        response = await answer
        async with response:
            assert await response.read() == b"data: first\n\n"
        await asyncio.wait_for(stopped, PATIENCE)


async def test_a_download_goes_on_to_its_end() -> None:
    drained, go_on = asyncio.Event(), asyncio.Event()

    async def download(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/zip"})
        await response.prepare(request)
        await response.write(b"half")
        await go_on.wait()
        await response.write(b", and the other half")
        return response

    async with (
        serving(telling(drained, app_with(download))) as served,
        aiohttp.ClientSession() as session,
        session.get(served.url) as response,
    ):
        stopped = served.stop()
        await drained.wait()
        go_on.set()
        assert await response.read() == b"half, and the other half"
        await asyncio.wait_for(stopped, PATIENCE)


# --- Those who do not end by themselves ----------------------------------------------------------


async def sends_more_than_is_read(request: web.Request) -> web.StreamResponse:
    response = await begun(request)
    while True:
        await response.write(LARGE)


async def sends_more_messages_than_are_read(request: web.Request) -> web.StreamResponse:
    socket = await opened(request)
    while True:
        await socket.send_bytes(LARGE)


@pytest.mark.parametrize(
    ("handler", "request_bytes"),
    [
        (sends_more_than_is_read, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (sends_more_messages_than_are_read, OPEN_SOCKET),
    ],
)
async def test_a_client_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    handler: Handler,
    request_bytes: bytes,
) -> None:
    monkeypatch.setattr(streams, "_END_SECONDS", 0.1)
    async with serving(app_with(handler)) as served, connected(served.port) as connection:
        connection.send(request_bytes)
        await connection.reader.readuntil(b"\r\n\r\n")
        await asyncio.wait_for(served.stop(), PATIENCE)
    assert not faults(caplog)


@pytest.mark.parametrize(
    ("handler", "request_bytes"),
    [
        (has_no_event, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (waits_for_something_else, OPEN_SOCKET),
    ],
)
async def test_a_handler_whose_client_is_gone_already_is_ended_too(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    handler: Handler,
    request_bytes: bytes,
) -> None:
    monkeypatch.setattr(streams, "_END_SECONDS", 0.1)
    async with serving(app_with(handler)) as served:
        async with connected(served.port) as connection:
            connection.send(request_bytes)
            await connection.reader.readuntil(b"first")
        server = served.runner.server
        assert server is not None
        [left] = server.connections
        async with asyncio.timeout(PATIENCE):
            while left.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for it
                await asyncio.sleep(0)
        await asyncio.wait_for(served.stop(), PATIENCE)
    assert not faults(caplog)


async def test_a_client_that_ignores_the_close_frame_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_END_SECONDS", 0.1)
    app = app_with(waits_for_something_else)
    async with serving(app) as served, connected(served.port) as connection:
        connection.send(OPEN_SOCKET)
        await connection.reader.readuntil(b"first")
        await asyncio.wait_for(served.stop(), PATIENCE)
        assert await connection.rest() == CLOSE_FRAME


@pytest.mark.parametrize("lets_go", [True, False])
async def test_a_handler_that_ignores_its_cancellation_is_cut_off_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, lets_go: bool
) -> None:
    """Its client is told when its time is up, and not only when that of all requests is."""
    monkeypatch.setattr(streams, "_END_SECONDS", 0.1)
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", NEVER if lets_go else 1)
    cancelled, let_go = 0, asyncio.Event()

    async def never_ends(request: web.Request) -> web.StreamResponse:
        nonlocal cancelled
        response = await begun(request)
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                cancelled += 1
        return response

    async with serving(app_with(never_ends)) as served:
        async with connected(served.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await connection.reader.readuntil(b"first\n\n")
            stopped = served.stop()
            with suppress(ConnectionError):
                await connection.rest()
            if lets_go:
                let_go.set()
            await asyncio.wait_for(stopped, PATIENCE)
        assert cancelled >= 2
        let_go.set()
