"""Does `python run.py` do what the README promises to somebody at a terminal?"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import zip_longest
from pathlib import Path

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import CLIENT_SECRET, Issuer
from support.api import AUDIENCE, bearer
from support.naming import naming
from support.program import (
    API_PORT,
    CLIENT_PORT,
    DOWN,
    ISSUER,
    ISSUER_PORT,
    PROTECTED,
    PUBLIC,
    Program,
    ask,
    copy_project,
    free_port,
    get,
    is_listening,
    running,
)

SHOWN = (PUBLIC, PROTECTED)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def sandbox(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The sandbox, as a newcomer starts it: no .env, and not one variable."""
    taken = [port for port in (API_PORT, ISSUER_PORT, CLIENT_PORT) if is_listening(port)]
    if taken and os.environ.get("CI") != "true":
        pytest.skip(f"the sandbox's own ports are taken on this machine: {taken}")
    with running([str(project / "run.py")], tmp_path_factory.mktemp("sandbox"), {}) as program:
        program.says(".env.example")  # the end of what it says
        yield program
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert "Traceback" not in program.err


def test_without_any_configuration_there_is_a_sandbox_that_says_what_to_do(
    sandbox: Program,
) -> None:
    for text in [
        f"http://localhost:{API_PORT}{PUBLIC}",
        f"http://localhost:{ISSUER_PORT}/",
        f"http://localhost:{CLIENT_PORT}",
        ".env.example",
    ]:
        assert text in sandbox.out
    assert get(API_PORT, PUBLIC).body.keys() == {"text"}
    metadata = get(ISSUER_PORT, "/.well-known/openid-configuration").body
    assert metadata["issuer"] == f"http://localhost:{ISSUER_PORT}/"
    assert get(CLIENT_PORT, "/").status == 200
    sandbox.says(f"GET {PUBLIC} 200")
    assert "openid-configuration" not in sandbox.err  # its log is the API's alone


def test_the_sandboxs_api_may_be_read_by_the_demo_client(sandbox: Program) -> None:
    origin = f"http://localhost:{CLIENT_PORT}"
    answer = get(API_PORT, PROTECTED, {"Origin": origin})
    assert answer.status == 401
    assert answer.headers["Access-Control-Allow-Origin"] == origin


FETCHES = r"^  TOKEN=\$\(.*?\)\n\n"


