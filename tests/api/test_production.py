"""How does a server start and end, by itself and under gunicorn?"""

import asyncio
import logging
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web
from dotenv import dotenv_values

from hello import connections
from hello.server import AddressError, Runner, Service, production, serve
from support.api import bearer
from support.logs import root_logger_restored
from support.pages import PROJECT
from support.program import ISSUER, ISSUER_PORT, PROTECTED, PUBLIC, READY, free_port, get, running
from support.sockets import PATIENCE, app_with, connected, hello

NEVER = 3 * PATIENCE  # seconds: a test that waits for so long fails


def send(number: signal.Signals) -> None:
    """Send this very process a signal, unless that would end the tests."""
    assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)
    os.kill(os.getpid(), number)


class Served(NamedTuple):
    """An application that `serve` serves, in this very process."""

    port: int
    done: "asyncio.Task[None]"

    def stop(self) -> None:
        send(signal.SIGTERM)

    async def refuses_connections(self) -> None:
        """Wait until it has stopped listening."""
        async with asyncio.timeout(PATIENCE):
            while await is_listening(self.port):
                pass


Serve = Callable[[web.Application], Awaitable[Served]]


async def is_listening(port: int) -> bool:
    try:
        async with connected(port):
            return True
    except ConnectionError:  # it is reset where the port is closed during the handshake
        return False


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", NEVER)
    tasks: list[asyncio.Task[None]] = []

    async def start(app: web.Application) -> Served:
        ready = asyncio.Event()
        port = free_port()
        task = asyncio.create_task(serve([Service("API", app, "127.0.0.1", port)], ready=ready.set))
        tasks.append(task)
        await asyncio.wait_for(ready.wait(), PATIENCE)
        return Served(port, task)

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_is_ready_once_it_listens_and_a_signal_ends_it(
    served: Serve, number: signal.Signals
) -> None:
    service = await served(app_with(hello))
    async with connected(service.port) as connection:
        answer = await connection.get("/")
    assert (answer.status, answer.body) == (200, b'{"text": "hello"}')
    assert not service.done.done()
    send(number)
    await asyncio.wait_for(service.done, PATIENCE)
    assert not await is_listening(service.port)


async def test_all_services_are_up_before_it_is_ready_and_all_are_ended() -> None:
    ports = free_port(), free_port()
    ready = asyncio.Event()
    services = [Service("a", app_with(hello), "127.0.0.1", port) for port in ports]
    serving = asyncio.create_task(serve(services, ready=ready.set))
    await asyncio.wait_for(ready.wait(), PATIENCE)
    for port in ports:
        async with connected(port) as connection:
            assert (await connection.get("/")).status == 200
    send(signal.SIGTERM)
    await asyncio.wait_for(serving, PATIENCE)
    for port in ports:
        assert not await is_listening(port)


@pytest.mark.parametrize("first_fails", [True, False])
async def test_a_taken_port_is_named_and_nothing_stays_open(*, first_fails: bool) -> None:
    ended = asyncio.Event()
    other = app_with(hello)

    async def end(_app: web.Application) -> None:
        ended.set()

    other.on_cleanup.append(end)
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        services = [
            Service("taken", app_with(hello), "127.0.0.1", number),
            Service("other", other, "127.0.0.1", port),
        ]
        if not first_fails:
            services.reverse()
        with pytest.raises(AddressError) as raised:
            await serve(services, ready=lambda: pytest.fail("it is not ready"))
    error = raised.value
    assert (error.service, error.host, error.port) == ("taken", "127.0.0.1", number)
    assert (error.taken, error.unknown_host) == (True, False)
    assert error.reason in str(error)
    assert ended.is_set() is not first_fails  # what has begun is ended
    assert not await is_listening(port)


async def test_a_host_that_nobody_knows_is_named() -> None:
    service = Service("a", app_with(hello), "no-such-host.invalid", free_port())
    with pytest.raises(AddressError) as raised:
        await serve([service], ready=lambda: pytest.fail("it is not ready"))
    error = raised.value
    assert (error.host, error.unknown_host, error.taken) == (service.host, True, False)


