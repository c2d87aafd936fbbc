"""Do the recipes of hello/docs/deploying.md work: commands, the systemd unit, the container?"""

import asyncio
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from hello import connections
from hello.config import Config
from hello.sandbox.issuer import Issuer
from support.machine import (
    GUNICORN,
    PAGE,
    SERVER_SECONDS,
    WORKER_SECONDS,
    Machine,
    ask_until_told_to_close,
    command,
    lacks,
    seconds_of,
    settings,
)
from support.pages import PROJECT, example, rows
from support.program import PROTECTED, PUBLIC, READY, ask, get, running

CHANGING = ("install-service", "upgrade-service", "run-container", "reload")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["run", "gunicorn"])
def test_a_command_that_serves_serves_and_ends_without_losing_a_request(
    machine: Machine, name: str, number: signal.Signals
) -> None:
    code = example(PAGE, name)
    (machine.checkout / "ready.py").write_text(READY)
    environ = {**machine.environ, "GUNICORN_CMD_ARGS": "--config ready.py"}
    with running(machine.script(code), machine.checkout, environ) as program:
        if name == "gunicorn":
            workers = int(re.findall(r"--workers (\d+)", code)[0])
            program.until(lambda: program.err.count("Ready: ") == workers)
        program.listens(machine.port)
        assert get(machine.port, PUBLIC).status == 200
        assert get(machine.port, PROTECTED).status == 401
        with closing(HTTPConnection("127.0.0.1", machine.port, timeout=30)) as connection:
            assert "Connection" not in ask(connection, PUBLIC).headers
            machine.stop_server(number)
            ask_until_told_to_close(connection, PUBLIC)
        assert program.ends() == 0
    assert "Traceback" not in program.err
    for line in program.err.splitlines():  # what sounds bad is on the page
        said = re.sub(r"^\[.*?\] \[\d+\] \[[A-Z]+\] ", "", line)
        if re.search(r"error|\[WARNING\]|\[ERROR\]|\[CRITICAL\]", line, re.IGNORECASE):
            said = re.sub(r"pid:\d+", "pid:…", said)
            assert said in [row[0].strip("`") for row in rows(PAGE, "gunicorn-messages")]


@pytest.mark.parametrize("name", CHANGING)
def test_a_command_that_changes_the_machine_is_one_that_there_is(
    machine: Machine, name: str
) -> None:
    machine.run(example(PAGE, "install-service"))
    before = len(machine.calls)
    machine.run(example(PAGE, name))
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert machine.calls[before:]
    for call in machine.calls[before:]:
        match shlex.split(call):
            case ["docker", "build", "--tag", "hello-api", "."] | ["git", "pull"]:
                pass
            case ["pip", "install", what]:
                assert re.findall(r"^\.\[(\w+)\]$", what)[0] in extras["optional-dependencies"]
            case ["systemctl", ("reload" | "restart"), "hello-api"]:
                assert "ExecReload" in unit()
            case ["systemctl", "enable", "--now", "hello-api"] | ["systemctl", "daemon-reload"]:
                installed = machine.root / "etc/systemd/system/hello-api.service"
                assert installed.read_text() == example(PAGE, "unit")
                assert (machine.root / "etc/hello-api.env").stat().st_mode & 0o777 == 0o600
            case ["docker", "run", *options]:
                assert options[-1] == "hello-api"
                assert (machine.checkout / options[options.index("--env-file") + 1]).is_file()
                assert int(options[options.index("--stop-timeout") + 1]) > SERVER_SECONDS
            case _:
                pytest.fail(f"nobody knows what this does: {call}")


async def test_one_token_is_checked_with_the_services_settings(
    machine: Machine, sandbox_issuer: Issuer
) -> None:
    code = example("hello/docs/logs.md", "check-one-token")
    service = "".join(f"{name}={value}\n" for name, value in settings().items())
    service = service.replace(
        "AUTH0_DOMAIN=dev-abc123.eu.auth0.com", f"ISSUER_BASE_URL={sandbox_issuer.url}"
    )
    (machine.root / "etc/hello-api.env").write_text(service)
    token = sandbox_issuer.mint(claims={"aud": settings()["AUTH0_AUDIENCE"]})
    (machine.checkout / "token.txt").write_text(token)
    said = await asyncio.to_thread(machine.run, code)
    assert sandbox_issuer.url in said
    assert ", reason " not in said


# --- systemd -------------------------------------------------------------------------------------


def unit() -> dict[str, list[str]]:
    """The unit's directives, of all of its sections."""
    directives: dict[str, list[str]] = {}
    for line in example(PAGE, "unit").replace("\\\n", "").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            directives.setdefault(name, []).append(value)
    return directives


def test_the_environment_file_is_a_configuration_in_any_dialect() -> None:
    assert re.fullmatch(r"([A-Z0-9_]+=[^\s'\"#$\\]+\n)+", example(PAGE, "env-file"))
    assert Config.from_environ(settings()).issuer == "https://dev-abc123.eu.auth0.com/"
    assert not {"HOST", "PORT"} & set(settings())


