"""Do streams end and are clients limited as hello/docs/streams-and-limits.md says?"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, web

from hello import auth, connections, streams
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.machine import GUNICORN, Machine, command
from support.pages import example, rows_by_id
from support.program import READY, Program, running

PAGE = "hello/docs/streams-and-limits.md"
OWN_PAGE = "hello/docs/own-project.md"
READER = {"permissions": ["read:reports"]}
Ask = Callable[..., Awaitable[tuple[int, str | None, Any]]]
LAST_EVENT = b"event: restart\ndata: {}\n\n"


# --- A stop and a reload, under gunicorn ---------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Any) -> Machine:
    """A machine with somebody's own project, which has a stream and a websocket."""
    machine = Machine(tmp_path)
    code = example(OWN_PAGE, "own-project")
    assert code.count("    return app\n") == 1
    code = code.replace(
        "    return app\n", "    add_events(app)\n    add_feed(app)\n    return app\n"
    )
    own = {
        "my_api": f"from my_events import add_events\nfrom my_feed import add_feed\n{code}",
        "my_server": example("hello/docs/serving-your-own.md", "my-server"),
        "my_events": example(PAGE, "my-events"),
        "my_feed": example(PAGE, "my-feed"),
        "ready": READY,
    }
    for name, text in own.items():
        (machine.checkout / f"{name}.py").write_text(text)
    return machine


