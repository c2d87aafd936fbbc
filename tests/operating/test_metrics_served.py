"""How are the metrics served by run.py, and by several workers of gunicorn together?"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from hello import values
from hello.operating import metrics, series
from hello.operating.workers import child_exit
from hello.server import production
from support.api import ApiServer
from support.logs import codes, root_logger_restored
from support.naming import naming
from support.pages import PROJECT, run_py
from support.program import ISSUER, PROTECTED, PUBLIC, READY, free_port, get, running


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing yet."""
    for name in list(os.environ):
        monkeypatch.delenv(name)
    return monkeypatch


def shown(port: int) -> dict[str, float]:
    """The metrics that a port shows, by their names and labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def requests(status: int, path: str, numbers: dict[str, float]) -> float | None:
    labels = f'method="GET",route="{path}",status="{status}"'
    return numbers.get(f"hello_http_requests_total{{{labels}}}")


def test_run_py_serves_them_on_loopback_and_the_api_does_not(tmp_path: Path) -> None:
    port, metrics_port = free_port(), free_port()
    environ = {
        **ISSUER,
        "PYTHONPATH": str(PROJECT),
        "HOST": "0.0.0.0",
        "PORT": str(port),
        "METRICS_PORT": str(metrics_port),
    }
    with running([str(run_py(tmp_path))], tmp_path, environ) as program:
        program.listens(metrics_port)
        assert get(port, PUBLIC).status == 200
        assert get(port, PROTECTED).status == 401
        assert get(port, "/metrics").status == 404
        numbers = shown(metrics_port)
        assert requests(200, PUBLIC, numbers) == requests(401, PROTECTED, numbers) == 1
        assert numbers['hello_auth_refusals_total{reason="no_credentials"}'] == 1
        assert numbers["process_open_fds"] > 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", metrics_port), 5)
        socket.create_connection(("127.0.0.2", port), 5).close()
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert "/metrics" not in program.err.replace("GET /metrics 404", "")
    assert "Traceback" not in program.err


def test_without_the_setting_nothing_is_loaded_for_them() -> None:
    code = f"""
