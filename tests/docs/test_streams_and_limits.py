"""Do streams end and are clients limited as hello/docs/streams-and-limits.md says?"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, web

from hello import auth, connections, streams
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
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
    async with asyncio.timeout(4):
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
            async with client.ws_connect("/feed") as feed:
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
    issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]], name: str
) -> None:
    names: dict[str, Any] = {"__name__": name}
    exec(example(PAGE, name), names)
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE))
    names[f"add_{name.removeprefix('my-')}"](app)
    client = await aiohttp_client(ApiServer(app))
    # It has expired, but by less than the leeway.
    headers = bearer(issuer.mint(claims={**READER, "exp": int(issuer.clock()) - 1}))
    if name == "my-events":
        async with client.get("/events", headers=headers) as response:
            assert (response.status, await response.read()) == (200, b"")
    else:
        async with client.ws_connect("/feed", headers=headers) as feed:
            assert (await feed.receive(timeout=5)).data == 4401
