"""Do the recipes of hello/running.md work: commands, the systemd unit, the container?"""

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
from collections.abc import Awaitable, Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from packaging.requirements import Requirement

from conftest import ApiServer, Client, bearer
from hello import server
from hello.config import Config
from hello.sandbox.issuer import Issuer
from machine import (
    CHECKING,
    FENCES,
    GUNICORN,
    OWN,
    PAGE,
    PRINTING,
    SCRIPTS,
    SERVER_SECONDS,
    WORKER_SECONDS,
    Machine,
    command,
    lacks,
    rows,
    settings,
)
from pages import PROJECT, blocks, text
from test_production import READY
from test_run import PROTECTED, PUBLIC, ask, get, running

COMMANDS = [code for code, output in SCRIPTS if (code, output) not in [*OWN, *PRINTING]]
SERVING = [
    code for code in COMMANDS if code not in CHECKING and ("run.py" in code or "--bind" in code)
]
CHANGING = [code for code in COMMANDS if code not in [*SERVING, *CHECKING]]


def seconds_of(option: str) -> int:
    """What an option of gunicorn's is if nobody says otherwise."""
    ran = subprocess.run(
        [GUNICORN, "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    return int(re.findall(rf"{option} INT\s.*?\[(\d+)\]", ran.stdout, re.DOTALL)[0])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_each_block_is_run_by_a_test_of_this_page() -> None:
    assert {language for language, _ in FENCES} == {
        *("bash", "text", "dotenv", "ini", "dockerfile", "nginx", "python")
    }
    assert [len(OWN), len(SERVING), len(CHECKING)] == [1, 2, 1]
    tried = (OWN, SERVING, CHECKING, PRINTING, CHANGING)
    assert sum(map(len, tried)) == len(blocks(PAGE, "bash"))
    printed = [output for _, output in [*OWN, *PRINTING]]
    assert len(blocks(PAGE, "text")) == 1 + len(printed)  # the log, and what is printed
    for language in ("dotenv", "ini", "dockerfile"):
        assert len(blocks(PAGE, language)) == 1
    for language in ("nginx", "python"):
        assert len(blocks(PAGE, language)) == 2


def ask_until_told_to_close(connection: HTTPConnection, path: str) -> None:
    """Ask one request after another, until an answer says that the connection closes."""
    closes = False
    while not closes:
        answer = ask(connection, path)
        assert answer.status == 200
        closes = answer.headers.get("Connection") == "close"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("code", SERVING)
def test_a_command_that_serves_serves_and_ends_without_losing_a_request(
    machine: Machine, code: str, number: signal.Signals
) -> None:
    (machine.checkout / "ready.py").write_text(READY)
    environ = {**machine.environ, "GUNICORN_CMD_ARGS": "--config ready.py"}
    with running(machine.script(code), machine.checkout, environ) as program:
        if "gunicorn" in code:
            workers = int(re.findall(r"--workers (\d+)", code)[0])
            program.until(lambda: program.err.count("Ready: ") == workers)
        program.listens(machine.port)
        assert get(machine.port, PUBLIC).status == 200
        assert get(machine.port, PROTECTED).status == 401
        with closing(HTTPConnection("127.0.0.1", machine.port, timeout=10)) as connection:
            assert "Connection" not in ask(connection, PUBLIC).headers
            machine.stop_server(number)
            ask_until_told_to_close(connection, PUBLIC)
        assert program.ends() == 0
    assert "Traceback" not in program.err
    for line in program.err.splitlines():  # what sounds bad is on the page
        said = re.sub(r"^\[.*?\] \[\d+\] \[[A-Z]+\] ", "", line)
        if re.search(r"error|\[WARNING\]|\[ERROR\]|\[CRITICAL\]", line, re.IGNORECASE):
            said = re.sub(r"pid:\d+", "pid:…", said)
            assert said in [row[0].strip("`") for row in rows("gunicorn says")]


WHEEL = "hello_aiohttp-0.1.0-py3-none-any.whl"
KNOWN_CALLS = {
    "docker build --tag hello-api .",
    "git pull",
    "git -C ../hello-aiohttp pull",
    "pip wheel --no-deps --wheel-dir wheels ../hello-aiohttp",
    f"pip install --force-reinstall --no-deps ./wheels/{WHEEL}",
    "pip install -r requirements.txt",
}


@pytest.mark.parametrize("code", CHANGING)
def test_a_command_that_changes_the_machine_is_one_that_there_is(
    machine: Machine, code: str
) -> None:
    machine.run(CHANGING[0])  # the installation
    before = len(machine.calls)
    machine.run(code)
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert machine.calls[before:]
    for call in machine.calls[before:]:
        if call in KNOWN_CALLS:
            continue
        name, *arguments = shlex.split(call)
        match name, *arguments:
            case "pip", "install", what:
                assert re.findall(r"^\.\[(\w+)\]$", what)[0] in extras["optional-dependencies"]
            case "systemctl", ("reload" | "restart"), "hello-api":
                assert "ExecReload" in unit()
            case ("systemctl", "enable", "--now", "hello-api") | ("systemctl", "daemon-reload"):
                installed = machine.root / "etc/systemd/system/hello-api.service"
                assert installed.read_text() == blocks(PAGE, "ini")[0]
                assert (machine.root / "etc/hello-api.env").stat().st_mode & 0o777 == 0o600
            case "docker", "run", *options:
                assert options[-1] == "hello-api"
                assert (machine.checkout / options[options.index("--env-file") + 1]).is_file()
                assert int(options[options.index("--stop-timeout") + 1]) > SERVER_SECONDS
            case _:
                pytest.fail(f"nobody knows what this does: {call}")


def test_the_requirements_name_the_wheel_that_is_made_here(machine: Machine) -> None:
    """Never the name alone, which is not ours on PyPI; with extras that there are."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    assert f"{name}-{project['version']}-py3-none-any.whl" == WHEEL
    [code] = [code for code in CHANGING if "> requirements.txt" in code]
    machine.run(code)
    [line] = (machine.checkout / "requirements.txt").read_text().splitlines()
    assert line == f"./wheels/{WHEEL}[production]"
    assert "production" in project["optional-dependencies"]
    [dependency] = re.findall(r"`(hello-aiohttp\[production\] @ .+?)`", text(PAGE))
    required = Requirement(dependency)
    assert (required.name, required.extras) == (project["name"], {"production"})
    assert str(required.url).startswith("file:///")
    assert set(re.findall(r"hello_aiohttp-\S+?\.whl", text(PAGE))) == {WHEEL}


# --- An application of one's own -----------------------------------------------------------------


@pytest.fixture
def own(machine: Machine) -> Machine:
    """A machine with the files of somebody's own project, of the two pages that have them."""
    example = blocks("hello/auth/README.md", "python")[0]
    (machine.checkout / "my_api.py").write_text(f"{example}\n\napp = create_app()\n")
    (machine.checkout / "my_server.py").write_text(blocks(PAGE, "python")[0])
    (machine.checkout / "ready.py").write_text(READY)
    return machine


async def test_an_application_of_ones_own_is_served_and_says_what_it_refused(
    own: Machine, sandbox_issuer: Issuer
) -> None:
    """And it ends as this project's API does: no request is lost."""
    [(code, output)] = OWN
    for old, new in (
        ("https://dev-abc123.eu.auth0.com/", sandbox_issuer.url),
        ("127.0.0.1:8080", "127.0.0.1:6060"),
    ):
        assert code.count(old) == 1
        code = code.replace(old, new)
    tokens = [sandbox_issuer.mint(claims={"permissions": each}) for each in ([], ["read:reports"])]
    statuses: list[int] = []

    def serve() -> str:
        environ = {**own.environ, "GUNICORN_CMD_ARGS": "--config ready.py"}
        with running(own.script(code), own.checkout, environ) as program:
            program.until(lambda: program.err.count("Ready: ") == 2)
            statuses.extend(
                get(own.port, "/reports?access_token=a.b.c", headers).status
                for headers in ({}, *map(bearer, tokens))
            )
            assert get(own.port, "/nothing")[::2] == (404, {"message": "Not Found"})
            with closing(HTTPConnection("127.0.0.1", own.port, timeout=10)) as connection:
                assert "Connection" not in ask(connection, "/health").headers
                own.stop_server(signal.SIGINT)
                ask_until_told_to_close(connection, "/health")
            assert program.ends() == 0
        return program.err + program.out

    log = await asyncio.to_thread(serve)
    assert statuses == [401, 403, 200]
    checked = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "hello.auth", "check", "my_server:production"],
        input=tokens[0],
        cwd=own.checkout,
        env={**own.environ, "ISSUER": sandbox_issuer.url, "AUDIENCE": "https://api.example.com"},
        capture_output=True,
        text=True,
    )
    assert checked.stderr == ""
    assert "GET /reports: 403" in checked.stdout
    assert output is not None
    [line] = [line for line in log.splitlines() if "no_credentials" in line]
    date = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
    assert date.sub("DATE ", line) == date.sub("DATE ", output.rstrip("\n"))
    assert "INFO hello.access: 127.0.0.1 GET /reports 200 " in log
    assert not [secret for secret in ("a.b.c", *tokens) if secret in log]
    assert own.calls == ["pip install ../hello-aiohttp[production]"]


