"""Is what hello/docs/logs.md says of the log what there is: its lines, its fields, its recipes?"""

import asyncio
import inspect
import json
import re
import signal
import socket
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key
from multidict import CIMultiDict

from hello import auth
from hello.app import create_app
from hello.auth import TokenValidator
from hello.auth.reading.forwarded import forwarded_address
from hello.auth.reading.proxies import TrustedProxies
from hello.connections import Runner
from hello.sandbox.issuer import Issuer
from hello.tokens.keys import fetch_log
from support.api import ApiServer, Client, bearer, config_for
from support.logs import json_lines
from support.machine import GUNICORN, Machine, command, lacks, settings
from support.nginx import NEEDS_NGINX, serving
from support.outputs import logged
from support.pages import PROJECT, example, output, rows, rows_by_id, run_py, text
from support.program import PROTECTED, PUBLIC, READY, free_port, get, running
from support.protecting import new_handler
from support.sockets import connected

PAGE = "hello/docs/logs.md"
NOT_ANSWERING = "http://127.0.0.1:9/"
[ASKED_FOR] = re.findall(r"grep ([0-9a-f]{32})", example(PAGE, "one-request"))
TRACE = {"traceparent": f"00-{ASKED_FOR}-00f067aa0ba902b7-01"}


def served(folder: Path, keys: list[Key], log_format: str) -> str:
    """What a server logs of the requests that the page shows, while its issuer is down."""
    port = free_port()
    issuer = Issuer(audience="https://hello-world.example.com", key=keys[0])
    issuer.url = NOT_ANSWERING
    environ = {
        **{name: value for name, value in settings().items() if name != "AUTH0_DOMAIN"},
        "ISSUER_BASE_URL": NOT_ANSWERING,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LOG_FORMAT": log_format,
        "PYTHONPATH": str(PROJECT),
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY"), "http://127.0.0.1:10"),
    }
    with running([str(run_py(folder))], folder, environ) as program:
        program.listens(port)
        statuses = [
            get(port, path, headers).status
            for path, headers in [
                (PUBLIC, {}),
                (PROTECTED, {}),
                (PROTECTED, bearer(issuer.mint(claims={"exp": 1}))),
                (PROTECTED, {**bearer(issuer.mint()), **TRACE}),
            ]
        ]
        program.send(signal.SIGTERM)
        assert program.ends() == 0
    assert statuses == [200, 401, 401, 503]
    return program.err


@pytest.fixture(scope="module")
def log(keys: list[Key], tmp_path_factory: pytest.TempPathFactory) -> str:
    return served(tmp_path_factory.mktemp("text"), keys, "text")


@pytest.fixture(scope="module")
def json_log(keys: list[Key], tmp_path_factory: pytest.TempPathFactory) -> str:
    return served(tmp_path_factory.mktemp("json"), keys, "json")


IDS = re.compile(r"request=([0-9a-f]{32})(?: from=127\.0\.0\.1)?$", re.MULTILINE)


def test_the_log_looks_as_the_page_shows(log: str) -> None:
    shown = example(PAGE, "log").splitlines()
    assert list(map(logged, shown)) == list(map(logged, log.splitlines()))
    of_each = [[len(IDS.findall(line)) for line in lines] for lines in (shown, log.splitlines())]
    assert of_each[0] == of_each[1] == [0, 0, *[1] * 8]
    changes = [
        [one == two for one, two in pairwise(ids)]
        for ids in map(IDS.findall, (example(PAGE, "log"), log))
    ]
    assert changes[0] == changes[1]


def test_the_line_of_the_start_has_the_facts_that_the_page_shows(log: str) -> None:
    shown, real = (
        re.findall(r" (\w+)=", text.splitlines()[0]) for text in (example(PAGE, "log"), log)
    )
    assert shown == real


@pytest.mark.parametrize("name", ["count-refusals", "count-statuses"])
def test_a_recipe_for_the_log_prints_what_the_page_shows(
    tmp_path: Path, log: str, name: str
) -> None:
    (tmp_path / "log").write_text(log)
    assert Machine(tmp_path).run(example(PAGE, name)) == output(PAGE, name)


@pytest.mark.skipif(lacks("jq"), reason="there is no jq")
def test_a_recipe_for_json_prints_what_the_page_shows(tmp_path: Path, json_log: str) -> None:
    (tmp_path / "log").write_text(f"[2026-11-25 14:23:41 +0000] [1] [INFO] Booting\n{json_log}")
    recipe = example(PAGE, "json-refusals")
    assert Machine(tmp_path).run(recipe) == output(PAGE, "json-refusals")


