"""Does a Redis server remember proofs for all who share it, and what if it cannot?"""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hello.auth import RedisReplayStore, ReplayError
from hello.tokens import possession
from hello.tokens.possession import redis_client
from support.certificates import identity
from support.naming import naming
from support.program import free_port
from support.redis_server import RedisServer

NOW = 1_800_000_000.0  # not the server's time


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine may need more than two seconds for what a test sends at once."""
    monkeypatch.setattr(redis_client, "_SECONDS", 60)


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


@asynccontextmanager
async def store_at(url: str, **options: Any) -> AsyncIterator[RedisReplayStore]:
    store = RedisReplayStore(url, **options)
    try:
        yield store
    finally:
        await store.close()


async def add(store: RedisReplayStore, number: int, lifetime: float = 300) -> bool:
    return await store.add(digest(number), until=NOW + lifetime, now=NOW)


@pytest.mark.parametrize("way", ["tcp", "database", "socket"])
async def test_a_proof_is_new_once_for_all_stores_together(
    redis_server: RedisServer, way: str
) -> None:
    url = {
        "tcp": f"redis://127.0.0.1:{redis_server.port}",
        "database": f"redis://localhost:{redis_server.port}/3",
        "socket": f"unix://{redis_server.socket}",
    }[way]
    async with store_at(url) as one, store_at(url) as other:
        answers = await asyncio.gather(*(add(store, 7) for store in [one, other] * 100))
        assert answers.count(True) == 1
        assert [await add(other, 8), await add(one, 8)] == [True, False]
    async with store_at(url) as later:
        assert not await add(later, 7)


async def test_each_proof_is_one_command(redis_server: RedisServer) -> None:
    async with store_at(redis_server.url) as store:
        await asyncio.gather(*(add(store, number % 300) for number in range(500)))
    assert redis_server.calls() == {"set": 500}


@pytest.mark.parametrize(
    ("lifetime", "seconds"), [(300, 360), (0.5, 60.5), (0, 60), (-60, 0.001), (-1e6, 0.001)]
)
async def test_a_key_expires_after_its_proof_whatever_the_clocks_say(
    redis_server: RedisServer, lifetime: float, seconds: float
) -> None:
    async with store_at(redis_server.url, prefix="api:") as store:
        assert await add(store, 7, lifetime)
    if seconds > 1:
        [key] = redis_server.ask("KEYS", "*")
        assert key == b"api:" + digest(7).hex().encode()
        assert (seconds - 10) * 1000 < redis_server.ask("PTTL", key) <= seconds * 1000
    # A key that is gone after a millisecond needs no name: it was accepted by the server.


async def test_it_needs_the_right_to_set_its_keys_and_no_other(redis_server: RedisServer) -> None:
    rights = ["~dpop:*", "-@all", "+set"]
    redis_server.ask("ACL", "SETUSER", "api", "on", ">p%ss", *rights)
    url = f"redis://api:p%25ss@127.0.0.1:{redis_server.port}"
    async with store_at(url) as store:
        assert [await add(store, 7), await add(store, 7)] == [True, False]
    async with store_at(url, prefix="other:") as store:
        with pytest.raises(ReplayError, match="NoPermission"):
            await add(store, 7)


async def test_a_database_other_than_the_first_needs_one_more_right(
    redis_server: RedisServer,
) -> None:
    async with store_at(f"redis://api:pw@127.0.0.1:{redis_server.port}/3") as store:
        redis_server.ask("ACL", "SETUSER", "api", "on", ">pw", "~dpop:*", "-@all", "+set")
        with pytest.raises(ReplayError, match="NoPermission"):
            await add(store, 7)
        redis_server.ask("ACL", "SETUSER", "api", "+select")
        assert await add(store, 7)


async def test_it_speaks_tls_and_believes_only_whom_it_should(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = identity(tmp_path, "localhost"), identity(tmp_path, "other")
    port = free_port()
    redis_server.kill()
    tls = f"--tls-port {port} --tls-cert-file {mine.file} --tls-key-file {mine.file}"
    redis_server.start(*f"{tls} --tls-ca-cert-file {mine.file} --tls-auth-clients no".split())
    async with store_at(f"rediss://localhost:{port}?ssl_ca_certs={mine.file}") as store:
        assert [await add(store, 7), await add(store, 7)] == [True, False]
    monkeypatch.setattr(redis_client, "_SECONDS", 2)  # who waits for TLS may not say so
    for url in [
        f"rediss://localhost:{port}?ssl_ca_certs={other.file}",
        f"rediss://127.0.0.1:{port}?ssl_ca_certs={mine.file}",
        f"rediss://localhost:{port}",
        f"rediss://localhost:{redis_server.port}?ssl_ca_certs={mine.file}",
        f"rediss://localhost:{port}?ssl_ca_certs={tmp_path}/missing.pem",
        f"redis://localhost:{port}",
    ]:
        async with store_at(url) as store:
            with pytest.raises(ReplayError):
                await add(store, 8)


async def test_under_load_it_waits_for_a_connection(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "_CONNECTIONS", 3)
    async with store_at(redis_server.url) as store:
        answers = await asyncio.gather(*(add(store, number) for number in range(1000)))
        clients = redis_server.ask("INFO", "clients")["connected_clients"]
    assert answers == [True] * 1000
    assert clients <= 4  # one of them has just asked


def test_it_can_be_used_in_one_event_loop_after_another(redis_server: RedisServer) -> None:
    store = RedisReplayStore(redis_server.url)  # where no loop runs

    async def twice() -> list[bool]:
        answers = await asyncio.gather(*(add(store, number) for number in range(100)))
        await store.close()
        await store.close()
        return answers

    assert asyncio.run(twice()) == [True] * 100
    assert asyncio.run(twice()) == [False] * 100


# --- A server that cannot be asked ---------------------------------------------------------------


async def test_it_works_again_as_soon_as_the_server_does(redis_server: RedisServer) -> None:
    async with store_at(redis_server.url) as store:
        assert all(await asyncio.gather(*(add(store, number) for number in range(100))))
        for _ in range(3):
            redis_server.kill()
            for number in range(100):
                with pytest.raises(ReplayError, match=f"127.0.0.1:{redis_server.port}"):
                    await add(store, number)
            redis_server.start()
            assert all(await asyncio.gather(*(add(store, number) for number in range(100))))


async def test_a_server_that_was_slow_gives_nobody_the_answer_of_another(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store_at(redis_server.url) as store:
        assert all(await asyncio.gather(*(add(store, number) for number in range(60))))
        redis_server.ask("CLIENT", "PAUSE", "60000", "WRITE")
        with monkeypatch.context() as impatient:
            impatient.setattr(redis_client, "_SECONDS", 2)
            late = await asyncio.gather(
                *(add(store, number) for number in range(100, 200)), return_exceptions=True
            )
        assert {type(each) for each in late} == {ReplayError}
        # Those that waited for a connection, too, gave up at the same time.
        assert {str(each).partition(": ")[2] for each in late} == {"no answer in time"}
        redis_server.ask("CLIENT", "UNPAUSE")
        again = await asyncio.gather(*(add(store, number) for number in range(60)))
        assert again == [False] * 60
        new = await asyncio.gather(*(add(store, number) for number in range(200, 300)))
        assert new == [True] * 100


async def test_a_request_that_is_cancelled_gives_nobody_its_answer(
    redis_server: RedisServer,
) -> None:
    async with store_at(redis_server.url) as store:
        assert all(await asyncio.gather(*(add(store, number) for number in range(100))))
        for round_ in range(1, 20):
            tasks = [asyncio.create_task(add(store, 1000 * round_ + n)) for n in range(50)]
            for _ in range(round_):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            again = await asyncio.gather(*(add(store, number) for number in range(100)))
            assert again == [False] * 100


async def test_a_server_that_became_a_replica_is_left_for_the_one_at_its_address(
    redis_server: RedisServer,
) -> None:
    """As after a failover: the old connections lead to the old server, which takes no writes."""
    async with store_at(redis_server.url) as store:
        assert all(await asyncio.gather(*(add(store, number) for number in range(100))))
        redis_server.ask("REPLICAOF", "127.0.0.1", "1")
        before = redis_server.ask("INFO", "stats")["total_connections_received"]
        for number in range(20):
            with pytest.raises(ReplayError, match="ReadOnly"):
                await add(store, 100 + number)
        connections = redis_server.ask("INFO", "stats")["total_connections_received"] - before
        assert 1 < connections < 10  # the connections are new, and not so for each request
        redis_server.ask("REPLICAOF", "NO", "ONE")
        assert await add(store, 200)


@asynccontextmanager
async def server(answer: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """A server that is no Redis."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(10_000):
            writer.write(answer(data))
            if b"SET\r\n" in data:
                break
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_a_proof_whose_answer_is_lost_is_not_sent_again() -> None:
    """It would count as seen: the first one may have arrived."""
    received: list[bytes] = []

    def answer(data: bytes) -> bytes:
        received.append(data)
        return b"" if b"SET\r\n" in data else b"+OK\r\n" * data.count(b"SETINFO")

    async with server(answer) as port, store_at(f"redis://127.0.0.1:{port}") as store:
        with pytest.raises(ReplayError):
            await add(store, 7)
    assert b"".join(received).count(b"dpop:") == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: b"",
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda data: b"-ERR what is " + data.replace(b"\r\n", b" ") + b"?\r\n",
        lambda data: data,
        lambda data: b"?" + data.replace(b"\r\n", b" ") + b"\r\n",
        lambda data: b":" + data.replace(b"\r\n", b" ") + b"\r\n",
        lambda _: b"+QUEUED\r\n" * 9,
        lambda _: b"*-5\r\n:x\r\n",
    ],
)
async def test_what_is_no_redis_remembers_no_proof_and_learns_no_password_for_the_log(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(redis_client, "_SECONDS", 0.3)
    async with server(answer) as port:
        for query in ("", "?protocol=3"):
            async with store_at(f"redis://me:%5Cunguess%2Fable@127.0.0.1:{port}{query}") as store:
                with pytest.raises(ReplayError) as raised:
                    await add(store, 7)
                assert f"127.0.0.1:{port}" in str(raised.value)
                assert "unguess" not in str(raised.value)
                assert raised.value.__cause__ is None
                assert raised.value.__suppress_context__


@pytest.mark.parametrize("limit", ["socket_timeout", "socket_connect_timeout"])
async def test_a_limit_of_redis_py_that_ended_is_called_what_it_is(
    redis_server: RedisServer, limit: str
) -> None:
    redis_server.ask("CLIENT", "PAUSE", "60000", "WRITE")
    async with store_at(f"{redis_server.url}?{limit}=0.000001") as store:
        with pytest.raises(ReplayError, match=naming(redis_server.port)) as raised:
            await add(store, 7)
    assert "Error" not in str(raised.value)  # the name of what redis-py raised


@pytest.mark.parametrize(
    ("changes", "login", "named"),
    [
        ([("CONFIG", "SET", "maxmemory", "1")], "", "OutOfMemory"),
        ([("CONFIG", "SET", "requirepass", "unguessable")], "", "Authentication"),
        ([("CONFIG", "SET", "requirepass", "unguessable")], ":wrong@", "Authentication"),
        ([("CONFIG", "SET", "requirepass", "unguessable")], "me:wrong@", "Authentication"),
        ([("ACL", "SETUSER", "default", "-set")], "", "NoPermission"),
        ([("REPLICAOF", "127.0.0.1", "1")], "", "ReadOnly"),
        ([("CONFIG", "SET", "min-replicas-to-write", "1")], "", "NOREPLICAS"),
    ],
)
async def test_a_server_that_refuses_is_named_with_its_reason(
    redis_server: RedisServer, changes: list[tuple[str, ...]], login: str, named: str
) -> None:
    for change in changes:
        redis_server.ask(*change)
    async with store_at(f"redis://{login}127.0.0.1:{redis_server.port}") as store:
        for _ in range(2):
            with pytest.raises(ReplayError, match=named) as raised:
                await add(store, 7)
            assert "wrong" not in str(raised.value).replace("WRONGPASS", "")


# --- What is wrong at the start ------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:6379", "localhost", "", "http://unguessable@localhost", "redis:localhost"),
        *("redis://", "redis:///0", "redis://:6379", "redis://localhost:unguessable", "redis//x"),
        *("redis://localhost:65536", "redis://localhost/unguessable", "redis://localhost/-1"),
        *("redis://localhost/0/1", "redis://localhost/0#unguessable", "redis://[::1", "unix://"),
        # Characters of a password that mean something else in a URL.
        *("redis://:unguess/able@localhost", "redis://:1#unguessable@localhost"),
        *("redis://:unguess?able@localhost", "redis://:1?unguessable@localhost"),
        *("redis://:un guessable@localhost", "redis://:unguessablé@localhost"),
        *("unix://run/unguessable.sock", "unix:///", "unix:run/redis.sock", "unix:///a b"),
        # Options that redis-py does not know, or that are none.
        *("redis://localhost?unguessable=1", "redis://localhost?db=unguessable"),
        *("redis://localhost?protocol=9", "redis://localhost?retry=unguessable"),
        *("redis://localhost\n", " redis://localhost", b"redis://localhost", None, 7),
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: Any) -> None:
    with pytest.raises(ValueError, match=r"^url ") as raised:
        RedisReplayStore(url)
    assert "unguess" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        *("redis://localhost", "redis://localhost/", "redis://user:p%2Fw@10.0.0.7:6380/15"),
        *("rediss://:pw@redis.example.com?ssl_ca_certs=/etc/ca.pem", "redis://[::1]:6379"),
        *("unix:///run/redis.sock", "unix://me:pw@/run/redis.sock?db=2"),
        "redis://localhost?max_connections=5&health_check_interval=9",
    ],
)
def test_a_url_of_redis_is_accepted_and_nothing_is_sent(url: str) -> None:
    RedisReplayStore(url)


@pytest.mark.parametrize("prefix", [7, None, b"api:", ["api:"]])
def test_a_prefix_that_is_none(prefix: Any) -> None:
    with pytest.raises(ValueError, match=r"^prefix of RedisReplayStore"):
        RedisReplayStore("redis://localhost", prefix=prefix)


def test_it_names_the_extra_if_redis_py_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, redis_client.__name__)
    monkeypatch.delattr(possession, "redis_client")
    with pytest.raises(ImportError, match=re.escape("pip install 'redis>=6'")):
        RedisReplayStore("redis://localhost")


@pytest.mark.parametrize("package", ["hello.tokens", "hello.auth", "hello.server"])
def test_who_needs_no_redis_loads_none(package: str) -> None:
    """In a process of its own, since this one has everything loaded."""
    program = f"import sys, {package}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = {name.split(".")[0] for name in ran.stdout.decode().split()}
    assert "hello" in loaded
    assert "redis" not in loaded
