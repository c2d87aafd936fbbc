"""Does hello/docs/tracing-and-audit.md say what a trace shows, and how one gets it?"""

import json
import re
import signal
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

from hello import auth
from hello.operating import telemetry
from hello.operating.tracing import trace_requests
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.machine import Machine
from support.pages import PROJECT, example, output, rows
from support.program import API_PORT, ISSUER, PROTECTED, get, running
from support.protecting import new_handler
from support.spans import PROVIDER, Spans, attributes, of_client, of_server

PAGE = "hello/docs/tracing-and-audit.md"
Start = Callable[[ApiServer], Awaitable[Client]]


async def test_the_four_lines_make_the_spans_that_the_page_tells_of(
    sandbox_issuer: Issuer,
    aiohttp_client: Start,
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provided: list[object] = []
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, "own-traces"), PAGE, "exec"), names)
    monkeypatch.setattr(trace, "set_tracer_provider", provided.append)  # `spans` has done it
    app = web.Application()
    validator = auth.TokenValidator(issuer=sandbox_issuer.url, audience=sandbox_issuer.audience)
    auth.setup(app, validator)
    app.router.add_get("/users/{id}", new_handler())
    try:
        names["send_traces"](app, PROVIDER)
        client = await aiohttp_client(ApiServer(app))
        async with client.get("/users/7", headers=bearer(sandbox_issuer.mint())) as response:
            assert response.status == 200
    finally:
        AioHttpClientInstrumentor().uninstrument()
    assert provided == [PROVIDER]
    [served] = of_server(spans)
    assert (served.name, attributes(served)["hello.auth.outcome"]) == (
        "GET /users/{id}",
        "allowed",
    )
    within = [each.parent.span_id for each in of_client(spans) if each.parent]
    assert served.context is not None
    assert within.count(served.context.span_id) == 2


async def test_each_attribute_is_in_the_table(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, spans: Spans
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", auth.protected(scopes={"none"})(new_handler()))
    trace_requests(app, user_id=True)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert response.status == 403
    [span] = of_server(spans)
    ours = {name for name in attributes(span) if name.startswith(("hello.", "user."))}
    assert ours == {name.strip("`") for name, _ in rows(PAGE, "attributes")}


def test_each_default_is_in_the_table() -> None:
    assert {row[0].strip("`"): row[1].strip("`") for row in rows(PAGE, "defaults")} == (
        telemetry._DEFAULTS
    )


def test_the_command_prints_the_span_that_is_shown(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    environ = {**machine.environ, **ISSUER, "PORT": str(machine.port), "HOST": "localhost"}
    with running(machine.script(example(PAGE, "console")), machine.checkout, environ) as program:
        program.listens(machine.port)
        assert get(machine.port, PROTECTED, {"User-Agent": "curl"}).status == 401
        machine.stop_server(signal.SIGTERM)
        assert program.ends() == 0
        printed = program.out
    [text] = re.findall(r"^\{\n.*?^\}", printed, re.MULTILINE | re.DOTALL)
    span, shown = json.loads(text), json.loads(output(PAGE, "console"))
    assert {each: span[each] for each in ("name", "kind", "status")} == {
        each: shown[each] for each in ("name", "kind", "status")
    }
    varying = ("server.port", "server.address", "hello.auth.duration", "user_agent.original")
    same = dict.fromkeys(varying)
    assert [*span["attributes"]] == [*shown["attributes"]]
    assert span["attributes"] | same == shown["attributes"] | same
    assert shown["attributes"]["server.port"] == API_PORT
    assert span["resource"]["attributes"]["service.name"] == "hello-api"


def test_the_extra_is_one_that_there_is() -> None:
    [extra] = re.findall(r"\[(\w+)\]", example(PAGE, "install-tracing"))
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert extra in extras["optional-dependencies"]