def test_all_lines_of_one_request_are_found_by_its_id(
    tmp_path: Path, log: str, json_log: str
) -> None:
    for name, lines in (("text", log), ("json", json_log)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "log").write_text(lines)
        found = Machine(folder).run(example(PAGE, "one-request"))
        assert found.splitlines() == lines.splitlines()[-2:]


async def test_a_refusal_names_the_route_and_the_access_log_the_path(
    validator: TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def product(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    auth.setup(app, validator)
    route, path = "/products/{name}", "/products/hammer"
    app.router.add_get(route, product)
    client = await aiohttp_client(ApiServer(app))
    with caplog.at_level("INFO"):
        async with client.get(path) as response:
            assert response.status == 401
        await client.close()  # the line is written after the answer is sent
    logged = {each.name: each.getMessage() for each in caplog.records}
    assert logged["hello.auth"] == f"refused 401 no_credentials: GET {route} sub=- from=127.0.0.1"
    assert f" GET {path} 401 " in logged["hello.access"]


def test_the_issuer_is_asked_directly_whatever_proxy_the_environment_names(log: str) -> None:
    [line] = [line for line in log.splitlines() if "keys_unavailable: " in line and "9/" in line]
    assert "ClientConnectorError" in line
    assert "Connect call failed ('127.0.0.1', 9)" in line


def test_each_line_about_keys_begins_as_the_page_says() -> None:
    source = inspect.getsource(fetch_log)
    codes = [row[0].strip("`") for row in rows(PAGE, "key-lines")]
    assert sorted(codes) == sorted(re.findall(r'^ +"(\w+:) ', source, re.MULTILINE))


# --- JSON ----------------------------------------------------------------------------------------


def fields(*names: str) -> set[str]:
    """The fields that the table lists for these kinds of entries."""
    table = rows_by_id(PAGE, "fields")
    return {found for name in names for found in re.findall(r"(?:^|; )`(\w+)`", table[name][1])}


def test_the_start_has_the_fields_of_the_table(json_log: str) -> None:
    assert json.loads(json_log.splitlines()[0]).keys() == fields("every", "start")


def test_an_entry_looks_as_the_page_shows(json_log: str) -> None:
    shown = json.loads(example(PAGE, "json-line"))
    [real] = [
        entry
        for entry in map(json.loads, json_log.splitlines())
        if entry.get("reason") == "expired"
    ]
    assert [*real] == [*shown]
    same = {"level", "logger", "message", "peer", "status", "reason", "method", "route", "subject"}
    assert {name: real[name] for name in same} == {name: shown[name] for name in same}
    assert fields("every", "request", "refusal") == shown.keys()


async def test_each_kind_of_entry_has_the_fields_of_the_table(
    validator: TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    @auth.public
    async def boom(_request: web.Request) -> web.Response:
        raise ZeroDivisionError

    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    app.router.add_get("/boom", boom)
    with json_lines() as lines:
        client = await aiohttp_client(ApiServer(app))
        for path, status in (("/boom", 500), *[("/", 401)] * 7):
            async with client.get(path) as response:
                assert response.status == status
        async with connected(client.port or 0) as connection:
            connection.send(b"no http\r\n\r\n")
            await connection.rest()
        await client.close()
    kinds: dict[str, list[set[str]]] = {}
    for entry in lines.entries:
        for kind in re.findall(r"ms$|malformed|more|failed|refused", entry["message"])[-1:]:
            kinds.setdefault(kind, []).append({*entry})
    for kind, *rows_of_it in (
        ("ms", "every", "request", "access"),
        ("refused", "every", "request", "refusal"),
        ("malformed", "every", "request", "malformed"),
        ("more", "every", "summed-up"),
        ("failed", "every", "request", "exception"),
    ):
        assert kinds[kind]
        for each in kinds[kind]:
            assert each == fields(*rows_of_it), kind


async def test_gunicorns_own_lines_can_be_json_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    (machine.checkout / "gunicorn-log.json").write_text(example(PAGE, "gunicorn-log"))
    (machine.checkout / "ready.py").write_text(READY)
    environ = {**machine.environ, **settings(), "LOG_FORMAT": "json", "FORWARDED_FROM": "127.0.0.1"}
    arguments = (
        *("hello.server:production", "--bind", f"127.0.0.1:{machine.port}", "--no-control-socket"),
        *("--config", "ready.py", "--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
        *("--log-config-json", "gunicorn-log.json"),
    )

    def serve() -> str:
        with running(command(GUNICORN, *arguments), machine.checkout, environ) as program:
            program.says("Ready: ")
            assert get(machine.port, PROTECTED, {"X-Forwarded-For": "203.0.113.7"}).status == 401
            program.send(signal.SIGTERM)
            assert program.ends() == 0
        return program.err + program.out

    log = await asyncio.to_thread(serve)
    lines = [line for line in log.splitlines() if not line.startswith("Ready: ")]
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    messages = [entry["message"] for entry in entries]
    assert len(set(messages)) == len(messages), "a line came twice"
    assert {entry["logger"] for entry in entries} >= {"gunicorn.error", "hello", "hello.auth"}
    assert any("Booting worker" in message for message in messages)
    assert {entry["peer"] for entry in entries if "peer" in entry} == {"203.0.113.7"}


# --- Addresses, and an application of one's own --------------------------------------------------


@pytest.mark.parametrize(("shown", "found"), rows(PAGE, "forwarded"))
def test_an_address_is_found_as_the_table_says(shown: str, found: str) -> None:
    [peer, proxies] = re.findall(r"from ([\d.]+), with `FORWARDED_FROM=(\S+)` \|", text(PAGE))[0]
    given = [tuple(header.split(": ", 1)) for header in re.findall("`(.+?)`", shown)]
    request: Any = SimpleNamespace(
        headers=CIMultiDict(given),
        get_extra_info={
            "peername": (peer, 4711),
            "socket": SimpleNamespace(family=socket.AF_INET),
        }.get,
    )
    address = forwarded_address(request, TrustedProxies([proxies]))
    assert (address or peer) == found.strip("`")


def test_run_py_believes_the_proxies_that_its_settings_name(tmp_path: Path) -> None:
    port = free_port()
    environ = {
        **settings(),
        "PORT": str(port),
        "FORWARDED_FROM": "127.0.0.1",
        "PYTHONPATH": str(PROJECT),
    }
    with running([str(run_py(tmp_path))], tmp_path, environ) as program:
        program.listens(port)
        assert get(port, PUBLIC, {"Forwarded": "for=203.0.113.7"}).status == 200
        program.says(f" 203.0.113.7 GET {PUBLIC} 200 ")


class BehindProxy(ApiServer):
    """A server that believes the nginx of this machine."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return Runner(self.app, forwarded_from=["127.0.0.1"])


@NEEDS_NGINX
@pytest.mark.parametrize(
    ("name", "invented"),
    [
        ("Forwarded", "for=203.0.113.7"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("traceparent", f"00-{'4' * 32}-{'5' * 16}-01"),
    ],
)
async def test_behind_nginx_a_line_has_the_address_of_the_client_whatever_it_claims(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    tmp_path: Path,
    name: str,
    invented: str,
) -> None:
    client = await aiohttp_client(BehindProxy(create_app(config_for(issuer))))
    with json_lines() as lines:
        async with serving(tmp_path, client) as site:
            answer = await site.get(PROTECTED, {name: invented})
            site.program.until(lambda: len(site.log) > 0)
        await client.close()
    about = [entry for entry in lines.entries if "request_id" in entry]
    assert {(each["logger"], each["peer"]) for each in about} == {
        ("hello.auth", "127.0.0.2"),
        ("hello.access", "127.0.0.2"),
    }
    [line] = site.log
    assert line.endswith(f" {about[0]['request_id']}")
    assert answer.headers["X-Request-ID"] == about[0]["request_id"] != "4" * 32


async def test_an_application_of_ones_own_has_all_of_it_by_a_few_lines(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    code = example("hello/docs/own-project.md", "own-project")
    (machine.checkout / "my_api.py").write_text(code)
    (machine.checkout / "my_server.py").write_text(example(PAGE, "my-server-with-json"))
    environ = {**machine.environ, "ISSUER": "http://localhost:9/", "AUDIENCE": "api"}
    arguments = (
        *("my_server:production", "--bind", f"127.0.0.1:{machine.port}", "--no-control-socket"),
        *("--worker-class", "aiohttp.GunicornUVLoopWebWorker"),
    )

    def serve() -> str:
        with running(command(GUNICORN, *arguments), machine.checkout, environ) as program:
            program.listens(machine.port)
            program.says("started: ")
            answer = get(machine.port, "/reports", {"X-Forwarded-For": "203.0.113.7", **TRACE})
            assert (answer.status, answer.headers["X-Request-ID"]) == (401, ASKED_FOR)
            program.send(signal.SIGTERM)
            assert program.ends() == 0
        return program.err

    log = await asyncio.to_thread(serve)
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    [start] = [entry for entry in entries if "reports_from" in entry]
    assert start["reports_from"] == "database"
    about = [entry for entry in entries if "request_id" in entry]
    assert {(each["request_id"], each["peer"]) for each in about} == {(ASKED_FOR, "203.0.113.7")}
    assert [each["logger"] for each in about] == ["hello.auth", "hello.access"]
