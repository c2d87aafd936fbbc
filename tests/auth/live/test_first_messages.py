"""Can anything leave a handler that runs before there is a token?"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSCloseCode, web

from hello import auth
from hello.auth.live.socket import LiveSocket
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import Handler, Live, answered, closed, send_token
from support.logs import faults, reasons
from support.protecting import new_handler
from support.sockets import connected

Start = Callable[..., Awaitable[Live]]
Open = Callable[[Handler], Awaitable[Live]]
FIRST_MESSAGE = auth.protected(permissions={"read:reports"}, also_from={"message"})
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture
def opens(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> Open:
    """Serves a handler whose mark allows a first message."""

    async def start(handler: Handler) -> Live:
        live = Live(aiohttp_client, issuer)
        await live.serve(FIRST_MESSAGE, validator, handler)
        return live

    return start


# --- Handlers that do not ask --------------------------------------------------------------------


async def opens_its_own(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("secret")
    return socket


async def streams(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"secret")
    return response


async def answers(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="secret")


async def reads_the_token(request: web.Request) -> web.StreamResponse:
    return web.Response(text=str(auth.token(request).subject))


async def gives_a_socket_of_its_own(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, web.WebSocketResponse()) as socket:
        await socket.send_str("secret")
    return socket


@pytest.mark.parametrize(
    "handler",
    [opens_its_own, answers, reads_the_token, gives_a_socket_of_its_own],
)
async def test_a_handler_that_does_not_ask_for_the_token_fails(opens: Open, handler: Any) -> None:
    there = await opens(handler)
    async with there.client.get("/feed", headers=HANDSHAKE) as response:
        assert response.status == 500
        assert "secret" not in await response.text()
    async with there.client.get("/feed") as response:  # which is no handshake
        assert response.status == 401


async def test_a_handler_that_streams_without_asking_is_cut_off(opens: Open) -> None:
    """Aiohttp has begun the answer by then, so the 500 cannot be read by every client."""
    there = await opens(streams)
    async with connected(there.client.port or 0) as connection:
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        connection.send("\r\n".join(["GET /feed HTTP/1.1", "Host: a", *lines, "", ""]).encode())
        answer = await connection.rest()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer


async def opens_a_stream(request: web.Request) -> web.StreamResponse:
    async with auth.live(request, web.StreamResponse()) as stream:
        await stream.write(b"secret")
    return stream


async def test_a_stream_has_no_first_message(opens: Open, caplog: pytest.LogCaptureFixture) -> None:
    there = await opens(opens_a_stream)
    async with there.client.get("/feed", headers=HANDSHAKE) as response:
        assert response.status == 401
    assert reasons(caplog) == ["401 no_credentials"]


@pytest.mark.parametrize("error", [web.HTTPFound("/login"), web.HTTPNotFound()])
async def test_an_error_and_a_redirect_may_leave(opens: Open, error: web.HTTPException) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    there = await opens(handler)
    async with there.client.get("/feed", headers=HANDSHAKE, allow_redirects=False) as response:
        assert response.status == error.status


async def test_it_calls_no_other_marked_handler_before_there_is_a_token(opens: Open) -> None:
    called = False

    @auth.protected(permissions={"read:reports"})
    async def other(_request: web.Request) -> web.Response:
        nonlocal called
        called = True
        return web.Response()

    async def handler(request: web.Request) -> web.StreamResponse:
        await other(request)
        raise AssertionError

    there = await opens(handler)
    async with there.client.get("/feed", headers=HANDSHAKE) as response:
        assert response.status == 500
    assert not called


# --- Which requests may wait ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "method"),
    [
        ({"Connection": "close"}, "GET"),
        ({"Upgrade": "h2c"}, "GET"),
        ({"Upgrade": "websocket, h2c"}, "GET"),
        ({"Sec-WebSocket-Key": "AAAA"}, "GET"),
        ({"Sec-WebSocket-Key": "A" * 24}, "GET"),
        ({"Sec-WebSocket-Key": "\u00e4" * 22 + "=="}, "GET"),
        ({}, "HEAD"),
    ],
)
async def test_only_a_handshake_gets_in_without_a_token(
    opens: Open, caplog: pytest.LogCaptureFixture, changed: dict[str, str], method: str
) -> None:
    there = await opens(answers)
    headers = {**HANDSHAKE, **changed}
    async with there.client.request(method, "/feed", headers=headers) as response:
        assert response.status == 401
    assert reasons(caplog) == ["401 no_credentials"]


# --- The first message ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        "",
        "hello",
        "{}",
        '"access_token"',
        "\u00e4\U0001f600\x00",
        '["access_token"]',
        "[" * 10_000,
        b"",
        b'{"access_token": "x"}',
    ],
)
async def test_a_first_message_without_a_token_closes_it(
    live: Start, caplog: pytest.LogCaptureFixture, first: str | bytes
) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        await (socket.send_str(first) if isinstance(first, str) else socket.send_bytes(first))
        assert await closed(socket) == (4401, "Requires authentication")
    assert reasons(caplog) == ["401 no_credentials"]
    assert not faults(caplog)


@pytest.mark.parametrize("first", ['{"access_token"', '{"access_token": "%s"}' % ("x" * 16_384)])
async def test_a_malformed_first_message_closes_it(
    live: Start, caplog: pytest.LogCaptureFixture, first: str
) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        await socket.send_str(first)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 malformed"]


async def test_who_leaves_before_the_first_message_is_not_refused(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """And nobody is, when the server stops."""
    there = await live({"message"})
    async with there.opened():
        pass
    await there.has_left()
    there.left.clear()
    async with there.opened() as socket:
        closing = asyncio.create_task(there.client.server.close())
        assert (await closed(socket)).code == WSCloseCode.GOING_AWAY
    await closing
    await there.has_left()
    assert reasons(caplog) == []
    assert there.decisions == []


async def test_a_huge_first_message_is_not_read_to_its_end(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        await socket.send_str("x" * 70_000)
        assert (await closed(socket)).code == WSCloseCode.MESSAGE_TOO_BIG
    assert reasons(caplog) == ["401 no_credentials"]
    assert not faults(caplog)


async def test_pings_do_not_give_a_client_more_time(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"message"}, first_message_timeout=0.2)
    async with there.opened() as socket:

        async def ping() -> None:
            while not socket.closed:
                await socket.ping()
                await asyncio.sleep(0.01)

        pinging = asyncio.create_task(ping())
        async with asyncio.timeout(30):
            assert (await closed(socket)).code == 4401
        pinging.cancel()
        await asyncio.wait({pinging})
    assert reasons(caplog) == ["401 no_credentials"]
    assert not faults(caplog)


async def test_a_client_that_goes_away_at_once_leaves_nothing(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"message"})
    async with there.opened():
        pass
    async with there.opened() as socket:
        transport = socket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
    for _ in range(2):
        assert isinstance(await there.has_left(), auth.UnauthorizedError)
    assert not faults(caplog)


async def test_a_token_that_expired_is_refused_although_clocks_may_differ(
    live: Start, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"message"})
    for first in (None, there.mint()):
        async with there.opened(first) as socket:
            await send_token(socket, there.mint(seconds=-1))
            assert await closed(socket) == (4401, "The access token expired")
    assert await there.status(there.mint(seconds=0)) == 401
    assert reasons(caplog) == ["401 expired"] * 3
    assert not faults(caplog)


async def test_a_token_that_expires_before_the_answer_to_it_begins_nothing(
    live: Start,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = await live({"message"})

    async def prepare(socket: LiveSocket, request: web.Request) -> Any:
        clock.advance(10)
        return await web.WebSocketResponse.prepare(socket, request)

    monkeypatch.setattr(LiveSocket, "prepare", prepare)
    async with there.opened(there.mint(seconds=10)) as socket:
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 expired"]


async def test_a_second_token_may_follow_at_once(live: Start) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        for _ in range(2):
            await send_token(socket, there.mint())
        for _ in range(2):
            assert (await answered(socket))["status"] == 200


async def test_a_token_of_both_header_and_first_message_is_a_renewal(live: Start) -> None:
    there = await live({"message"})
    async with there.opened(there.mint(sub="alice")) as socket:
        await send_token(socket, there.mint(sub="bob"))
        assert (await closed(socket)).code == 4401


async def test_a_handler_that_is_public_or_optional_has_no_token_to_watch(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> None:
    for mark, with_token in ((auth.public, 500), (auth.optional, 101)):
        there = Live(aiohttp_client, issuer)
        await there.serve(mark, validator)
        assert await there.status(there.mint()) == with_token
        assert await there.status() == 500
        assert isinstance(there.left[-1], RuntimeError)


# --- The mark ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "also_from",
    [
        *("message", "messages", None, True, {"messages"}, {"header"}, [None], iter(["message"])),
        *([["message"]], {"message": 1}),
    ],
)
def test_a_place_that_does_not_exist_is_refused_at_import(also_from: Any) -> None:
    with pytest.raises(TypeError, match=r"also_from is a set"):
        auth.protected(also_from=also_from)


def test_a_name_alone_is_told_how_to_be_written() -> None:
    also_from: Any = "message"
    with pytest.raises(TypeError, match=r"also_from=\{'message'\}"):
        auth.protected(also_from=also_from)


@pytest.mark.parametrize("make", [auth.RouteTable, web.RouteTableDef, web.Application])
def test_a_group_cannot_be_marked_with_it(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="also_from"):
        auth.protected(also_from={"message"})(make())


async def test_it_is_listed_with_the_routes(opens: Open) -> None:
    there = await opens(answers)
    [access] = {route.access for route in auth.routes(there.app)}
    assert access == "permission read:reports, also from message"


async def test_a_view_may_have_it_and_hands_it_to_no_subclass(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> None:
    there = Live(aiohttp_client, issuer)

    @auth.protected(permissions={"read:reports"})
    class Feed(web.View):
        @auth.protected(also_from={"message"})
        async def get(self) -> web.StreamResponse:
            return await there.echo(self.request)

    class Inherits(Feed):
        async def get(self) -> web.StreamResponse:
            return await super().get()

    app = web.Application()
    auth.setup(app, validator)
    app.router.add_view("/feed", Feed)
    app.router.add_view("/inherits", Inherits)
    app.router.add_get("/other", new_handler())
    there.client = await aiohttp_client(ApiServer(app))
    for permissions, code in ((["read:reports"], None), ([], 4403)):
        async with there.opened() as socket:
            await send_token(socket, there.mint(permissions=permissions))
            if code is None:
                assert (await answered(socket))["status"] == 200
            else:
                assert (await closed(socket)).code == code
    async with there.client.get("/inherits", headers=HANDSHAKE) as response:
        assert response.status == 401
    async with there.client.ws_connect("/inherits", headers=bearer(there.mint())) as socket:
        await socket.send_str(json.dumps({"hello": 1}))
        assert await socket.receive_json() == {"hello": 1}
