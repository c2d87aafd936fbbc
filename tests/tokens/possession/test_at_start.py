"""Is an operator told at the start that proofs are not shared, or cannot be remembered?"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.tokens.possession import redis_client
from support.api import AUDIENCE, ApiServer, Client
from support.program import free_port
from support.protecting import new_handler, status
from support.redis_server import RedisServer

Start = Callable[[ApiServer], Awaitable[Client]]
NEVER_ASKED = "https://id.example.com/"


def protected(**options: Any) -> web.Application:
    app = web.Application()
    validator = auth.TokenValidator(issuer=NEVER_ASKED, audience=AUDIENCE, **options)
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    return app


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    caplog.set_level(logging.INFO, "hello")
    records = [each for each in caplog.records if "(DPoP)" in each.getMessage()]
    return [(each.name, each.levelno) for each in records]


@pytest.mark.parametrize(
    ("workers", "level"),
    [(None, logging.INFO), ({}, logging.INFO), ({4711: object()}, logging.WARNING)],
)
async def test_an_application_of_ones_own_says_that_proofs_are_not_shared(
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    workers: dict[int, object] | None,
    level: int,
) -> None:
    """As a warning in a worker of gunicorn that knows of others."""
    arbiter = ModuleType("gunicorn.arbiter")
    if workers is not None:
        arbiter.Arbiter = SimpleNamespace(WORKERS=workers)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gunicorn.arbiter", arbiter)
    caplog.set_level(logging.INFO, "hello")
    assert await status(await aiohttp_client(ApiServer(protected()))) == 401
    assert said(caplog) == [("hello.auth", level)]


class Store:
    async def add(self, proof: bytes, *, until: float, now: float) -> bool:
        raise AssertionError

    async def close(self) -> None:
        """Nothing to close."""


class Own:
    """A validator of the application's own, whose attribute means something else."""

    def __init__(self) -> None:
        self.timing, self.challenges = auth.Timing(), auth.Challenges()
        self.authorization_servers: list[str] = []
        self.dpop = True

    async def validate(self, _presented: auth.Presented) -> auth.AccessToken:
        raise AssertionError

    async def close(self) -> None:
        """Nothing to close."""


async def test_who_shares_proofs_or_takes_none_is_told_nothing(
    aiohttp_client: Start, caplog: pytest.LogCaptureFixture, redis_server: RedisServer
) -> None:
    caplog.set_level(logging.INFO, "hello")
    own = web.Application()
    auth.setup(own, Own())
    own.router.add_get("/", new_handler())
    store = auth.RedisReplayStore(redis_server.url)
    apps = [protected(dpop="off"), protected(dpop=auth.DPoP(replay=Store())), own]
    for app in (*apps, protected(dpop=auth.DPoP(replay=store))):
        assert await status(await aiohttp_client(ApiServer(app))) == 401
    async with asyncio.timeout(30):
        while redis_server.calls() != {"set": 1}:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.01)
    assert said(caplog) == []


@asynccontextmanager
async def silent(port: int) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A server that accepts connections and says nothing, and how it is ended."""
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(
        lambda _reader, writer: writers.append(writer), "127.0.0.1", port
    )

    async def end() -> None:
        server.close()
        for writer in writers:
            writer.close()
            await writer.wait_closed()

    try:
        yield end
    finally:
        await end()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds may be over before a slow machine has started a server."""
    monkeypatch.setattr(redis_client, "_SECONDS", 60)


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_redis_that_is_down_is_told_at_the_start_which_does_not_wait_for_it(
    aiohttp_client: Start, caplog: pytest.LogCaptureFixture, patient: None, *, hangs: bool
) -> None:
    port = free_port()
    store = auth.RedisReplayStore(f"redis://:unguessable@127.0.0.1:{port}")
    async with silent(port if hangs else 0) as end:
        client = await aiohttp_client(ApiServer(protected(dpop=auth.DPoP(replay=store))))
        assert await status(client) == 401
        assert not hangs or not said(caplog)  # the server does not wait until it is known
        await end()
        async with asyncio.timeout(30):
            while not said(caplog):  # noqa: ASYNC110 - a line of the log is no event
                await asyncio.sleep(0.01)
        await client.close()
    assert said(caplog) == [("hello.auth", logging.WARNING)]
    assert f"127.0.0.1:{port}" in caplog.text
    assert "unguessable" not in caplog.text


async def test_a_start_that_is_stopped_at_once_waits_for_nothing(
    aiohttp_client: Start, caplog: pytest.LogCaptureFixture, patient: None
) -> None:
    port = free_port()
    store = auth.RedisReplayStore(f"redis://127.0.0.1:{port}")
    async with silent(port):
        client = await aiohttp_client(ApiServer(protected(dpop=auth.DPoP(replay=store))))
        await client.close()
    assert said(caplog) == []  # which it would have waited for