import sys
from hello.app import create_app
from hello.config import Config
create_app(Config.from_environ({ISSUER!r}))
print("prometheus_client" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"METRICS_HOST": "no-such-host.invalid"}, ["METRICS_HOST", "no-such-host.invalid"]),
        ({}, ["METRICS_PORT"]),
    ],
)
def test_a_port_that_cannot_be_used_is_named(
    tmp_path: Path, variables: dict[str, str], named: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environ = {
            **ISSUER,
            "PYTHONPATH": str(PROJECT),
            "PORT": str(free_port()),
            "METRICS_PORT": str(taken.getsockname()[1]),
            **variables,
        }
        with running([str(run_py(tmp_path))], tmp_path, environ) as program:
            assert program.ends() == 2
    assert re.search(naming(*named), program.err)
    assert "Traceback" not in program.err


def test_without_the_library_the_setting_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(values, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"prometheus-client.*metrics"):
        values.metrics_port("9100")
    assert values.metrics_port("") is None


def test_workers_put_their_numbers_together_and_forget_who_has_died(tmp_path: Path) -> None:
    """Through a worker that is killed, and a reload: nothing that was counted is lost."""
    port, metrics_port, folder = free_port(), free_port(), tmp_path / "metrics"
    folder.mkdir()
    (tmp_path / "ready.py").write_text(READY + "from hello.operating.workers import child_exit\n")
    environ = {
        **ISSUER,
        "PYTHONPATH": str(PROJECT),
        "METRICS_PORT": str(metrics_port),
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
    }
    command = [
        *("-m", "gunicorn", "hello.server:production", "--no-control-socket"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--workers", "2"),
        *("--bind", f"127.0.0.1:{port}", "--config", "ready.py"),
    ]

    def living() -> set[int]:
        files = [path.stem for path in folder.glob("gauge_live*.db")]
        return {int(name.rpartition("_")[2]) for name in files}

    def sets() -> float:
        """How many workers say that they have keys to fetch. A socket that closes says nothing."""
        name = f'hello_auth_key_sets{{source="{ISSUER["ISSUER_BASE_URL"]}",state="not_asked"}}'
        try:
            return shown(metrics_port).get(name, 0)
        except OSError:
            return 0

    with running(command, tmp_path, environ) as program:
        program.until(lambda: sets() == 2)
        first = living()
        for _ in range(20):
            assert get(port, PROTECTED).status == 401
        for _ in range(5):  # whichever worker answers
            assert requests(401, PROTECTED, shown(metrics_port)) == 20
        os.kill(min(first), signal.SIGKILL)
        program.until(lambda: program.err.count("Ready: ") == 3)
        program.until(lambda: sets() == 2)
        assert min(first) not in living()
        program.send(signal.SIGHUP)
        program.until(lambda: program.err.count("Worker exiting") == 2)
        program.until(lambda: not first & living())  # once they have ended, which they say before
        program.until(lambda: sets() == 2)
        assert requests(401, PROTECTED, shown(metrics_port)) == 20
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert "Traceback" not in program.err


def test_what_starts_the_workers_loads_nothing_that_a_reload_should_load_anew() -> None:
    code = "import sys, hello.operating.workers; print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ours = {name for name in ran.stdout.split() if name.startswith("hello")}
    assert ours == {"hello", "hello.operating", "hello.operating.workers"}


@pytest.mark.parametrize("folder", [None, "", "missing"])
async def test_gunicorn_needs_a_folder_for_the_numbers_of_its_workers(
    tmp_path: Path,
    environ: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: str | None,
) -> None:
    for name, value in {**ISSUER, "METRICS_PORT": "9100"}.items():
        environ.setenv(name, value)
    if folder is not None:
        environ.setenv(series.MULTIPROCESS, folder and str(tmp_path / folder))
    with pytest.raises(SystemExit) as raised:
        await production()
    assert raised.value.code == 4
    assert capsys.readouterr().err.startswith(series.MULTIPROCESS)


async def test_a_worker_serves_them_beside_the_api(
    tmp_path: Path, environ: pytest.MonkeyPatch
) -> None:
    port = free_port()
    for name, value in {
        **ISSUER,
        "METRICS_PORT": str(port),
        series.MULTIPROCESS: str(tmp_path),
    }.items():
        environ.setenv(name, value)
    with root_logger_restored():
        runner = await production()
    await runner.setup()
    socket.create_connection(("127.0.0.1", port), 5).close()
    await runner.cleanup()


async def test_the_files_of_all_processes_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process writes them, because this one has begun without. One may be written still."""
    environ = {**os.environ, series.MULTIPROCESS: str(tmp_path)}
    code = "from prometheus_client import Counter; Counter('theirs', '.').inc(7)"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True, env=environ)
    app = web.Application()
    metrics.setup(app, registry=CollectorRegistry())
    monkeypatch.setenv(series.MULTIPROCESS, str(tmp_path))
    async with TestClient(ApiServer(metrics.page(app))) as client:
        async with client.get("/metrics") as response:
            assert "theirs_total 7.0" in await response.text()
        (tmp_path / "counter_1.db").touch()
        async with client.get("/metrics") as response:
            assert response.status == 503
        assert codes(caplog) == ["metrics_unreadable"]
        (tmp_path / "counter_1.db").unlink()
        async with client.get("/metrics") as response:
            assert response.status == 200


@pytest.mark.parametrize("several", [True, False])
def test_a_worker_that_has_ended_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, several: bool
) -> None:
    monkeypatch.delenv(series.MULTIPROCESS, raising=False)
    if several:
        monkeypatch.setenv(series.MULTIPROCESS, str(tmp_path))
    files = [tmp_path / f"gauge_livesum_{pid}.db" for pid in (1, 2)]
    for file in files:
        file.touch()
    child_exit(None, SimpleNamespace(pid=1))
    assert [file.exists() for file in files] == [not several, True]


async def test_applications_of_one_process_share_the_metrics() -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        app = web.Application()
        metrics.setup(app, registry=registry)
        async with TestClient(ApiServer(app)) as client, client.get("/nowhere") as response:
            assert response.status == 404
    labels = {"route": "-", "method": "GET", "status": "404"}
    assert registry.get_sample_value("hello_http_requests_total", labels) == 2
