"""How does this API send traces if its settings say so, and what does it load if they do not?"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.instrumentation import auto_instrumentation

from hello import auth
from hello.operating.telemetry import send_traces
from support.machine import GUNICORN, command
from support.pages import PROJECT, run_py
from support.program import ISSUER, PROTECTED, READY, free_port, get, running
from support.spans import Spans


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> list[dict[str, str]]:
    """The variables with which OpenTelemetry was set up, each time that it was."""
    seen: list[dict[str, str]] = []

    def initialize(*, swallow_exceptions: bool) -> None:
        assert not swallow_exceptions
        seen.append({name: os.environ[name] for name in os.environ if name.startswith("OTEL_")})

    monkeypatch.setattr(auto_instrumentation, "initialize", initialize)
    return seen


def test_what_is_not_set_is_set_up_for_traces_alone(
    set_up: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    validator: auth.TokenValidator,
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    monkeypatch.setenv("OTEL_PROPAGATORS", "b3")
    app = web.Application()
    auth.setup(app, validator)
    send_traces(app, "console")
    [environ] = set_up
    assert environ["OTEL_TRACES_EXPORTER"] == "console"
    assert environ["OTEL_METRICS_EXPORTER"] == environ["OTEL_LOGS_EXPORTER"] == "none"
    assert environ["OTEL_PROPAGATORS"] == "b3"
    assert len(app.middlewares) == 2


def test_what_was_set_up_before_is_left_as_it_is(
    set_up: list[dict[str, str]], validator: auth.TokenValidator
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    send_traces(app, "console")
    assert not set_up
    assert len(app.middlewares) == 2


def test_without_traces_nothing_of_opentelemetry_is_loaded() -> None:
    program = (
        "import sys; from hello.server import Config, create_app;"
        "create_app(Config.from_environ({'ISSUER_BASE_URL': 'http://localhost:9/',"
        " 'AUTH0_AUDIENCE': 'a', 'CLIENT_ORIGIN_URL': 'http://localhost:1'}));"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = ran.stdout.decode().split()
    assert "hello.operating.telemetry" in loaded
    assert not [name for name in loaded if name.startswith("opentelemetry")]


def with_run_py(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    (folder / ".env").write_text("OTEL_SERVICE_NAME=from-env-file\nOTEL_TRACES_EXPORTER=console\n")
    return [str(run_py(folder))], {"PORT": str(port)}


def with_gunicorn(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    (folder / "ready.py").write_text(READY)
    arguments = (
        *("hello.server:production", "--no-control-socket", "--config", "ready.py"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--bind", f"127.0.0.1:{port}"),
    )
    environ = {"OTEL_SERVICE_NAME": "from-env-file", "OTEL_TRACES_EXPORTER": "console"}
    return command(GUNICORN, *arguments), environ


@pytest.mark.parametrize("start", [with_run_py, with_gunicorn])
def test_the_program_writes_its_traces_at_the_latest_when_it_ends(
    tmp_path: Path, start: Callable[[Path, int], tuple[list[str], dict[str, str]]]
) -> None:
    port = free_port()
    arguments, environ = start(tmp_path, port)
    environ = {**ISSUER, **environ, "PYTHONPATH": str(PROJECT)}
    with running(arguments, tmp_path, environ) as program:
        if "gunicorn" in str(arguments):
            program.says("Ready: ")
        program.listens(port)
        assert get(port, f"{PROTECTED}?access_token=secret").status == 401
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert re.findall(r'"hello\.auth\.reason": "(\w+)"', program.out) == ["no_credentials"]
    assert '"service.name": "from-env-file"' in program.out
    assert "access_token" not in program.out + program.err


def test_an_exporter_that_is_not_installed_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    environ = {**ISSUER, "OTEL_TRACES_EXPORTER": "zipkin", "PYTHONPATH": str(PROJECT)}
    with running([str(run_py(tmp_path))], tmp_path, environ) as program:
        assert program.ends() == 2
    assert "OTEL_TRACES_EXPORTER" in program.err
