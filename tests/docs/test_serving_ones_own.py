"""Is an application of one's own served as hello/running.md says, with our Runner and without?"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hello import server
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.machine import (
    GUNICORN,
    OWN,
    PAGE,
    Machine,
    ask_until_told_to_close,
    command,
    rows,
    seconds_of,
)
from support.pages import blocks
from support.program import READY, ask, get, running


@pytest.fixture
def own(tmp_path: Path) -> Machine:
    """A machine with the files of somebody's own project, of the two pages that have them."""
    machine = Machine(tmp_path)
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
