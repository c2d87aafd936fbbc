"""Is an application of one's own served as its page says, with our Runner and without?"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import tomllib
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hello import connections
from hello.sandbox.issuer import Issuer
from support.api import bearer
from support.machine import GUNICORN, Machine, ask_until_told_to_close, command, seconds_of
from support.outputs import logged
from support.pages import PROJECT, example, output, rows, rows_by_id, text
from support.program import READY, ask, get, running

PAGE = "hello/docs/serving-your-own.md"
WHEEL = "hello_aiohttp-0.1.0-py3-none-any.whl"


@pytest.fixture
def own(tmp_path: Path) -> Machine:
    """A machine with the files of somebody's own project, of the two pages that have them."""
    machine = Machine(tmp_path)
    code = example("hello/docs/own-project.md", "own-project")
    (machine.checkout / "my_api.py").write_text(f"{code}\n\napp = create_app()\n")
    (machine.checkout / "my_server.py").write_text(example(PAGE, "my-server"))
    (machine.checkout / "ready.py").write_text(READY)
    return machine


async def test_an_application_of_ones_own_is_served_and_says_what_it_refused(
    own: Machine, sandbox_issuer: Issuer
) -> None:
    """And it ends as this project's API does: no request is lost."""
    code = example(PAGE, "gunicorn")
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
            with closing(HTTPConnection("127.0.0.1", own.port, timeout=30)) as connection:
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
    assert logged(output(PAGE, "gunicorn")) in map(logged, log.splitlines())
    assert "INFO hello.access: 127.0.0.1 GET /reports 200 " in log
    assert not [secret for secret in ("a.b.c", *tokens) if secret in log]
    assert own.calls == ["pip install ../hello-aiohttp[production]"]


@pytest.mark.parametrize("row", rows(PAGE, "targets"), ids=lambda row: row[0])
def test_gunicorn_takes_and_refuses_what_the_table_says(own: Machine, row: list[str]) -> None:
    given, _, result = row
    environ = {**own.environ, "ISSUER": "http://localhost:9/", "AUDIENCE": "api"}
    arguments = (
        *("--bind", f"127.0.0.1:{own.port}", "--config", "ready.py", "--no-control-socket"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
    )
    with running(command(GUNICORN, given.strip("`"), *arguments), own.checkout, environ) as program:
        if status := re.findall(r"\d+", result):
            assert status == [str(program.ends())]
            return
        program.says("Ready: ")
        assert get(own.port, "/health").status == 200
        assert get(own.port, "/reports").status == 401
        program.send(signal.SIGINT)
        assert program.ends() == 0
    time, name = "", ""
    if "my_server" in given:
        time, name = (
            r"\d{4}-\d\d-\d\d [\d:,]+ \[\d+\] WARNING hello\.auth: ",
            " request=[0-9a-f]{32}",
        )
    line = rf"^{time}refused 401 no_credentials: GET /reports sub=- from=127\.0\.0\.1{name}$"
    assert re.search(line, program.err, re.MULTILINE)


def test_what_aiohttp_alone_does_is_what_the_table_says(own: Machine) -> None:
    """With an access log, there are queries in it; without our server, all the rest."""
    secret = "aaa.bbb.ccc"
    arguments = (
        *("my_api:app", "--bind", f"127.0.0.1:{own.port}", "--config", "ready.py"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--access-logfile", "-"),
    )
    with running(command(GUNICORN, *arguments), own.checkout, own.environ) as program:
        program.says("Ready: ")
        assert get(own.port, f"/reports?access_token={secret}").status == 401
        program.until(lambda: f"?access_token={secret} " in program.out)

        with socket.create_connection(("127.0.0.1", own.port), 10) as broken:
            broken.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer {secret}\1\r\n\r\n".encode())
            answer = broken.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.0 400 ")
        assert secret.encode() in answer
        program.until(lambda: secret in program.err)

        assert get(own.port, "/nothing")[::2] == (404, b"404: Not Found")
        with closing(HTTPConnection("127.0.0.1", own.port, timeout=30)) as connection:
            assert "Connection" not in ask(connection, "/health").headers
            program.send(signal.SIGTERM)
            with pytest.raises(ConnectionError):
                ask_until_told_to_close(connection, "/health")
        assert program.ends() == 0
    code = (own.checkout / "my_api.py").read_text().replace("port=8080", f"port={own.port}")
    (own.checkout / "my_api.py").write_text(code)
    with running(["my_api.py"], own.checkout, own.environ) as program:
        program.listens(own.port)
        assert get(own.port, f"/reports?access_token={secret}").status == 401
        program.says(f"?access_token={secret} ")


def test_how_long_each_server_waits_is_in_the_table() -> None:
    table = rows_by_id(PAGE, "runner")
    for row, ours, gunicorns in (
        ("keep-alive", connections._KEEPALIVE_SECONDS, "--keep-alive"),
        ("in-flight", connections._IN_FLIGHT_SECONDS, "--graceful-timeout"),
    ):
        _, with_runner, alone = table[row]
        assert f"{ours} s" in with_runner
        assert f"{seconds_of(gunicorns)} s" in alone


@pytest.mark.parametrize("name", ["make-wheel", "upgrade-wheel"])
def test_the_commands_make_and_install_the_wheel(own: Machine, name: str) -> None:
    own.run(example(PAGE, name))
    assert set(own.calls) <= {
        "git -C ../hello-aiohttp pull",
        "pip wheel --no-deps --wheel-dir wheels ../hello-aiohttp",
        f"pip install --force-reinstall --no-deps ./wheels/{WHEEL}",
        "pip install -r requirements.txt",
    }
    assert own.calls[-1] == "pip install -r requirements.txt"


def test_the_requirements_name_the_wheel_that_is_made_here(own: Machine) -> None:
    """Never the name alone, which is not ours on PyPI; with extras that there are."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    assert f"{name}-{project['version']}-py3-none-any.whl" == WHEEL
    own.run(example(PAGE, "make-wheel"))
    [line] = (own.checkout / "requirements.txt").read_text().splitlines()
    assert line == f"./wheels/{WHEEL}[production]"
    assert "production" in project["optional-dependencies"]
    theirs = tomllib.loads(example(PAGE, "pyproject-dependency"))
    required = Requirement(theirs["project"]["dependencies"][0])
    assert (required.name, required.extras) == (project["name"], {"production"})
    assert str(required.url).startswith("file:///")
    assert set(re.findall(r"hello_aiohttp-\S+?\.whl", text(PAGE))) == {WHEEL}