@pytest.mark.skipif(lacks("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_understands_the_unit_and_finds_it_well_locked(tmp_path: Path) -> None:
    path = tmp_path / "hello-api.service"
    code = example(PAGE, "unit")
    path.write_text(code.replace("/opt/hello-api/bin/gunicorn", str(GUNICORN)))
    ran = [
        subprocess.run(
            ["systemd-analyze", *arguments, str(path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        for arguments in (["verify"], ["security", "--offline=yes", "--no-pager"])
    ]
    assert [line for line in ran[0].stderr.splitlines() if path.name in line] == []
    [exposure] = re.findall(
        r"Overall exposure level for hello-api.service: ([\d.]+)", ran[1].stdout
    )
    assert float(exposure) < 2


def test_who_stops_the_service_waits_for_who_is_inside() -> None:
    assert SERVER_SECONDS == 27
    assert WORKER_SECONDS == 28
    assert int(unit()["TimeoutStopSec"][0]) > seconds_of("--graceful-timeout") > WORKER_SECONDS
    [idle] = re.findall(r"keepalive_timeout (\d+)s", example(PAGE, "nginx"))
    assert int(idle) < connections._KEEPALIVE_SECONDS == 75


def test_the_service_tells_systemd_and_takes_up_new_code_without_a_gap(machine: Machine) -> None:
    """What systemd does with the unit: start it with its environment, reload it, stop it."""
    arguments = shlex.split(unit()["ExecStart"][0].replace("6060", str(machine.port)))
    assert unit()["Type"] == ["notify"]
    address = machine.checkout / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(60)
        (machine.checkout / "ready.py").write_text(READY)
        environ = {
            **settings(),
            **machine.environ,
            "NOTIFY_SOCKET": str(address),
            "GUNICORN_CMD_ARGS": "--config ready.py",
        }
        with running(command(GUNICORN, *arguments[1:]), machine.checkout, environ) as program:
            assert b"READY=1" in notified.recv(1000)
            program.until(lambda: program.err.count("Ready: ") == 2)
            assert "public" in get(machine.port, PUBLIC).body["text"]
            messages = machine.checkout / "hello/messages.py"
            messages.write_text(messages.read_text().replace("a public message", "a new message"))
            [reload] = unit()["ExecReload"]
            subprocess.run(
                ["bash", "-c", reload], env={"MAINPID": str(program._process.pid)}, check=True
            )
            program.until(lambda: "new" in get(machine.port, PUBLIC).body["text"])
            program.until(lambda: program.err.count("Ready: ") == 4)
            program.until(lambda: program.err.count("Worker exiting") == 2)
            program.send(getattr(signal, unit().get("KillSignal", ["SIGTERM"])[0]))
            assert program.ends() == 0
    assert "ERROR" not in program.err


# --- The container -------------------------------------------------------------------------------


def dockerfile() -> list[tuple[str, str]]:
    """The instructions and what they are given."""
    return [
        (line.split(" ", 1)[0], line.split(" ", 1)[1])
        for line in example(PAGE, "dockerfile").replace("\\\n", "").splitlines()
        if not line.startswith("#")
    ]


class Image:
    """What the steps make, in a folder that has nothing but what is copied."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.folder, self.installed = folder / "image", folder / "site-packages"
        self.folder.mkdir()
        self.environ: dict[str, str] = {}
        self.given = dict(dockerfile())
        for instruction, given in dockerfile():
            match instruction:
                case "COPY":
                    self._copy(machine.checkout, given.split())
                case "RUN":
                    self._run(machine, given)
                case "ENV":
                    self.environ |= dict(each.split("=", 1) for each in given.split())
                case "FROM" | "WORKDIR" | "EXPOSE" | "USER" | "HEALTHCHECK" | "CMD":
                    pass
                case _:
                    pytest.fail(f"nobody knows what {instruction} does")

    def _copy(self, checkout: Path, paths: list[str]) -> None:
        *sources, target = paths
        for source in sources:
            if (checkout / source).is_dir():
                shutil.copytree(checkout / source, self.folder / target)
            else:
                shutil.copy(checkout / source, self.folder / target)

    def _run(self, machine: Machine, script: str) -> None:
        """Run a step; instead of pip, its part is done: it installs hello, from its metadata."""
        assert (self.folder / "pyproject.toml").is_file()
        assert (self.folder / "README.md").is_file()
        shutil.copytree(self.folder / "hello", self.installed / "hello")
        subprocess.run(
            ["bash", "-euc", script], cwd=self.folder, env=machine.environ, check=True, timeout=60
        )
        assert machine.calls == ["pip install --no-cache-dir --only-binary :all: ."]


def test_what_the_image_holds_serves_is_healthy_and_ends(machine: Machine, tmp_path: Path) -> None:
    image = Image(machine, tmp_path)
    [version] = re.findall(r"^python:(\d+)\.(\d+)-slim$", image.given["FROM"])
    assert tuple(map(int, version)) >= (3, 11)
    assert 0 not in map(int, image.given["USER"].split(":"))
    assert image.environ == {"HOST": "0.0.0.0", "PORT": image.given["EXPOSE"]}
    check = json.loads(image.given["HEALTHCHECK"].partition(" CMD ")[2])
    start = json.loads(image.given["CMD"])
    assert start[0] == check[0] == "python"
    healthy = [sys.executable, *check[1:2], check[2].replace("6060", str(machine.port))]

    before = sorted(image.folder.rglob("*"))
    environ = {
        **image.environ,
        **settings(),
        "PORT": str(machine.port),
        "PYTHONPATH": str(image.installed),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = [str(image.folder / start[1]), *start[2:]]
    with running(run, tmp_path / "home", environ) as program:
        program.listens(machine.port)
        subprocess.run(healthy, check=True, timeout=60)
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    unwell = subprocess.run(healthy, check=False, capture_output=True, timeout=60)
    assert unwell.returncode == 1
    assert sorted(image.folder.rglob("*")) == before, "a read-only file system would not bear it"
