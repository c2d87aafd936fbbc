"""Which trace does a request belong to, who may say so, and what is its id in the log?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation import aiohttp_server
from opentelemetry.propagators.textmap import Getter, TextMapPropagator, default_getter
from opentelemetry.util.http import ExcludeList

from hello import auth
from hello.operating.tracing import trace_requests
from support.api import ApiServer, Client
from support.logs import json_lines
from support.protecting import new_handler
from support.spans import Spans, of_server

Start = Callable[[ApiServer], Awaitable[Client]]

THEIRS = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{THEIRS}-b7ad6b7169203331-01"


@auth.public
async def current(_request: web.Request) -> web.Response:
    """Say in which trace it is called."""
    return web.json_response(f"{trace.get_current_span().get_span_context().trace_id:032x}")


def application(validator: auth.TokenValidator, proxies: list[str]) -> web.Application:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/current", current)
    app.router.add_get("/users/{id}", new_handler())
    trace_requests(app, traceparent_from=proxies)
    return app


@pytest.mark.parametrize(
    ("proxies", "is_believed"), [(["127.0.0.1"], True), (["10.0.0.1"], False), ([], False)]
)
async def test_only_a_trusted_proxy_says_which_trace_a_request_belongs_to(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    spans: Spans,
    proxies: list[str],
    *,
    is_believed: bool,
) -> None:
    """Otherwise any client could have its requests recorded, or hidden from the sampler."""
    app = application(validator, proxies)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/current", headers={"traceparent": TRACEPARENT}) as response:
        assert (await response.json() == THEIRS) is is_believed
    [span] = of_server(spans)
    assert (span.parent is not None) is is_believed
    if span.parent is not None:
        assert span.parent.span_id == 0xB7AD6B7169203331


class OwnPropagator(TextMapPropagator):
    """Notes what it is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def extract(
        self, carrier: Any, context: Context | None = None, getter: Getter[Any] = default_getter
    ) -> Context:
        self.given.append(getter.get(carrier, "x-trace"))
        return context or Context()

    def inject(self, *arguments: Any, **options: Any) -> None:
        """Nothing."""

    @property
    def fields(self) -> set[str]:
        return {"x-trace"}


@pytest.mark.parametrize(("proxies", "given"), [(["127.0.0.1"], ["a"]), ([], None)])
async def test_no_propagator_believes_a_stranger(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    monkeypatch: pytest.MonkeyPatch,
    spans: Spans,
    proxies: list[str],
    given: list[str] | None,
) -> None:
    own = OwnPropagator()
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", own)
    app = application(validator, proxies)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/current", headers={"X-Trace": "a"}) as response:
        assert response.status == 200
    assert own.given == [given]


@pytest.mark.parametrize("proxies", [["127.0.0.1"], []])
@pytest.mark.parametrize("sent", [[], [TRACEPARENT], [TRACEPARENT, TRACEPARENT], ["malformed"]])
async def test_the_trace_is_the_id_of_the_request_in_the_log_and_in_the_answer(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    proxies: list[str],
    sent: list[str],
    spans: Spans,
) -> None:
    app = application(validator, proxies)
    client = await aiohttp_client(ApiServer(app))
    headers = CIMultiDict([("traceparent", each) for each in sent])
    with json_lines() as lines:
        async with client.get("/users/7", headers=headers) as response:
            assert response.status == 401
            name = response.headers["X-Request-ID"]
    [span] = of_server(spans)
    assert span.context is not None
    assert name == f"{span.context.trace_id:032x}"
    ours = [entry for entry in lines.entries if entry["logger"].startswith("hello")]
    assert [entry["request_id"] for entry in ours] == [name, name]


async def test_without_a_runner_a_request_has_no_id(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
    spans: Spans,
) -> None:
    client = await aiohttp_client(application(validator, []))
    with json_lines() as lines:
        async with client.get("/users/7") as response:
            assert response.status == 401
    assert of_server(spans)
    assert not [entry for entry in lines.of("hello.auth") if "request_id" in entry]


async def test_a_request_that_is_not_traced_keeps_its_id(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    monkeypatch: pytest.MonkeyPatch,
    spans: Spans,
) -> None:
    app = application(validator, ["127.0.0.1"])
    monkeypatch.setattr(aiohttp_server, "_excluded_urls", ExcludeList(["/users/"]))
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/users/7", headers={"traceparent": TRACEPARENT}) as response:
        assert response.headers["X-Request-ID"] == THEIRS
    assert not of_server(spans)
