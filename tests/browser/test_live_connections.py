"""Can a page in a real browser keep a connection open, as hello/docs/live-connections.md says?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from hello import auth
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer, issuer_app, new_key
from support.api import AUDIENCE
from support.clock import FakeClock
from support.live import READER
from support.pages import example
from support.sandbox_walk import IN_A_BROWSER, free_ports, served, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = IN_A_BROWSER

PAGE = "hello/docs/live-connections.md"
NO_CLOSE = 1006  # RFC 6455 §7.1.5: the only thing that a page learns of a refused handshake

# What happens to a WebSocket, one after the other. `then` is called when it is open.
EVENTS = """
window.open_socket = (protocols, then) => new Promise((resolve) => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/live", protocols);
  const said = [];
  socket.onopen = () => then && then(socket);
  socket.onmessage = ({ data }) => { said.push(JSON.parse(data)); socket.close(1000); };
  socket.onclose = ({ code, reason }) => resolve({ code, reason, said, chosen: socket.protocol });
});
"""


class There(NamedTuple):
    """A page of the application itself, and what it talks to."""

    page: "Page"
    issuer: Issuer
    clock: FakeClock
    friend: str  # an origin that is allowed

    def mint(self, seconds: int = 3600, **claims: Any) -> str:
        expires = {"exp": int(self.clock.time()) + seconds}
        return self.issuer.mint(claims={**READER, "sub": "alice", **expires, **claims})


async def blank(_request: web.Request) -> web.Response:
    return web.Response(text="<title>A page</title>", content_type="text/html")


def application(issuer: Issuer, clock: FakeClock, friend: str) -> web.Application:
    """The page's two handlers. The WebSocket takes sub-protocols, too."""
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock))
    for name in ("my-live", "my-live-events"):
        code = example(PAGE, name).replace('{"message"}', '{"message", "subprotocol"}')
        names: dict[str, Any] = {"__name__": name}
        exec(code.replace("https://app.example.com", friend), names)
        app.add_routes(names["routes"])
    app.router.add_get("/", auth.public(blank))
    return app


@asynccontextmanager
async def opened(browser: "Browser", monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[There]:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.02)
    clock = FakeClock()
    issuer_port, port, other_port = free_ports(3)
    issuer = Issuer(
        audience=AUDIENCE,
        url=f"http://localhost:{issuer_port}/",
        key=new_key(),
        clock=clock.time,
    )
    other = web.Application()
    other.router.add_get("/", blank)
    own, friend = (f"http://localhost:{each}" for each in (port, other_port))
    app = application(issuer, clock, friend)
    async with (
        served(issuer_app(issuer), issuer_port),
        served(app, port),
        served(other, other_port),
        walking(browser, Any) as walk,  # type: ignore[arg-type]
    ):
        await walk.page.goto(own)
        for script in (EVENTS, example(PAGE, "live-browser"), example(PAGE, "live-fetch")):
            await walk.page.add_script_tag(content=script)
        yield There(walk.page, issuer, clock, friend)


@asynccontextmanager
async def passing(clock: FakeClock) -> AsyncIterator[None]:
    """Let the clock run, because a client may renew its token once in a second."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.2)
            clock.advance(0.5)

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        ticking.cancel()


async def test_a_first_message_opens_it_and_the_token_is_renewed_until_it_is_over(
    browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(browser, monkeypatch) as there, passing(there.clock):
        tokens = [there.mint(31), there.mint(31, jti="second"), there.mint(3600, sub="bob")]
        result = await there.page.evaluate(
            """(tokens) => new Promise((resolve) => {
              const said = [];
              let asked = 0;
              const getToken = async () => tokens[asked++];
              const url = location.origin.replace("http", "ws") + "/live";
              const close = (code, reason) => resolve({ asked, said, code, reason });
              const socket = connect(url, getToken, (message) => said.push(message), close);
              const ready = setInterval(() => {
                if (asked < 2) return;
                clearInterval(ready);
                socket.send("hello");
              }, 20);
            })""",
            tokens,
        )
    assert result["said"] == [{"for": "alice", "said": "hello"}]
    assert (result["asked"], result["code"]) == (3, 4401)
    assert result["reason"]


async def test_a_token_that_is_in_use_is_not_sent_again(
    browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider's SDK may return the same one until it has expired."""
    async with opened(browser, monkeypatch) as there:
        result = await there.page.evaluate(
            """(token) => new Promise((resolve) => {
              const waits = [];
              let sent = 0;
              const later = window.setTimeout;
              window.setTimeout = (next, wait) => {
                waits.push(wait);
                return waits.length < 4 ? later(next, 1) : resolve({ sent, waits });
              };
              const url = location.origin.replace("http", "ws") + "/live";
              const socket = connect(url, async () => token, () => {}, () => {});
              const send = socket.send.bind(socket);
              socket.send = (text) => { sent += 1; send(text); };
            })""",
            there.mint(20),
        )
    assert result == {"sent": 1, "waits": [1000, 5000, 5000, 5000]}


