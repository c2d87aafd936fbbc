"""How does a stream end when its token is over?"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.live import connection, watch
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import Handler, Live
from support.logs import faults, reasons
from support.pages import example
from support.sockets import connected

Open = Callable[[Handler], Awaitable[Live]]
EVENTS = {"Content-Type": "text/event-stream"}
LAST = example("hello/docs/live-connections.md", "last-event").encode()


@pytest.fixture
def opens(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> Open:
    async def start(handler: Handler) -> Live:
        live = Live(aiohttp_client, issuer)
        await live.serve(auth.protected(permissions={"read:reports"}), validator, handler)
        return live

    return start


def streaming(headers: Any, *, prepared: bool = False, check_every: float = 60) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        if prepared:
            await response.prepare(request)
        async with auth.live(request, response, check_every=check_every) as stream:
            assert stream is response
            await stream.write(b"data: first\n\n")
            await asyncio.Event().wait()
        raise AssertionError

    return handler


def read_by_a_browser(stream: bytes) -> list[tuple[str, str]]:
    """The names and the data of the events, as WHATWG HTML §9.2.6 has them read."""
    events, name, data = [], "", list[str]()
    for line in re.split("\r\n|\n|\r", stream.decode())[:-1]:
        field, _, value = line.partition(":")
        if not line:
            if data:
                events.append((name or "message", "\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return events


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(
    ("headers", "last"), [(EVENTS, LAST), ({"Content-Type": "application/x-ndjson"}, b"")]
)
async def test_it_ends_at_exp_with_a_last_event(
    opens: Open,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    headers: dict[str, str],
    last: bytes,
    *,
    prepared: bool,
) -> None:
    there = await opens(streaming(headers, prepared=prepared))
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        assert await response.content.readuntil(b"\n\n") == b"data: first\n\n"
        clock.advance(10)
        assert await asyncio.wait_for(response.read(), 30) == last
    assert reasons(caplog) == ["401 expired"]
    assert [decision.outcome for decision in there.decisions] == ["allowed", "expired"]
    assert not faults(caplog)
    assert not watch.watch()._watched


async def test_it_ends_when_the_token_is_revoked(
    opens: Open, clock: FakeClock, revoked: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    there = await opens(streaming(EVENTS, check_every=10))
    async with there.client.get("/feed", headers=bearer(there.mint(sub="alice"))) as response:
        await response.content.readuntil(b"\n\n")
        revoked.add("alice")
        clock.advance(10)
        last = await asyncio.wait_for(response.read(), 30)
    [(event, data)] = read_by_a_browser(last)
    assert event == "close"
    assert json.loads(data)["code"] == 4401
    assert reasons(caplog) == ["401 revoked"]


@pytest.mark.parametrize(
    ("written", "before"),
    [
        ("", []),
        ("data: a\n\n", ["message"]),
        ("data: a\r\n\r\n", ["message"]),
        ("data: a\r\r", ["message"]),
        (": ping\n\n", []),
        ("id: 1\ndata: ", ["incomplete"]),
        ("id: 1\ndata: hal", ["incomplete"]),
        ("event: close\ndata: hal", ["incomplete"]),
        ("data: a\n", ["incomplete"]),
        ("data: a\r\n", ["incomplete"]),
        ("data: a\r", ["incomplete"]),
        ("data: a\ndat", ["incomplete"]),
        ("data: a\nevent", ["incomplete"]),
        ("data", ["incomplete"]),
        ("eve", []),
        (": pi", []),
    ],
)
async def test_the_last_event_is_one_of_its_own_whatever_was_written_before(
    opens: Open, clock: FakeClock, written: str, before: list[str]
) -> None:
    """And what was written in part is not taken for a whole event."""

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, web.StreamResponse(headers=EVENTS)) as stream:
            await stream.write(b"retry: 1\n\n" + written.encode())
            await asyncio.Event().wait()
        raise AssertionError

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\n\n")
        clock.advance(10)
        *others, last = read_by_a_browser(await asyncio.wait_for(response.read(), 30))
    assert (last[0], json.loads(last[1])["code"]) == ("close", 4401)
    assert [name for name, _ in others] == before


async def test_it_needs_a_good_token_to_begin(
    opens: Open, caplog: pytest.LogCaptureFixture
) -> None:
    there = await opens(streaming(EVENTS))
    for headers, status in (
        ({}, 401),
        (bearer(there.mint(aud="x")), 401),
        (bearer(there.mint(permissions=[])), 403),
    ):
        async with there.client.get("/feed", headers=headers) as response:
            assert response.status == status
    assert reasons(caplog) == ["401 no_credentials", "401 audience", "403 permissions"]


async def test_it_does_not_begin_when_the_token_has_expired(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as while the handler prepared for it."""
    streams = streaming(EVENTS)

    async def handler(request: web.Request) -> web.StreamResponse:
        clock.advance(2)
        return await streams(request)

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=1))) as response:
        assert response.status == 401
        assert "error_description" in response.headers["WWW-Authenticate"]
    assert reasons(caplog) == ["401 expired"]