def bash(lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", lines],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_lines_that_the_sandbox_prints_work_as_they_are(sandbox: Program) -> None:
    [fetch] = re.findall(FETCHES, sandbox.out, re.MULTILINE | re.DOTALL)
    [use] = re.findall(r"^  curl -i .*\n", sandbox.out, re.MULTILINE)
    ran = bash(fetch + use)
    assert ran.stdout.startswith("HTTP/1.1 200 OK")
    assert json.loads(ran.stdout.splitlines()[-1]).keys() == {"text"}
    assert ran.returncode == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_lines_that_the_sandbox_prints_show_an_issuers_error(sandbox: Program) -> None:
    [fetch] = re.findall(FETCHES, sandbox.out, re.MULTILINE | re.DOTALL)
    ran = bash(fetch.replace(CLIENT_SECRET, "no-such-secret"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "'error': 'invalid_client'" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_lines_that_the_sandbox_prints_say_that_it_is_not_running(sandbox: Program) -> None:
    [fetch] = re.findall(FETCHES, sandbox.out, re.MULTILINE | re.DOTALL)
    ran = bash(fetch.replace(f":{ISSUER_PORT}/", ":9/"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "curl: (7)" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_second_sandbox_is_told_that_there_is_one(
    sandbox: Program, project: Path, tmp_path: Path
) -> None:
    environ = {"PORT": str(free_port())}
    with running([str(project / "run.py")], tmp_path / "second", environ) as program:
        assert program.ends() == 2
    assert str(ISSUER_PORT) in program.err
    assert "Traceback" not in program.err


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AUTH0_DOMAIN": "t.eu.auth0.com"}, ["CLIENT_ORIGIN_URL", "AUTH0_AUDIENCE"]),
        ({"AUTH0_AUDIENCE": "hello", "HOST": "0.0.0.0"}, ["HOST", "AUTH0_DOMAIN"]),
        ({**ISSUER, "AUTH0_DOMAIN": "t.eu.auth0.com"}, ["AUTH0_DOMAIN", "ISSUER_BASE_URL"]),
        ({**ISSUER, "PORT": "abc", "LOG_LEVEL": "loud"}, ["PORT", "'abc'", "LOG_LEVEL", "'loud'"]),
        ({**ISSUER, "HOST": "no-such-host.invalid"}, ["HOST", "no-such-host.invalid"]),
        ({"PORT": "abc", "CLIENT_ORIGIN_URL": "*"}, ["PORT", "CLIENT_ORIGIN_URL"]),
        ({"HOST": "0.0.0.0"}, ["HOST", "AUTH0_DOMAIN"]),
        ({"HOST": "::"}, ["HOST", "AUTH0_DOMAIN"]),
        ({"HOST": "example.com"}, ["HOST", "AUTH0_DOMAIN"]),
        ({"TOKEN_SIGNING_ALG": "ES256"}, ["TOKEN_SIGNING_ALG", "RS256"]),
    ],
)
def test_what_cannot_start_says_why_and_ends_with_status_2(
    project: Path, tmp_path: Path, environ: dict[str, str], named: list[str]
) -> None:
    environ = {"PORT": str(free_port()), **environ}
    with running([str(project / "run.py")], tmp_path, environ) as program:
        assert program.ends() == 2
    assert [name for name in named if name not in program.err] == []
    assert "Traceback" not in program.err
    assert program.out == ""


def test_a_taken_port_is_named(project: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environ = {**ISSUER, "PORT": str(port)}
        with running([str(project / "run.py")], tmp_path, environ) as program:
            assert program.ends() == 2
    assert re.search(naming(f"PORT {port}", "localhost"), program.err)
    assert "Traceback" not in program.err


def test_the_env_file_beside_run_py_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    port, unused = free_port(), free_port()
    lines = [f"{name}={value}" for name, value in {**ISSUER, "PORT": unused}.items()]
    (folder / ".env").write_text("\n".join(lines))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".env").write_text("LOG_LEVEL=nonsense")
    with running([str(folder / "run.py")], elsewhere, {"PORT": str(port)}) as program:
        program.until(lambda: DOWN in program.out)
        assert re.search(naming(f"http://localhost:{port}"), program.out)
        assert get(port, PUBLIC).status == 200
        assert not is_listening(unused)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"AUTH0_DOMAIN dev\n", [1]),
        (b"PORT=6060\n\n# a comment\nAUTH0_DOMAIN\n", [4]),
        (b"A='b\n\nB=c\n\n\n!\n", [1, 6]),
        (b"PORT=\xff", []),
    ],
)
def test_an_env_file_that_says_nothing_is_no_sandbox(
    tmp_path: Path, text: bytes, lines: list[int]
) -> None:
    folder = copy_project(tmp_path)
    (folder / ".env").write_bytes(text)
    with running([str(folder / "run.py")], tmp_path / "elsewhere", {}) as program:
        assert program.ends() == 2
    _, *problems = program.err.splitlines()
    assert len(problems) == (len(lines) or 1)
    for problem, line in zip_longest(problems, lines, fillvalue=""):
        assert re.search(naming(".env", line), problem)
    assert "Traceback" not in program.err


