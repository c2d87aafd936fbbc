"""Do several workers share the proofs of bound tokens as hello/docs/deploying.md says?"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hello.auth import RedisReplayStore, ReplayError
from hello.sandbox.issuer import Issuer
from support.machine import GUNICORN, PAGE, command
from support.pages import PROJECT, example
from support.program import ISSUER, PROTECTED, READY, Program, free_port, running
from support.proofs import bound_to, proof
from support.redis_server import RedisServer

# What serves the same as hello.server:production, and says which worker has answered.
SAYS_WHO = """
import os
from hello import server

async def production():
    runner = await server.production()

    async def say_who(_request, response):
        response.headers["Worker"] = str(os.getpid())

    runner.app.on_response_prepare.append(say_who)
    return runner
"""
[START_LINE] = re.findall(
    r"^WARNING (hello.auth: .*REDIS_URL.*)$", (PROJECT / PAGE).read_text(), re.MULTILINE
)


class Workers:
    """Two workers of gunicorn, and a connection to each."""

    def __init__(self, issuer: Issuer, port: int, program: Program) -> None:
        self.program = program
        self.connections: dict[str, aiohttp.ClientSession] = {}
        self._url = f"http://127.0.0.1:{port}{PROTECTED}"
        self._token = issuer.mint(claims=bound_to())

    def proof(self) -> str:
        return proof(self._token, now=time.time(), url=self._url)

    async def send(self, made: str, session: aiohttp.ClientSession) -> tuple[int, str]:
        """The status of the answer, and the worker that gave it."""
        headers = {"Authorization": f"DPoP {self._token}", "DPoP": made}
        async with session.get(self._url, headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers["Worker"]

    async def connect(self, stack: AsyncExitStack) -> None:
        """Open connections until there is one to each worker."""
        for _ in range(500):
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
            await stack.enter_async_context(session)
            status, worker = await self.send(self.proof(), session)
            assert status == 200
            self.connections.setdefault(worker, session)
            if len(self.connections) == 2:
                return
        pytest.fail("all connections lead to the same worker")


@asynccontextmanager
async def two_workers(folder: Path, issuer: Issuer, **environ: str) -> AsyncIterator[Workers]:
    (folder / "ready.py").write_text(READY)
    (folder / "says_who.py").write_text(SAYS_WHO)
    port = free_port()
    code = example(PAGE, "gunicorn")
    [line] = re.findall(r"gunicorn (hello\.server:production .*?)--bind", code, re.DOTALL)
    options = line.replace("\\\n", " ").replace("hello.server:", "says_who:").split()
    environ = {
        **ISSUER,
        "ISSUER_BASE_URL": issuer.url,
        "PYTHONPATH": f"{PROJECT}:{folder}",
        "GUNICORN_CMD_ARGS": "--config ready.py",
        **environ,
    }
    start = command(GUNICORN, *options, "--bind", f"127.0.0.1:{port}")
    with running(start, folder, environ) as program:
        program.until(lambda: program.err.count("Ready: ") == 2)
        async with AsyncExitStack() as stack:
            workers = Workers(issuer, port, program)
            await workers.connect(stack)
            yield workers
    assert "Traceback" not in program.err


async def test_two_workers_with_redis_refuse_a_proof_that_either_has_seen(
    tmp_path: Path, redis_server: RedisServer, issuer: Issuer
) -> None:
    async with two_workers(tmp_path, issuer, REDIS_URL=redis_server.url) as workers:
        (one, to_one), (other, to_other) = workers.connections.items()
        for _ in range(10):
            for first, second in [(to_one, to_other), (to_other, to_one)]:
                made = workers.proof()
                answers = [await workers.send(made, each) for each in (first, second, first)]
                assert [status for status, _ in answers] == [200, 401, 401]
                assert {worker for _, worker in answers} == {one, other}
        redis_server.kill()
        for session in (to_one, to_other):
            assert (await workers.send(workers.proof(), session))[0] == 503
        redis_server.start()
        for session in (to_one, to_other):
            assert (await workers.send(workers.proof(), session))[0] == 200
        assert START_LINE not in workers.program.err


async def test_without_redis_each_worker_says_that_it_remembers_for_itself(
    tmp_path: Path, issuer: Issuer
) -> None:
    async with two_workers(tmp_path, issuer) as workers:
        made = workers.proof()
        for session in workers.connections.values():
            assert (await workers.send(made, session))[0] == 200
        for session in workers.connections.values():
            assert (await workers.send(made, session))[0] == 401
        # The first worker does not know of the other one yet.
        said = re.findall(rf"(INFO|WARNING) {re.escape(START_LINE)}", workers.program.err)
        assert sorted(said) == ["INFO", "WARNING"]


async def test_the_lines_of_redis_conf_are_enough_and_no_proof_is_forgotten(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_server.kill()
    code = example(PAGE, "redis-conf")
    (tmp_path / "redis.conf").write_text(f"{code}\nuser tests on >tests ~* +@all\n")
    redis_server.start(str(tmp_path / "redis.conf"))
    [(name, password)] = re.findall(r"user (\S+) on >(\w+)", code)
    tests = {"username": "tests", "password": "tests"}
    store = RedisReplayStore(f"redis://{name}:{password}@127.0.0.1:{redis_server.port}")

    async def add(proof: bytes) -> bool:
        return await store.add(proof, until=time.time() + 300, now=time.time())

    assert await add(b"a proof")
    await asyncio.to_thread(redis_server.kill)
    redis_server.start(str(tmp_path / "redis.conf"))
    assert not await add(b"a proof")
    redis_server.ask("CONFIG", "SET", "maxmemory", "1", **tests)
    with pytest.raises(ReplayError, match="OutOfMemory"):
        await add(b"another")
    redis_server.ask("CONFIG", "SET", "maxmemory", "0", **tests)
    assert [await add(b"another"), await add(b"a proof")] == [True, False]
    await store.close()