@pytest.mark.parametrize("prepared", [False, True])
async def test_head_is_answered_without_a_body(
    opens: Open, caplog: pytest.LogCaptureFixture, *, prepared: bool
) -> None:
    there = await opens(streaming(EVENTS, prepared=prepared))
    async with there.client.head("/feed", headers=bearer(there.mint())) as response:
        assert response.status == 200
        assert response.content_type == EVENTS["Content-Type"]
    async with there.client.head("/feed", headers=bearer(there.mint(aud="x"))) as response:
        assert response.status == 401
    async with connected(there.client.port or 0) as connection:  # it has ended, so another may come
        lines = "Host: a\r\nAuthorization: Bearer " + there.mint()
        connection.send(f"HEAD /feed HTTP/1.1\r\n{lines}\r\n\r\n".encode())
        connection.send(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        statuses = [(await asyncio.wait_for(connection.answer(), 30)).status for _ in range(2)]
    assert statuses == [200, 404]
    assert not faults(caplog)
    assert [decision.outcome for decision in there.decisions] == ["allowed", "audience", "allowed"]


@pytest.mark.parametrize("response", [web.Response, lambda: web.FileResponse("README.md")])
async def test_a_response_that_nobody_writes_to_is_refused(opens: Open, response: Any) -> None:
    errors: list[Exception] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            auth.live(request, response())
        except TypeError as error:
            errors.append(error)
        return web.Response()

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint())):
        assert len(errors) == 1


async def test_it_is_used_once_at_a_time(opens: Open) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, web.StreamResponse()) as stream:
            with pytest.raises(RuntimeError):
                async with auth.live(request, stream):
                    pass
            await stream.write(b"refused")
        async with auth.live(request, stream):
            await stream.write(b", and then not")
        return stream

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint())) as response:
        assert await response.read() == b"refused, and then not"


async def test_a_stream_that_ends_by_itself_gets_no_last_event(opens: Open) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, web.StreamResponse(headers=EVENTS)) as events:
            await events.write(b"data: first\n\n")
        return events

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint())) as response:
        assert await response.read() == b"data: first\n\n"


async def test_a_handler_may_write_its_own_end(opens: Open, clock: FakeClock) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            async with auth.live(request, response):
                await response.write(b"first\n")
                await asyncio.Event().wait()
        except auth.AuthError:
            await response.write(b"end\n")
        return response

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\n")
        clock.advance(10)
        assert await asyncio.wait_for(response.read(), 30) == b"end\n"


async def test_a_client_that_does_not_read_is_cut_off(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        try:
            async with auth.live(request, response):
                begun.set()
                while True:
                    await response.write(b"x" * 1_000_000)
        finally:
            left.set()

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))):
        await begun.wait()
        clock.advance(10)
        await asyncio.wait_for(left.wait(), 30)
    assert reasons(caplog) == ["401 expired"]


async def test_a_client_that_is_gone_leaves_no_fault(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        try:
            async with auth.live(request, response):
                await response.write(b"data: first\n\n")
                await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    clock.advance(10)
    await asyncio.wait_for(left.wait(), 30)
    assert reasons(caplog) == ["401 expired"]
    assert not faults(caplog)


async def test_a_handler_that_goes_on_without_a_client_is_not_disturbed(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to cut off then."""
    interrupted, go_on = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        async with auth.live(request, response):
            await response.write(b"data: first\n\n")
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                interrupted.set()
                await asyncio.sleep(2 * connection._LEAVE_SECONDS)
        raise AssertionError

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    clock.advance(10)
    await asyncio.wait_for(interrupted.wait(), 30)
    async with asyncio.timeout(30):
        while not reasons(caplog):  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.01)
    assert reasons(caplog) == ["401 expired"]
    assert not faults(caplog)


async def test_an_event_stream_of_aiohttp_sse_ends_too(
    opens: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    sse = pytest.importorskip("aiohttp_sse")

    async def handler(request: web.Request) -> web.StreamResponse:
        async with sse.sse_response(request) as events, auth.live(request, events):
            await events.send("first")
            await asyncio.Event().wait()
        raise AssertionError

    there = await opens(handler)
    async with there.client.get("/feed", headers=bearer(there.mint(seconds=10))) as response:
        await response.content.readuntil(b"\r\n\r\n")
        clock.advance(10)
        assert await asyncio.wait_for(response.read(), 30) == LAST
    assert reasons(caplog) == ["401 expired"]
    assert not faults(caplog)