@pytest.fixture
def with_feed(own: Machine) -> Machine:
    """A machine with the page's websocket in somebody's own project."""
    (own.checkout / "my_feed.py").write_text(blocks(PAGE, "python")[1])
    code = (own.checkout / "my_api.py").read_text()
    assert code.count("    return app\n") == 1
    code = code.replace("    return app\n", "    add_feed(app)\n    return app\n")
    (own.checkout / "my_api.py").write_text(f"from my_feed import add_feed\n{code}")
    return own


async def test_a_stop_closes_the_websockets_and_waits_for_none(
    with_feed: Machine, sandbox_issuer: Issuer
) -> None:
    environ = {
        **with_feed.environ,
        "ISSUER": sandbox_issuer.url,
        "AUDIENCE": sandbox_issuer.audience,
    }
    arguments = (
        *("my_server:production", "--bind", f"127.0.0.1:{with_feed.port}", "--no-control-socket"),
        *("--config", "ready.py", "--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
    )
    url = f"http://127.0.0.1:{with_feed.port}/feed"
    token = sandbox_issuer.mint(claims={"permissions": ["read:reports"]})
    with running(command(GUNICORN, *arguments), with_feed.checkout, environ) as program:
        program.says("Ready: ")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(url, headers=bearer(sandbox_issuer.mint()))
            async with session.ws_connect(url, headers=bearer(token)) as feed:
                await feed.send_str("hello")
                assert await feed.receive_str() == "hello"
                program.send(signal.SIGTERM)
                closed = await feed.receive()
                assert closed[:2] == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
        assert await asyncio.to_thread(program.ends) == 0  # in less than the 27 s
    assert "Traceback" not in program.err


async def test_a_websocket_that_nobody_closes_is_cut_off_at_the_end(
    monkeypatch: pytest.MonkeyPatch, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    monkeypatch.setattr(server, "_IN_FLIGHT_SECONDS", 0.1)
    names: dict[str, Any] = {"__name__": "my_feed"}
    code = blocks(PAGE, "python")[1].replace('@auth.protected(permissions={"read:reports"})\n', "")
    assert code.count("app.on_shutdown.append(close_sockets)") == 1
    exec(code.replace("app.on_shutdown.append(close_sockets)", "pass"), names)
    app = web.Application()
    names["add_feed"](app)
    client = await aiohttp_client(ApiServer(app))
    async with client.ws_connect("/feed") as feed:
        await client.server.close()
        assert (await feed.receive()).type is aiohttp.WSMsgType.CLOSED
        assert feed.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


async def test_one_token_is_checked_with_the_services_settings(
    machine: Machine, sandbox_issuer: Issuer
) -> None:
    [code] = CHECKING
    service = "".join(f"{name}={value}\n" for name, value in settings().items())
    service = service.replace(
        "AUTH0_DOMAIN=dev-abc123.eu.auth0.com", f"ISSUER_BASE_URL={sandbox_issuer.url}"
    )
    (machine.root / "etc/hello-api.env").write_text(service)
    token = sandbox_issuer.mint(claims={"aud": settings()["AUTH0_AUDIENCE"]})
    (machine.checkout / "token.txt").write_text(token)
    said = await asyncio.to_thread(machine.run, code)
    assert sandbox_issuer.url in said
    assert "\nThe token is valid.\n" in said


@pytest.mark.parametrize("row", rows("gunicorn is told"), ids=lambda row: row[0])
def test_gunicorn_takes_and_refuses_what_the_table_says(own: Machine, row: list[str]) -> None:
    told, _, says = row
    environ = {**own.environ, "ISSUER": "http://localhost:9/", "AUDIENCE": "api"}
    arguments = (
        *("--bind", f"127.0.0.1:{own.port}", "--config", "ready.py", "--no-control-socket"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
    )
    with running(command(GUNICORN, told.strip("`"), *arguments), own.checkout, environ) as program:
        if not says.startswith("works"):
            assert says == f"ends with status {program.ends()}"
            return
        program.says("Ready: ")
        assert get(own.port, "/health").status == 200
        assert get(own.port, "/reports").status == 401
        program.send(signal.SIGINT)
        assert program.ends() == 0
    time = r"\d{4}-\d\d-\d\d [\d:,]+ WARNING hello\.auth: " if "my_server" in told else ""
    line = rf"^{time}refused 401 no_credentials: GET /reports sub=-$"
    assert re.search(line, program.err, re.MULTILINE)


def test_what_aiohttp_alone_does_is_what_the_table_says(own: Machine) -> None:
    """With an access log, there are queries in it; without our server, all the rest."""
    secret = "aaa.bbb.ccc"
    arguments = (
        *("my_api:app", "--bind", f"127.0.0.1:{own.port}", "--config", "ready.py"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--access-logfile", "-"),
    )
    cells = {row[0]: row[2] for row in rows("| with `Runner` and")}
    with running(command(GUNICORN, *arguments), own.checkout, own.environ) as program:
        program.says("Ready: ")
        assert get(own.port, f"/reports?access_token={secret}").status == 401
        program.until(lambda: f"?access_token={secret} " in program.out)
        assert "*with* queries" in cells["access log"]

        with socket.create_connection(("127.0.0.1", own.port), 10) as broken:
            broken.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer {secret}\1\r\n\r\n".encode())
            answer = broken.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.0 400 ")
        assert secret.encode() in answer
        program.until(lambda: secret in program.err)
        assert "logged and sent back" in cells["what is no HTTP"]

        assert get(own.port, "/nothing")[::2] == (404, b"404: Not Found")
        assert cells["404, 405"] == "as text"
        with closing(HTTPConnection("127.0.0.1", own.port, timeout=10)) as connection:
            assert "Connection" not in ask(connection, "/health").headers
            program.send(signal.SIGTERM)
            with pytest.raises(ConnectionError):
                ask_until_told_to_close(connection, "/health")
        assert "a request that comes just then is lost" in cells["at the end"]
        assert program.ends() == 0
    code = (own.checkout / "my_api.py").read_text().replace("port=8080", f"port={own.port}")
    (own.checkout / "my_api.py").write_text(code)
    with running(["my_api.py"], own.checkout, own.environ) as program:
        program.listens(own.port)
        assert get(own.port, f"/reports?access_token={secret}").status == 401
        program.says(f"?access_token={secret} ")
        assert "`web.run_app`" in cells["access log"]
    assert f"{seconds_of('--keep-alive')} s by default" in cells["idle connections"]
    assert f", {seconds_of('--graceful-timeout')} s" in cells["requests that have begun"]


# --- systemd -------------------------------------------------------------------------------------


def unit() -> dict[str, list[str]]:
    """The unit's directives, of all of its sections."""
    [code] = blocks(PAGE, "ini")
    directives: dict[str, list[str]] = {}
    for line in code.replace("\\\n", "").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            directives.setdefault(name, []).append(value)
    return directives


def test_the_environment_file_is_a_configuration_in_any_dialect() -> None:
    [code] = blocks(PAGE, "dotenv")
    assert re.fullmatch(r"([A-Z0-9_]+=[^\s'\"#$\\]+\n)+", code)
    assert Config.from_environ(settings()).issuer == "https://dev-abc123.eu.auth0.com/"
    assert not {"HOST", "PORT"} & set(settings())


@pytest.mark.skipif(lacks("systemd-analyze"), reason="there is no systemd-analyze")
def test_systemd_understands_the_unit_and_finds_it_well_locked(tmp_path: Path) -> None:
    path = tmp_path / "hello-api.service"
    [code] = blocks(PAGE, "ini")
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
    for claim in ("at most 28 s", "30 s, and those are longer than the 28 s of a worker"):
        assert claim in text(PAGE)
    [idle] = re.findall(r"keepalive_timeout (\d+)s", blocks(PAGE, "nginx")[0])
    assert int(idle) < server._KEEPALIVE_SECONDS == 75


def test_the_service_tells_systemd_and_takes_up_new_code_without_a_gap(machine: Machine) -> None:
    """What systemd does with the unit: start it with its environment, reload it, stop it."""
    arguments = shlex.split(unit()["ExecStart"][0].replace("6060", str(machine.port)))
    assert unit()["Type"] == ["notify"]
    address = machine.checkout / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(30)
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
    [code] = blocks(PAGE, "dockerfile")
    return [
        (line.split(" ", 1)[0], line.split(" ", 1)[1])
        for line in code.replace("\\\n", "").splitlines()
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
            ["bash", "-euc", script], cwd=self.folder, env=machine.environ, check=True, timeout=30
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
        subprocess.run(healthy, check=True, timeout=30)
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    unwell = subprocess.run(healthy, check=False, capture_output=True, timeout=30)
    assert unwell.returncode == 1
    assert sorted(image.folder.rglob("*")) == before, "a read-only file system would not bear it"
