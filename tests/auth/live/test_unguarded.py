"""Does it fail loudly if a handler does not use `auth.live` as it has to?"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientError, web

from hello import auth
from hello.auth.live.socket import SocketOptions
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.live import Handler, Live, answered, send_token
from support.logs import faults, reasons, why
from support.sockets import connected

Open = Callable[..., Awaitable[Live]]
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
EVENTS = {"Content-Type": "text/event-stream"}


@pytest.fixture
def opens(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> Open:
    async def start(handler: Handler, also_from: Any = (), *middlewares: Any) -> Live:
        async def marked(request: web.Request) -> web.StreamResponse:  # a function has one mark
            return await handler(request)

        live = Live(aiohttp_client, issuer)
        mark = auth.protected(permissions={"read:reports"}, also_from=also_from)
        await live.serve(mark, validator, marked, middlewares=middlewares)
        return live

    return start


def only_fault(caplog: pytest.LogCaptureFixture) -> BaseException:
    [fault] = faults(caplog)
    assert fault.levelno == logging.ERROR
    return why(fault)


# --- A WebSocket of the handler's own ------------------------------------------------------------


async def opens_its_own(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str("secret")
    return socket


@pytest.mark.parametrize("also_from", [{"subprotocol"}, {"message"}, {"subprotocol", "message"}])
@pytest.mark.parametrize("place", ["header", "subprotocol"])
async def test_a_handler_whose_token_may_be_elsewhere_cannot_open_a_socket_of_its_own(
    opens: Open, caplog: pytest.LogCaptureFixture, also_from: set[str], place: str
) -> None:
    there = await opens(opens_its_own, also_from)
    token = there.mint()
    places = {
        "header": bearer(token),
        "subprotocol": {"Sec-WebSocket-Protocol": f"bearer, {token}"},
    }
    async with there.client.get("/feed", headers={**HANDSHAKE, **places[place]}) as response:
        assert response.status == 500
        assert "secret" not in await response.text()
    assert "auth.live" in str(only_fault(caplog))
    assert token not in caplog.text


async def test_any_other_handler_can_and_answers_of_another_kind_may_leave(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def answers(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    there = await opens(opens_its_own)
    assert await there.status(there.mint()) == 101
    there = await opens(answers, {"subprotocol"})
    async with there.client.get("/feed", headers=bearer(there.mint())) as response:
        assert response.status == 200
    assert not faults(caplog)


@pytest.mark.parametrize(
    ("offers", "shown"),
    [
        (["bearer", "secret"], False),
        (["Bearer", "secret"], False),
        (["v9", "base64url.bearer.authorization.k8s.io.c2VjcmV0"], False),
        (["secret" * 6], False),
        (["v9", "secret"], True),
    ],
)
async def test_no_token_that_a_client_offers_gets_into_the_log_of_aiohttp(
    opens: Open, caplog: pytest.LogCaptureFixture, offers: list[str], *, shown: bool
) -> None:
    there = await opens(opens_its_own)
    assert await there.status(there.mint(), protocols=offers) == 101
    [record] = [each for each in caplog.records if each.name == "aiohttp.websocket"]
    assert (("secret" in record.getMessage()), ("c2Vj" in record.getMessage())) == (shown, False)


async def test_what_else_aiohttp_logs_about_sockets_stays_as_it_is(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    await opens(opens_its_own)
    logger = logging.getLogger("aiohttp.websocket")
    logger.warning("one %(name)s", {"name": "a"})
    logger.warning("two")
    assert caplog.messages[-2:] == ["one a", "two"]


# --- No block ------------------------------------------------------------------------------------


async def calls_only(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=EVENTS)
    auth.live(request, response)
    await response.prepare(request)
    return response


async def calls_for_a_socket(request: web.Request) -> web.StreamResponse:
    auth.live(request)
    return web.Response()


@pytest.mark.parametrize("handler", [calls_only, calls_for_a_socket])
async def test_a_call_alone_guards_nothing_so_nothing_is_sent(
    opens: Open, caplog: pytest.LogCaptureFixture, handler: Handler
) -> None:
    there = await opens(handler)
    async with connected(there.client.port or 0) as connection:
        headers = {"Host": "a", **HANDSHAKE, **bearer(there.mint())}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        connection.send("\r\n".join(["GET /feed HTTP/1.1", *lines, "", ""]).encode())
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 30)
    assert head.startswith(b"HTTP/1.1 500 ")
    assert "async with" in str(only_fault(caplog))


async def test_a_stream_that_was_begun_before_is_cut_off(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            events = web.StreamResponse(headers=EVENTS)
            await events.prepare(request)
            auth.live(request, events)
            await left.wait()
        finally:
            left.set()
        return events

    there = await opens(handler)
    with pytest.raises(ClientError):
        async with there.client.get("/feed", headers=bearer(there.mint())) as response:
            await asyncio.wait_for(response.read(), 30)
    left.set()
    [fault] = faults(caplog)
    assert (fault.levelno, "async with" in fault.getMessage()) == (logging.ERROR, True)


async def test_an_error_may_leave_although_the_block_did_not_begin(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        auth.live(request, web.StreamResponse())
        raise web.HTTPNotFound

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint())) as response:
        assert response.status == 404
    assert not faults(caplog)


# --- Before the first message ---------------------------------------------------------------------


async def test_a_middleware_runs_before_the_first_message(opens: Open) -> None:
    seen: list[object] = []

    @web.middleware
    async def within(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append(auth.token_or_none(request))
        try:
            auth.token(request)
        except RuntimeError as error:
            seen.append("auth.live" in str(error))
        return await handler(request)

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request) as socket:
            seen.append(auth.token(request).token)
        return socket

    there = await opens(handler, {"message"}, within)
    token = there.mint()
    async with there.opened() as socket:
        await send_token(socket, token)
        assert (await answered(socket))["status"] == 200
    assert seen == [None, True, token]


# --- Options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "options"),
    [
        (None, {"origin": {"https://app.example.com"}}),
        (None, {"heartbit": 1}),
        (web.StreamResponse, {"heartbeat": 1}),
        (web.StreamResponse, {"origins": ["https://app.example.com"]}),
        (web.StreamResponse, {"protocols": ["v1"]}),
    ],
)
async def test_an_option_that_does_nothing_is_refused(
    opens: Open, caplog: pytest.LogCaptureFixture, response: Any, options: dict[str, Any]
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        given = () if response is None else (response(),)
        async with auth.live(request, *given, **options):
            raise AssertionError

    there = await opens(handler)
    headers = {**HANDSHAKE, **bearer(there.mint())}
    async with there.client.get("/feed", headers=headers) as answer:
        assert answer.status == 500
    error = only_fault(caplog)
    assert isinstance(error, TypeError)
    assert next(iter(options)) in str(error)
    assert "WebSocket" in str(error)
    assert "__init__" not in str(error)


async def test_the_options_of_a_socket_reach_it(opens: Open) -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, heartbeat=None, compress=False) as socket:
            seen.append((socket._heartbeat, socket._max_msg_size))
        return socket

    there = await opens(handler)
    assert await there.status(there.mint()) == 101
    assert seen == [(None, 64 * 1024)]
    assert {"heartbeat", "compress"} < set(SocketOptions.__annotations__)


# --- Versions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["14", "8", ""])
@pytest.mark.parametrize(
    ("also_from", "with_token"),
    [((), True), ({"message"}, True), ({"message"}, False), ({"subprotocol"}, False)],
)
async def test_who_asks_for_another_version_is_told_the_known_one(
    opens: Open,
    caplog: pytest.LogCaptureFixture,
    version: str,
    also_from: Any,
    *,
    with_token: bool,
) -> None:
    """RFC 6455, section 4.4."""

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request) as socket:
            return socket

    there = await opens(handler, also_from)
    headers = {**HANDSHAKE, "Sec-WebSocket-Version": version}
    headers |= bearer(there.mint()) if with_token else {}
    async with there.client.get("/feed", headers=headers) as response:
        assert response.status == 400
        assert response.headers["Sec-WebSocket-Version"] == "13"
    assert not faults(caplog)
    assert not reasons(caplog)
