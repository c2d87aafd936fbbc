"""What do clients and the log get when Redis, which remembers the proofs, goes down under load?"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from hello.app import create_app
from hello.sandbox.issuer import Issuer
from hello.tokens.possession import dpop, redis_client
from support.api import ApiServer, Client, bearer, config_for
from support.logs import codes, faults
from support.program import PROTECTED
from support.proofs import bound_to, proof
from support.redis_server import RedisServer

Start = Callable[[ApiServer], Awaitable[Client]]


class Load:
    """Clients that send a request after another, each with a proof of its own."""

    def __init__(self, api: Client, issuer: Issuer) -> None:
        self._api = api
        self._token = issuer.mint(claims=bound_to())
        self.statuses: Counter[int] = Counter()

    async def ask(self, made: str | None = None) -> int:
        url = str(self._api.make_url(PROTECTED))
        made = made or proof(self._token, now=time.time(), url=url)
        headers = {"Authorization": f"DPoP {self._token}", "DPoP": made}
        answer = await self._api.get(PROTECTED, headers=headers)
        await answer.read()
        assert (answer.status == 503) == ("Retry-After" in answer.headers)
        return answer.status

    @asynccontextmanager
    async def of(self, clients: int) -> AsyncIterator[None]:
        async def client() -> None:
            while True:
                self.statuses[await self.ask()] += 1

        tasks = [asyncio.create_task(client()) for _ in range(clients)]
        yield
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError)

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not fact():  # noqa: ASYNC110 - the answers of a server are what it waits for
                await asyncio.sleep(0.01)

    async def answers(self, number: int) -> set[int]:
        """The statuses of the next answers, leaving out those to requests that are under way."""
        async with asyncio.timeout(120):
            await self._more(20)
            self.statuses.clear()
            await self._more(number)
        return set(self.statuses)

    async def _more(self, number: int) -> None:
        before = self.statuses.total()
        await self.until(lambda: self.statuses.total() >= before + number)


@pytest.mark.parametrize("fail_open", ["false", "true"])
@pytest.mark.parametrize("outage", ["killed", "paused", "full"])
async def test_an_outage_is_a_503_or_none_and_two_lines_in_the_log(
    redis_server: RedisServer,
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    outage: str,
    fail_open: str,
) -> None:
    monkeypatch.setattr(redis_client, "_SECONDS", 1)
    monkeypatch.setattr(dpop, "_CALM_SECONDS", 1)
    begin: dict[str, Callable[[], object]] = {
        "killed": redis_server.kill,
        "paused": lambda: redis_server.ask("CLIENT", "PAUSE", "60000", "WRITE"),
        "full": lambda: redis_server.ask("CONFIG", "SET", "maxmemory", "1"),
    }
    end: dict[str, Callable[[], object]] = {
        "killed": redis_server.start,
        "paused": lambda: redis_server.ask("CLIENT", "UNPAUSE"),
        "full": lambda: redis_server.ask("CONFIG", "SET", "maxmemory", "0"),
    }
    config = config_for(issuer, REDIS_URL=redis_server.url, DPOP_FAIL_OPEN=fail_open)
    api = await aiohttp_client(ApiServer(create_app(config)))
    load = Load(api, issuer)
    async with load.of(clients=10):
        assert await load.answers(50) == {200}
        for outages in (1, 2):
            await asyncio.to_thread(begin[outage])
            assert await load.answers(30) == ({200} if fail_open == "true" else {503})
            assert (await api.get(PROTECTED, headers=bearer(issuer.mint()))).status == 200
            await asyncio.to_thread(end[outage])
            assert await load.answers(50) == {200}
            await load.until(lambda: len(faults(caplog)) == 2 * outages)  # noqa: B023
    assert codes(caplog) == ["replay_unavailable", "replay_recovered"] * 2
    assert [each.levelno for each in faults(caplog)] == [logging.ERROR, logging.WARNING] * 2
    assert not any(each.exc_info for each in faults(caplog))


async def test_a_request_without_a_proof_does_not_ask_redis(
    redis_server: RedisServer, issuer: Issuer, aiohttp_client: Start
) -> None:
    api = await aiohttp_client(
        ApiServer(create_app(config_for(issuer, REDIS_URL=redis_server.url)))
    )
    load = Load(api, issuer)
    await load.until(lambda: redis_server.calls() == {"set": 1})  # it was tried out at the start
    received = redis_server.ask("INFO", "stats")["total_connections_received"]
    assert (await api.get(PROTECTED, headers=bearer(issuer.mint()))).status == 200
    assert redis_server.ask("INFO", "stats")["total_connections_received"] == received + 1  # this
    for number in range(2, 12):
        assert await load.ask() == 200
        assert redis_server.calls() == {"set": number}
    assert await load.ask("nonsense") == 401
    assert redis_server.calls() == {"set": 11}


SAYS = "REDIS_URL"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, 1),
        ({"DPOP": "required"}, 1),
        ({"DPOP": "off"}, 0),
        ({"REDIS_URL": "redis://:unguessable@localhost:1"}, 0),
    ],
)
async def test_the_start_says_that_a_process_remembers_proofs_for_itself(
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, str],
    lines: int,
) -> None:
    """It starts while Redis is down."""
    caplog.set_level(logging.INFO, "hello")
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer, **changes))))
    assert (await api.get(PROTECTED, headers=bearer(issuer.mint()))).status in {200, 401}
    said = [each for each in caplog.records if SAYS in each.getMessage()]
    assert [(each.name, each.levelno) for each in said] == [("hello.auth", logging.INFO)] * lines
    assert "unguessable" not in caplog.text
