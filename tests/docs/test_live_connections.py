"""Do live connections behave as hello/docs/live-connections.md says, through nginx too?"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType, web

from hello import auth
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import READER, Closed, answered, closed, send_token
from support.logs import reasons
from support.nginx import HOST, NEEDS_NGINX, Site, in_the_site, serving
from support.pages import example, rows_by_id

PAGE = "hello/docs/live-connections.md"
FEED = example("hello/docs/streams-and-limits.md", "websocket-location")
Start = Callable[[ApiServer], Awaitable[Client]]


class Served:
    """The page's handlers, and what they are asked with."""

    def __init__(self, issuer: Issuer, clock: FakeClock) -> None:
        self.issuer, self.clock = issuer, clock
        self.revoked: set[str | None] = set()
        self.fails = False
        self.client: Client

    async def start(self, start: Start, also_from: str = '{"message"}', **setup: Any) -> "Served":
        validator = auth.TokenValidator(
            issuer=self.issuer.url, audience=AUDIENCE, clock=self.clock, revoked=self._is_revoked
        )
        app = web.Application()
        auth.setup(app, validator, **setup)
        for name in ("my-live", "my-live-events"):
            names: dict[str, Any] = {"__name__": name}
            code = example(PAGE, name).replace('{"message"}', also_from)
            exec(code, names)
            app.add_routes(names["routes"])
        self.client = await start(ApiServer(app))
        return self

    def _is_revoked(self, token: auth.AccessToken) -> bool:
        if self.fails:
            raise OSError
        return token.subject in self.revoked

    def mint(self, **claims: Any) -> str:
        expires = {"exp": int(self.clock.time()) + 3600}
        return self.issuer.mint(claims={**READER, "sub": "alice", **expires, **claims})

    @asynccontextmanager
    async def opened(
        self, token: str | None = None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {**(bearer(token) if token else {}), **options.pop("headers", {})}
        async with self.client.ws_connect("/live", headers=headers, **options) as socket:
            yield socket


@pytest.fixture
def served(issuer: Issuer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.01)
    issuer.clock = clock.time
    return Served(issuer, clock)


async def test_its_handler_answers(served: Served, aiohttp_client: Start) -> None:
    there = await served.start(aiohttp_client)
    async with there.opened() as socket:
        await send_token(socket, there.mint())
        assert (await answered(socket))["status"] == 200
        await socket.send_str("hello")
        assert await socket.receive_json() == {"for": "alice", "said": "hello"}


PLACES = rows_by_id(PAGE, "places")


@pytest.mark.parametrize("place", PLACES)
async def test_a_token_may_be_in_each_place(
    served: Served, aiohttp_client: Start, place: str
) -> None:
    where, written, refused = PLACES[place]
    also_from = re.findall("also_from=([^`]+)", where)
    there = await served.start(aiohttp_client, *(also_from or ["()"]))
    codes = {int(code) for code in re.findall(r"\d{3,4}", refused)}

    async def ask(token: str) -> Closed:
        ways: dict[str, dict[str, Any]] = {
            "header": {"headers": {"Authorization": f"Bearer {token}"}},
            "subprotocol": {"protocols": ["bearer", token]},
            "message": {},
        }
        try:
            async with there.opened(**ways[place]) as socket:
                if place == "message":
                    await socket.send_str(re.findall("`(.+?)`", written)[0].replace("TOKEN", token))
                await socket.send_str("hello")
                message = await socket.receive()
                if message.type is WSMsgType.TEXT:
                    return Closed(None, "")
                return Closed(message.data, "")
        except aiohttp.WSServerHandshakeError as error:
            return Closed(error.status, "")

    assert await ask(there.mint()) == (None, "")
    tokens = there.mint(aud="x"), there.mint(permissions=[])
    seen = {(await ask(token)).code for token in tokens}
    assert seen <= codes
    assert len(seen) == 2


ENDS = rows_by_id(PAGE, "ends")


@pytest.mark.parametrize("end", ENDS)
async def test_it_ends_as_the_table_says(
    served: Served, aiohttp_client: Start, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    there = await served.start(aiohttp_client)
    _, code, logged = ENDS[end]
    first = None if end in ("none", "outage") else there.mint()
    async with there.opened(first) as socket:
        if end == "expired":
            there.clock.advance(3600)
        elif end == "revoked":
            there.revoked.add("alice")
            there.clock.advance(60)
        elif end == "lacks":
            await send_token(socket, there.mint(permissions=[]))
        elif end == "subject":
            await send_token(socket, there.mint(sub="bob"))
        elif end == "none":
            await socket.send_str("hello")
        elif end == "outage":
            there.fails = True
            await send_token(socket, there.mint())
        else:
            assert end == "stop"
            await there.client.server.close()
        assert str((await closed(socket)).code) == code
    said = re.findall(r"refused (\d+) (\w+)", logged)
    if end == "outage":
        said = [("503", "revocation_unavailable")]  # another one, which is quicker to cause
    assert reasons(caplog) == [" ".join(each) for each in said]


async def test_its_answers_to_a_token(served: Served, aiohttp_client: Start) -> None:
    said = {
        name: json.loads(cells[0].strip("`"))["access_token"]
        for name, cells in rows_by_id(PAGE, "answers").items()
        if name != "refused"
    }
    there = await served.start(aiohttp_client)
    async with there.opened() as socket:
        for _ in range(2):  # the first message, and a new token
            await send_token(socket, there.mint())
            assert await answered(socket) == said["accepted"]
        await send_token(socket, there.mint())
        assert await answered(socket) == said["soon"]
        there.clock.advance(1)
        there.fails = True
        await send_token(socket, there.mint())
        assert await answered(socket) == said["postponed"]


async def test_its_event_stream_ends_with_the_token(served: Served, aiohttp_client: Start) -> None:
    there = await served.start(aiohttp_client)
    async with there.client.get("/live-events", headers=bearer(there.mint())) as response:
        assert await response.content.readuntil(b"\n\n") == b"data: still here\n\n"
        there.clock.advance(3600)
        assert await response.read() == example(PAGE, "last-event").encode()


# --- Through nginx -------------------------------------------------------------------------------


@asynccontextmanager
async def through(
    site: Site, token: str, **options: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        site.session() as session,
        session.ws_connect(
            "/live",
            ssl=site.tls,
            server_hostname=HOST,
            protocols=["bearer", token],
            **options,
        ) as socket,
    ):
        yield socket


@NEEDS_NGINX
async def test_it_passes_nginx_with_its_sub_protocol_and_its_codes(
    tmp_path: Path, served: Served, aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """And the page's origin is that which `public_url` names."""
    there = await served.start(aiohttp_client, '{"subprotocol"}', public_url=f"https://{HOST}")
    code = in_the_site(FEED.replace("/feed", "/live"))
    async with serving(tmp_path, there.client, code) as site:
        own = {"Origin": f"https://{HOST}"}
        async with through(site, there.mint(), headers=own) as socket:
            assert socket.protocol == "bearer"
            await socket.send_str("hello")
            assert await socket.receive_json() == {"for": "alice", "said": "hello"}
            await send_token(socket, there.mint(jti="second"))
            assert (await answered(socket))["status"] == 200
            there.clock.advance(3600)
            assert await closed(socket) == (4401, "The access token expired")
        for token, origin, status in (
            (there.mint(aud="x"), own, 401),
            (there.mint(permissions=[]), own, 403),
            (there.mint(), {"Origin": "https://evil.example"}, 403),
            (there.mint(), {"Origin": f"http://{HOST}"}, 403),
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError, match=str(status)):
                async with through(site, token, headers=origin):
                    pass
        assert not any("bearer" in line or there.mint()[:20] in line for line in site.log)
    assert reasons(caplog) == [
        *("401 expired", "401 audience", "403 permissions"),
        *("403 origin", "403 origin"),
    ]


@NEEDS_NGINX
async def test_a_stop_reaches_its_client_through_nginx(
    tmp_path: Path, served: Served, aiohttp_client: Start
) -> None:
    there = await served.start(aiohttp_client, '{"subprotocol"}')
    code = in_the_site(FEED.replace("/feed", "/live"))
    async with serving(tmp_path, there.client, code) as site, through(site, there.mint()) as socket:
        await socket.send_str("hello")
        await socket.receive()
        await there.client.close()
        assert (await closed(socket)).code == WSCloseCode.GOING_AWAY