@contextmanager
def served(machine: Machine, issuer: Issuer) -> Iterator[Program]:
    environ = {**machine.environ, "ISSUER": issuer.url, "AUDIENCE": issuer.audience}
    arguments = (
        *("my_server:production", "--bind", f"127.0.0.1:{machine.port}", "--no-control-socket"),
        *("--config", "ready.py", "--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
    )
    with running(command(GUNICORN, *arguments), machine.checkout, environ) as program:
        program.says("Ready: ")
        yield program
    assert "Traceback" not in program.err


@asynccontextmanager
async def session(machine: Machine, issuer: Issuer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a token that may read both."""
    headers = bearer(issuer.mint(claims=READER))
    url = f"http://127.0.0.1:{machine.port}"
    async with aiohttp.ClientSession(url, headers=headers) as session:
        yield session


async def is_told(feed: aiohttp.ClientWebSocketResponse, events: aiohttp.ClientResponse) -> None:
    """Both ends arrive in less time than anything is cut off."""
    async with asyncio.timeout(15):
        closed = await feed.receive()
        assert closed[:2] == (aiohttp.WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        assert await events.read() == LAST_EVENT


async def test_a_stop_tells_the_clients_of_streams_and_waits_for_none(
    machine: Machine, sandbox_issuer: Issuer
) -> None:
    with served(machine, sandbox_issuer) as program:
        async with session(machine, sandbox_issuer) as client:
            for path in ("/feed", "/events"):
                headers = bearer(sandbox_issuer.mint())
                async with client.get(path, headers=headers) as refused:
                    assert refused.status == 403
            async with client.ws_connect("/feed") as feed, client.get("/events") as events:
                await feed.send_str("hello")
                assert await feed.receive_str() == "hello"
                program.send(signal.SIGTERM)
                await is_told(feed, events)
        assert await asyncio.to_thread(program.ends) == 0
    assert " GET /events 200 " in program.err
    assert " GET /feed 101 " in program.err


async def test_a_reload_tells_them_and_a_new_worker_answers_already(
    machine: Machine, sandbox_issuer: Issuer
) -> None:
    """And no ordinary request is lost meanwhile."""
    statuses: list[int] = []

    async def ask_all_the_time(client: aiohttp.ClientSession) -> None:
        while True:
            async with client.get("/reports") as response:
                statuses.append(response.status)

    with served(machine, sandbox_issuer) as program:
        async with session(machine, sandbox_issuer) as client:
            async with client.ws_connect("/feed") as feed, client.get("/events") as events:
                asking = [asyncio.create_task(ask_all_the_time(client)) for _ in range(4)]
                program.send(signal.SIGHUP)
                await is_told(feed, events)
            # A connection that the client keeps may still lead to the old worker.
            async with session(machine, sandbox_issuer) as anew, anew.ws_connect("/feed") as feed:
                await feed.send_str("again")
                assert await feed.receive_str() == "again"
            await asyncio.to_thread(program.says, "Worker exiting")
            for task in asking:
                task.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
        program.send(signal.SIGTERM)
        assert await asyncio.to_thread(program.ends) == 0
    assert {type(each) for each in ended} == {asyncio.CancelledError}
    assert set(statuses) == {200}


def test_the_seconds_of_the_table_are_those_of_the_server() -> None:
    table = rows_by_id(PAGE, "stop")
    for row in ("websocket", "not-read", "goes-on"):
        assert f" {streams._END_SECONDS} s" in table[row][1]
    for row in ("goes-on", "download"):
        assert f" {connections._IN_FLIGHT_SECONDS} s" in table[row][1]


@pytest.mark.parametrize("name", ["my-events", "my-feed"])
async def test_a_stream_ends_with_its_token(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.01)
    issuer.clock = clock.time
    names: dict[str, Any] = {"__name__": name}
    exec(example(PAGE, name), names)
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock))
    names[f"add_{name.removeprefix('my-')}"](app)
    client = await aiohttp_client(ApiServer(app))
    headers = bearer(issuer.mint(claims={**READER, "exp": int(clock.time()) + 9}))
    if name == "my-events":
        async with client.get("/events", headers=headers) as response:
            clock.advance(9)
            assert response.status == 200
            assert b"event: close\ndata: {" in await asyncio.wait_for(response.read(), 30)
        assert not app[names["LISTENERS"]]
    else:
        async with client.ws_connect("/feed", headers=headers) as feed:
            clock.advance(9)
            assert (await feed.receive(timeout=30)).data == 4401


# --- A limit by subject --------------------------------------------------------------------------


@pytest.fixture
def limits() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "my_limit"}
    exec(example(PAGE, "my-limit"), names)
    return names


@pytest.mark.parametrize("start", [0.0, 1e6 + 0.1, 3e9 / 7])
@pytest.mark.parametrize(("per_second", "burst"), [(5, 20), (0.1, 1), (1 / 3, 7), (1000, 3)])
def test_a_bucket_gives_its_burst_and_then_its_rate(
    limits: dict[str, Any], per_second: float, burst: int, start: float
) -> None:
    now = start
    buckets = limits["Buckets"](per_second, burst, lambda: now)
    assert [buckets.take("a") for _ in range(burst)] == [0] * burst
    for _ in range(50):
        wait = buckets.take("a")
        assert wait == pytest.approx(1 / per_second, abs=1e-5)
        assert buckets.take("a") == wait  # who is refused has taken nothing
        now += wait
        assert buckets.take("a") == 0
    assert buckets.take("b") == 0
    now += burst / per_second
    assert [buckets.take("a") for _ in range(burst)] == [0] * burst
    assert buckets.take("a") > 0


def test_no_more_subjects_are_kept_than_is_said(limits: dict[str, Any]) -> None:
    limits["MAX_SUBJECTS"] = 3
    buckets = limits["Buckets"](1, 1, lambda: 0.0)
    assert [buckets.take(subject) for subject in "abc"] == [0, 0, 0]
    assert buckets.take("a") == 1  # and it is now the one that was seen last
    assert buckets.take("d") == 0
    assert [buckets.take(subject) for subject in "acd"] == [1, 1, 1]
    assert len(buckets._full_at) == 3
    assert buckets.take("b") == 0  # it was forgotten


@asynccontextmanager
async def limited(
    issuer: Issuer, limits: dict[str, Any], clock: Callable[[], float]
) -> AsyncIterator[Ask]:
    """An application with two requests for each subject, and how to ask it with a token."""
    names: dict[str, Any] = {"__name__": "my_api"}
    exec(example(OWN_PAGE, "own-project"), names)
    app = names["create_app"](issuer.url, issuer.audience)
    limits["limit_subjects"](app, per_second=0.4, burst=2, clock=clock)
    client = Client(ApiServer(app))

    async def ask(token: str | None = None) -> tuple[int, str | None, Any]:
        path = "/health" if token is None else "/reports"
        async with client.get(path, headers=bearer(token) if token else {}) as response:
            assert response.content_type == "application/json"
            retry = response.headers.get("Retry-After")
            return response.status, retry, json.loads(await response.text())

    async with client:
        yield ask


async def test_a_subject_that_asks_too_often_gets_a_429_and_nobody_else_does(
    issuer: Issuer, limits: dict[str, Any]
) -> None:
    clock = FakeClock()

    def mint(subject: str) -> str:
        return issuer.mint(claims={**READER, "sub": subject})

    refused = (429, "3", {"message": "Too Many Requests"})
    async with limited(issuer, limits, clock.time) as ask:
        assert [(await ask(mint("alice")))[0] for _ in range(2)] == [200, 200]
        assert await ask(mint("alice")) == refused
        assert (await ask(mint("bob")))[0] == 200
        assert [(await ask())[0] for _ in range(5)] == [200] * 5  # public
        clock.advance(2.5)
        assert (await ask(mint("alice")))[0] == 200
        assert await ask(mint("alice")) == refused


async def test_forged_tokens_take_nothing_from_the_one_they_name(
    issuer: Issuer, limits: dict[str, Any], keys: list[Any]
) -> None:
    async with limited(issuer, limits, FakeClock().time) as ask:
        forged = issuer.mint(claims={**READER, "sub": "alice"}, key=keys[2])
        assert [(await ask(forged))[0] for _ in range(5)] == [401] * 5
        assert (await ask(issuer.mint(claims={**READER, "sub": "alice"})))[0] == 200


def test_who_limits_subjects_before_there_are_any_is_told(limits: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError):
        limits["limit_subjects"](web.Application(), per_second=1, burst=1)
