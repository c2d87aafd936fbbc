"""Do event streams and WebSockets pass through nginx as hello/docs/streams-and-limits.md says?"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, web

from support.api import ApiServer, Client
from support.nginx import HOST, NEEDS_NGINX, SITE, Site, in_the_site, serving
from support.pages import example

pytestmark = NEEDS_NGINX

PAGE = "hello/docs/streams-and-limits.md"
FEED = example(PAGE, "websocket-location")
SITE_WITH_FEED = in_the_site(FEED)
PROTECTED = '@auth.protected(permissions={"read:reports"})\n'


@asynccontextmanager
async def kept_open(
    request: web.Request, response: Any = None, **options: Any
) -> AsyncIterator[Any]:
    """What `auth.live` does with a token that is good for ever."""
    response = web.WebSocketResponse(**options) if response is None else response
    await response.prepare(request)
    yield response


def defined(name: str, **replaced: str) -> dict[str, Any]:
    """What an example of the page defines, without its token."""
    code = example(PAGE, name)
    for old, new in {PROTECTED: "", "auth.live(": "kept_open(", **replaced}.items():
        assert code.count(old) == 1
        code = code.replace(old, new)
    names: dict[str, Any] = {"__name__": name, "kept_open": kept_open}
    exec(code, names)
    return names


Start = Callable[[ApiServer], Awaitable[Client]]


class Streaming:
    """An application with both of the page's examples, and two streams of its own."""

    def __init__(self, comment_seconds: str = "15") -> None:
        self.app = web.Application()
        self._events = defined("my-events", **{"timeout(15)": f"timeout({comment_seconds})"})
        self._events["add_events"](self.app)
        defined("my-feed")["add_feed"](self.app)
        self.app.router.add_get("/silent", self._silent)
        self.app.router.add_get("/text", self._text)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    def publish(self, event: dict[str, object]) -> None:
        self._events["publish"](self.app, event)

    async def _silent(self, request: web.Request) -> web.StreamResponse:
        """An event stream without the page's comments."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        await self.go_on.wait()
        return response

    async def _text(self, request: web.Request) -> web.StreamResponse:
        """A stream that is no event stream."""
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(b"first")
        self.begun.set()
        await self.go_on.wait()
        return response


@pytest.fixture
async def streaming() -> AsyncIterator[Streaming]:
    streaming = Streaming()
    yield streaming
    streaming.go_on.set()


@asynccontextmanager
async def opened(site: Site, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with (
        site.session() as session,
        session.get(path, ssl=site.tls, server_hostname=HOST) as response,
    ):
        yield response


@asynccontextmanager
async def fed(site: Site) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        site.session() as session,
        session.ws_connect("/feed", ssl=site.tls, server_hostname=HOST) as feed,
    ):
        yield feed


async def next_event(response: aiohttp.ClientResponse) -> bytes:
    return await asyncio.wait_for(response.content.readuntil(b"\n\n"), 30)


async def test_an_event_arrives_before_the_stream_ends(
    tmp_path: Path, streaming: Streaming, aiohttp_client: Start
) -> None:
    api = await aiohttp_client(ApiServer(streaming.app))
    async with serving(tmp_path, api) as site, opened(site, "/events") as events:
        for number in range(3):
            streaming.publish({"report": number})
            assert await next_event(events) == b'data: {"report": %d}\n\n' % number


async def test_nginx_holds_back_what_is_no_event_stream(
    tmp_path: Path, streaming: Streaming, aiohttp_client: Start
) -> None:
    """Which is why the header is sent."""
    api = await aiohttp_client(ApiServer(streaming.app))
    async with serving(tmp_path, api) as site:
        answer = asyncio.create_task(site.get("/text"))
        await streaming.begun.wait()
        done, _ = await asyncio.wait({answer}, timeout=0.3)
        assert not done
        streaming.go_on.set()
        assert (await answer).body == "first"


async def test_comments_keep_a_stream_alive_and_a_silence_ends_it(
    tmp_path: Path, aiohttp_client: Start
) -> None:
    """The page's 15 and 30 seconds, made shorter: the comments by more, for a busy machine."""
    seconds = re.findall(r"proxy_read_timeout (\d+)s", SITE)
    assert seconds == ["30"]
    streaming = Streaming(comment_seconds="0.2")
    api = await aiohttp_client(ApiServer(streaming.app))
    impatient = SITE.replace("proxy_read_timeout 30s", "proxy_read_timeout 2s")
    async with (
        serving(tmp_path, api, impatient) as site,
        opened(site, "/events") as events,
        opened(site, "/silent") as silent,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await silent.read()  # it was opened last, and nginx waits for both as long
        assert await next_event(events) == b":\n\n"
        streaming.publish({"report": 1})
        while (event := await next_event(events)) == b":\n\n":
            pass
        assert event == b'data: {"report": 1}\n\n'
    streaming.go_on.set()


@pytest.mark.parametrize(("heartbeat", "outlives"), [("2", True), ("None", False)])
async def test_a_websocket_with_a_heartbeat_outlives_a_silence(
    tmp_path: Path, aiohttp_client: Start, heartbeat: str, *, outlives: bool
) -> None:
    """The page's 20 and 60 seconds, made shorter alike."""
    assert re.findall(r"proxy_read_timeout (\d+)s", FEED) == ["60"]
    app = web.Application()
    defined("my-feed", **{"heartbeat=20": f"heartbeat={heartbeat}"})["add_feed"](app)
    api = await aiohttp_client(ApiServer(app))
    code = SITE_WITH_FEED.replace("proxy_read_timeout 60s", "proxy_read_timeout 4s")
    async with serving(tmp_path, api, code) as site, fed(site) as feed:
        silence = asyncio.create_task(feed.receive())
        done, _ = await asyncio.wait({silence}, timeout=5 if outlives else 30)
        assert bool(done) is not outlives
        if outlives:
            await feed.send_str("still there")
            assert (await silence).data == "still there"


async def test_without_its_location_a_websocket_is_a_400(
    tmp_path: Path, streaming: Streaming, aiohttp_client: Start
) -> None:
    api = await aiohttp_client(ApiServer(streaming.app))
    async with serving(tmp_path, api) as site:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
            async with fed(site):
                pass


async def test_a_stop_of_the_api_reaches_the_clients_through_nginx(
    tmp_path: Path, streaming: Streaming, aiohttp_client: Start
) -> None:
    """And whoever asks then gets nginx's 503."""
    api = await aiohttp_client(ApiServer(streaming.app))
    async with (
        serving(tmp_path, api, SITE_WITH_FEED) as site,
        opened(site, "/events") as events,
        fed(site) as feed,
    ):
        await feed.send_str("hello")
        assert await feed.receive_str() == "hello"
        stopped = asyncio.create_task(api.close())
        closed = await feed.receive(timeout=30)
        assert closed[:2] == (aiohttp.WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        assert await events.read() == b"event: restart\ndata: {}\n\n"
        await asyncio.wait_for(stopped, 30)
        answer = await site.get("/events")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_a_reload_of_nginx_leaves_streams_open(
    tmp_path: Path, streaming: Streaming, aiohttp_client: Start
) -> None:
    api = await aiohttp_client(ApiServer(streaming.app))
    async with (
        serving(tmp_path, api, SITE_WITH_FEED) as site,
        opened(site, "/events") as events,
        fed(site) as feed,
    ):
        site.site.write_text(
            site.site.read_text().replace("server_tokens off;", "server_tokens on;")
        )
        site.program.send(signal.SIGHUP)
        while (await site.get("/nothing")).headers["Server"] == "nginx":
            pass
        await feed.send_str("still there")
        assert await feed.receive_str() == "still there"
        streaming.publish({"report": 1})
        assert await next_event(events) == b'data: {"report": 1}\n\n'