async def test_a_loop_without_signals_serves_until_it_is_cancelled(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_arguments: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", unknown)
    service = await served(app_with(hello))  # as on Windows
    async with connected(service.port) as connection:
        assert (await connection.get("/")).status == 200
    service.done.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service.done
    await service.refuses_connections()


async def test_a_request_in_flight_is_finished_and_its_client_asked_to_go(served: Serve) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.json_response({"text": "done"})

    service = await served(app_with(slow))
    async with connected(service.port) as connection:
        asked = asyncio.create_task(connection.get("/"))
        await begun.wait()
        service.stop()
        await service.refuses_connections()
        go_on.set()
        answer = await asyncio.wait_for(asked, PATIENCE)
        assert (answer.status, answer.body) == (200, b'{"text": "done"}')
        assert answer.headers["Connection"] == "close"
        assert await connection.rest() == b""
    await asyncio.wait_for(service.done, PATIENCE)


async def test_a_connection_reused_during_the_drain_is_answered_and_asked_to_close(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", PATIENCE)  # it ends with the connection
    service = await served(app_with(hello))
    async with connected(service.port) as connection:
        assert "Connection" not in (await connection.get("/")).headers
        service.stop()
        await service.refuses_connections()
        answer = await connection.get("/")
        assert (answer.status, answer.body) == (200, b'{"text": "hello"}')
        assert answer.headers["Connection"] == "close"
        assert await connection.rest() == b""
    await asyncio.wait_for(service.done, PATIENCE)


async def test_an_idle_connection_does_not_hold_up_the_end(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 0.05)
    service = await served(app_with(hello))
    async with connected(service.port) as used, connected(service.port) as unused:
        await used.get("/")
        service.stop()
        await asyncio.wait_for(service.done, PATIENCE)
        assert await used.rest() == await unused.rest() == b""


async def test_a_request_without_an_end_holds_it_up_for_as_long_as_is_said(
    served: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", 4)
    begun = asyncio.Event()

    async def endless(_request: web.Request) -> web.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    service = await served(app_with(endless))
    async with connected(service.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await begun.wait()
        service.stop()
        await asyncio.wait_for(service.done, 7.5)  # and not twice that
        assert await connection.rest() == b""


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of this process, without any variable that the configuration reads."""
    for name in dotenv_values(PROJECT / ".env.example"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def test_a_worker_runs_what_the_environment_says(environ: pytest.MonkeyPatch) -> None:
    for name, value in {**ISSUER, "LOG_LEVEL": "error"}.items():
        environ.setenv(name, value)
    with root_logger_restored():
        runner = await production()
        assert logging.getLogger().level == logging.ERROR
    assert isinstance(runner, Runner)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with connected(site.port) as connection:
        assert (await connection.get(PUBLIC)).status == 200
        assert (await connection.get(PROTECTED)).status == 401
    await runner.cleanup()


async def test_a_worker_that_is_not_configured_ends_gunicorn(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("PORT", "abc")
    with pytest.raises(SystemExit) as raised:
        await production()
    assert raised.value.code == 4  # gunicorn's own APP_LOAD_ERROR: it starts no other worker
    lines = capsys.readouterr().err.splitlines()
    named = ["PORT", "CLIENT_ORIGIN_URL", "AUTH0_DOMAIN", "AUTH0_AUDIENCE"]
    assert [line.split()[0] for line in lines] == named


def gunicorn(port: int, *, workers: int = 2) -> list[str]:
    """The README's command."""
    return [
        *("-m", "gunicorn", "hello.server:production"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--workers", str(workers)),
        *("--bind", f"127.0.0.1:{port}"),
    ]


def test_gunicorn_serves_with_two_workers_and_ends_with_status_0(tmp_path: Path) -> None:
    port = free_port()
    environ = {**ISSUER, "PYTHONPATH": str(PROJECT)}
    (tmp_path / "ready.py").write_text(READY)
    with running([*gunicorn(port), "--config", "ready.py"], tmp_path, environ) as program:
        program.until(lambda: program.err.count("Ready: ") == 2)
        for path, headers, status in [
            (PUBLIC, {}, 200),
            (PROTECTED, {}, 401),
            (PROTECTED, bearer("nonsense"), 401),
            ("/nowhere", {}, 404),
        ]:
            answer = get(port, path, headers)
            assert answer.status == status
            assert "Server" not in answer.headers
            assert answer.headers["X-Frame-Options"] == "DENY"
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert re.search(rf" INFO hello\.access: 127\.0\.0\.1 GET {PUBLIC} 200 ", program.err)
    assert f" WARNING hello.auth: refused 401 malformed: GET {PROTECTED} " in program.err
    assert "Traceback" not in program.err
    assert program.err.count("Booting worker with pid: ") == 2


# Of two workers that end at the same time, the second can break gunicorn's own way out: it then
# ends with status 1 and a stack of its own, after everything has been said.
@pytest.mark.parametrize(("workers", "statuses"), [(1, {4}), (2, {4, 1})])
@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["CLIENT_ORIGIN_URL", "AUTH0_DOMAIN", "AUTH0_AUDIENCE"]),
        ({**ISSUER, "LOG_LEVEL": "loud", "JWKS_TIMEOUT": "0"}, ["LOG_LEVEL", "JWKS_TIMEOUT"]),
    ],
)
def test_gunicorn_ends_by_itself_where_the_configuration_cannot_work(
    tmp_path: Path, environ: dict[str, str], named: list[str], workers: int, statuses: set[int]
) -> None:
    environ = {**environ, "PYTHONPATH": str(PROJECT)}
    with running(gunicorn(free_port(), workers=workers), tmp_path, environ) as program:
        assert program.ends() in statuses
    for name in named:
        assert re.search(rf"^{name} ", program.err, re.MULTILINE)
    assert "hello/server.py" not in program.err  # no stack of ours
    assert str(ISSUER_PORT) not in program.out + program.err  # no sandbox
    assert program.err.count("Booting worker with pid: ") <= workers