async def test_it_is_closed_at_exp(browser: "Browser", monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(browser, monkeypatch) as there:
        await there.page.evaluate(
            """(token) => new Promise((resolve) => {
              const url = location.origin.replace("http", "ws") + "/live";
              const socket = new WebSocket(url);
              socket.onopen = () => socket.send(JSON.stringify({ access_token: token }));
              socket.onmessage = resolve;
              window.ended = new Promise((end) => {
                socket.onclose = ({ code, reason }) => end({ code, reason });
              });
            })""",
            there.mint(10),
        )
        there.clock.advance(10)
        ended = await there.page.evaluate("window.ended")
    assert ended == {"code": 4401, "reason": "The access token expired"}


SEND = "(socket) => socket.send('hello')"


@pytest.mark.parametrize(
    ("protocols", "claims", "code", "chosen"),
    [
        ("['bearer', TOKEN]", {}, 1000, "bearer"),
        ("['bearer', TOKEN]", {"permissions": []}, NO_CLOSE, ""),
        ("['bearer', TOKEN]", {"exp": 1}, NO_CLOSE, ""),
        ("['v1', 'base64url.bearer.authorization.k8s.io.' + TOKEN]", {}, NO_CLOSE, ""),
        ("['v1']", {}, NO_CLOSE, ""),
        ("['bearer']", {}, 4401, "bearer"),  # it may still come in the first message
    ],
)
async def test_a_sub_protocol_opens_it_with_a_good_token_only(
    browser: "Browser",
    monkeypatch: pytest.MonkeyPatch,
    protocols: str,
    claims: dict[str, Any],
    code: int,
    chosen: str,
) -> None:
    async with opened(browser, monkeypatch) as there:
        script = f"(TOKEN) => open_socket({protocols}, {SEND})"
        result = await there.page.evaluate(script, there.mint(**claims))
    assert (result["code"], result["chosen"]) == (code, chosen)
    said = [{"for": "alice", "said": "hello"}]
    assert result["said"] == (said if code == 1000 else [])


@pytest.mark.parametrize(
    ("claims", "code"), [({"permissions": []}, 4403), ({"aud": "x"}, 4401), ({"exp": 1}, 4401)]
)
async def test_a_page_learns_why_its_first_message_is_refused(
    browser: "Browser", monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], code: int
) -> None:
    async with opened(browser, monkeypatch) as there:
        script = "(t) => open_socket([], (s) => s.send(JSON.stringify({ access_token: t })))"
        result = await there.page.evaluate(script, there.mint(**claims))
    assert (result["code"], result["said"]) == (code, [])
    assert result["reason"].startswith("The access token")


async def test_only_pages_of_origins_that_are_allowed_open_it(
    browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(browser, monkeypatch) as there:
        url = there.page.url.replace("http", "ws") + "live"
        script = """([url, protocols]) => new Promise((resolve) => {
          const socket = new WebSocket(url, protocols);
          socket.onopen = () => resolve(true);
          socket.onerror = () => resolve(false);
        })"""
        asked = [url, ["bearer", there.mint()]]
        assert await there.page.evaluate(script, asked)
        await there.page.goto(there.friend)
        assert await there.page.evaluate(script, asked)
        await there.page.goto(there.friend.replace("localhost", "127.0.0.1"))
        assert not await there.page.evaluate(script, asked)
        await there.page.goto("data:text/html,<title>null</title>")
        assert not await there.page.evaluate(script, asked)


async def test_fetch_reads_an_event_stream_to_its_last_event(
    browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(browser, monkeypatch) as there:
        await there.page.evaluate(
            """(token) => new Promise((resolve) => {
              window.events = [];
              window.ended = listen("/live-events", async () => token, (event) => {
                events.push(event);
                resolve();
              });
            })""",
            there.mint(10),
        )
        there.clock.advance(10)
        await there.page.evaluate("window.ended")
        events = await there.page.evaluate("events")
    assert [f"{event}\n\n" for event in events] == [
        "data: still here\n\n",
        example(PAGE, "last-event").partition("\n\n")[2],
    ]
