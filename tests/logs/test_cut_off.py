"""Has a request whose answer is cut off a line in the access log, and one only?"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import ClientSession, web

from hello import connections
from hello.connections import Runner
from support.logs import JsonLines, json_lines
from support.sockets import app_with, connected, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def log() -> Iterator[JsonLines]:
    with json_lines() as lines:
        yield lines


def line(log: JsonLines) -> dict[str, Any]:
    """The one line of the access log."""
    [entry] = log.of("hello.access")
    assert entry["peer"] == "127.0.0.1"
    assert entry["milliseconds"] >= 0
    assert len(entry["request_id"]) == 32
    return entry


async def events(request: web.Request) -> web.StreamResponse:
    return await endless(request, "text/event-stream")


async def download(request: web.Request) -> web.StreamResponse:
    return await endless(request, "text/plain")


async def endless(request: web.Request, content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    await response.prepare(request)
    while True:
        await response.write(b"data: more\n\n")
        await asyncio.sleep(0)


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def websocket(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        pass
    return socket


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise ZeroDivisionError


async def written(log: JsonLines) -> None:
    """Wait until there is a line."""
    async with asyncio.timeout(30):
        while not log.of("hello.access"):  # noqa: ASYNC110 - it is no event
            await asyncio.sleep(0)


async def test_a_client_that_leaves_an_event_stream(log: JsonLines) -> None:
    async with serving(app_with(events)) as port:
        async with connected(port) as connection:
            connection.send(REQUEST)
            await connection.reader.readuntil(b"data: more")
        await written(log)
    entry = line(log)
    assert (entry["status"], entry["cut_off"]) == (200, True)
    assert entry["message"].endswith(" ms cut off")


async def test_a_handler_that_fails_half_way(log: JsonLines) -> None:
    async with serving(app_with(half)) as port, connected(port) as connection:
        connection.send(REQUEST)
        await connection.rest()
    assert (line(log)["status"], line(log)["cut_off"]) == (200, True)


@pytest.mark.parametrize(
    ("handler", "status", "cut_off"),
    [(events, 200, False), (download, 200, True), (silent, None, True)],
)
async def test_a_server_that_stops(
    log: JsonLines,
    monkeypatch: pytest.MonkeyPatch,
    handler: Handler,
    status: int | None,
    *,
    cut_off: bool,
) -> None:
    """It ends event streams, and cuts off the rest when the time is up."""
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", 0.1)
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 0.1)
    begun = asyncio.Event()

    async def noted(request: web.Request) -> web.StreamResponse:
        begun.set()
        return await handler(request)

    async with serving(app_with(noted)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        await begun.wait()
    await written(log)
    writer.close()
    assert (line(log)["status"], line(log)["cut_off"]) == (status, cut_off)
    assert (" GET / - " in line(log)["message"]) is (status is None)


@pytest.mark.parametrize("polite", [True, False])
async def test_a_websocket_has_one_line_however_it_ends(log: JsonLines, *, polite: bool) -> None:
    async with serving(app_with(websocket)) as port, ClientSession() as session:
        socket = await session.ws_connect(f"http://127.0.0.1:{port}/")
        if polite:
            await socket.close()
        else:
            assert socket._response.connection is not None
            assert socket._response.connection.transport is not None
            socket._response.connection.transport.abort()
        await written(log)
    assert line(log)["status"] == 101


async def test_a_server_without_an_access_log_has_none(log: JsonLines) -> None:
    runner = Runner(app_with(half), access_log=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connected(runner.addresses[0][1]) as connection:
        connection.send(REQUEST)
        await connection.rest()
    await runner.cleanup()
    assert log.of("hello")
    assert not log.of("hello.access")


async def test_an_answer_that_is_complete_is_not_cut_off(log: JsonLines) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=201)

    async with serving(app_with(answer)) as port, connected(port) as connection:
        await connection.get("/")
    assert (line(log)["status"], line(log)["cut_off"]) == (201, False)