def test_a_virtual_environment_of_that_name_is_no_env_file(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    (folder / ".env").mkdir()
    with running([str(folder / "run.py"), "--routes"], tmp_path / "elsewhere", {}) as program:
        assert program.ends() == 0


def test_an_empty_variable_counts_as_not_set_beside_an_env_file_too(tmp_path: Path) -> None:
    folder = copy_project(tmp_path)
    port = free_port()
    (folder / ".env").write_text(f"PORT={port}")
    with running([str(folder / "run.py")], tmp_path / "x", {**ISSUER, "PORT": ""}) as program:
        program.until(lambda: DOWN in program.out)
        assert re.search(naming(f"http://localhost:{port}"), program.out)


# A connection that is left is drained for as long as the test needs, and not for a second.
PATIENT = """
import runpy, sys
from hello import connections
connections._DRAIN_SECONDS = 30
runpy.run_path(sys.argv.pop(), run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_and_loses_no_request(
    project: Path, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    environ = {**ISSUER, "PORT": str(port), "PYTHONPATH": str(project)}
    with running(["-c", PATIENT, str(project / "run.py")], tmp_path, environ) as program:
        program.listens(port)
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            assert "Connection" not in ask(connection, PUBLIC).headers
            program.send(number)
            program.until(lambda: not is_listening(port))
            answer = ask(connection, PUBLIC)
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert program.ends() == 0
    assert "Traceback" not in program.err


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_without_a_stack(
    project: Path, tmp_path: Path, second: signal.Signals
) -> None:
    port = free_port()
    environ = {**ISSUER, "PORT": str(port)}
    with running([str(project / "run.py")], tmp_path, environ) as program:
        program.listens(port)
        with socket.create_connection(("127.0.0.1", port), 10) as sending:
            # The server waits ten seconds for the rest of the body.
            sending.sendall(f"POST {PUBLIC} HTTP/1.1\r\nHost: a\r\n".encode())
            sending.sendall(b"Content-Length: 5\r\n\r\nhalf")
            sending.recv(1)
            program.send(signal.SIGINT)
            program.until(lambda: not is_listening(port))
            program.send(second)
            assert program.ends() == -second
    assert "Traceback" not in program.err


def test_an_issuer_that_is_down_hinders_no_start_and_brings_no_sandbox(
    project: Path, tmp_path: Path, keys: list[Key]
) -> None:
    port = free_port()
    environ = {**ISSUER, "PORT": str(port)}
    token = Issuer(audience=AUDIENCE, url=DOWN, key=keys[0]).mint()
    arguments = ["-X", "importtime", str(project / "run.py")]
    with running(arguments, tmp_path, environ) as program:
        program.listens(port)
        assert get(port, PUBLIC).status == 200
        assert get(port, PROTECTED).status == 401
        answer = get(port, PROTECTED, bearer(token))
        assert (answer.status, answer.body.keys()) == (503, {"message"})
        assert int(answer.headers["Retry-After"]) > 0
        program.says(f"GET {PROTECTED} 503")  # written after the answer is sent
    imported = re.findall(r"^import time: .*\| +(\S+)$", program.err, re.MULTILINE)
    assert "hello.auth" in imported
    assert not [name for name in imported if name.startswith("hello.sandbox")]
    assert "sandbox" not in program.out
    assert token not in program.err


def test_reload_without_watchfiles_says_how_to_get_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError")
    environ = {**ISSUER, "PYTHONPATH": str(tmp_path)}
    with running([str(project / "run.py"), "--reload"], tmp_path, environ) as program:
        assert program.ends() == 2
    assert "pip install -e '.[reload]'" in program.err
    assert "Traceback" not in program.err


@contextmanager
def reloading(folder: Path, env_file: str, port: int) -> Iterator[Program]:
    """`run.py --reload` in a copy of the project; the client's origin is in .env alone."""
    copy_project(folder)
    (folder / ".env").write_text(env_file)
    environ = {name: value for name, value in ISSUER.items() if name != "CLIENT_ORIGIN_URL"}
    arguments = [str(folder / "run.py"), "--reload"]
    with running(arguments, folder / "elsewhere", {**environ, "PORT": str(port)}) as program:
        yield program
        program.send(signal.SIGTERM)
        assert program.ends() == 0
        assert not is_listening(port)


def shown(port: int) -> str:
    """What a page of one origin sees of the API, or nothing while it starts anew."""
    try:
        answers = [get(port, path, {"Origin": "http://localhost:4041"}) for path in SHOWN]
    except (OSError, HTTPException):
        return ""
    return " ".join(f"{answer.body} {answer.headers}" for answer in answers)


@pytest.mark.parametrize(
    ("file", "line", "new"),
    [
        ("hello/responses.py", '_PREPARED_HEADERS["X-Changed"] = "this"', "X-Changed"),
        ("hello/tokens/errors.py", 'UnauthorizedError.message = "changed"', "changed"),
        (".env", "CLIENT_ORIGIN_URL=http://localhost:4041", "http://localhost:4041"),
    ],
)
def test_reload_restarts_on_a_change(tmp_path: Path, file: str, line: str, new: str) -> None:
    port = free_port()
    with reloading(tmp_path, "CLIENT_ORIGIN_URL=http://localhost:4040", port) as program:
        program.until(lambda: bool(shown(port)))
        assert new not in shown(port)
        with (tmp_path / file).open("a") as changed:
            changed.write(f"\n{line}\n")
        program.until(lambda: new in shown(port))


def test_reload_waits_for_a_mistake_to_be_put_right(tmp_path: Path) -> None:
    port = free_port()
    with reloading(tmp_path, "CLIENT_ORIGIN_URL=*", port) as program:
        program.says("CLIENT_ORIGIN_URL")
        (tmp_path / ".env").write_text("CLIENT_ORIGIN_URL=http://localhost:4040")
        program.listens(port)


def test_it_lists_its_routes_and_what_they_ask_for(project: Path, tmp_path: Path) -> None:
    for environ in ({}, {**ISSUER, "ADMIN_PERMISSION": "do:this"}):
        with running([str(project / "run.py"), "--routes"], tmp_path, environ) as program:
            assert program.ends() == 0
        lines = (line.split(maxsplit=2) for line in program.out.splitlines() if "/" in line)
        access = {
            path.removeprefix("/api/messages/"): it for method, path, it in lines if method == "GET"
        }
        assert access["public"] == "public"
        assert (access["admin"] == access["protected"]) is not bool(environ)
        assert ("do:this" in access["admin"]) is bool(environ)
