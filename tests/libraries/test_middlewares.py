"""Do marks hold beside libraries that add a middleware, before auth.setup and after it?"""

import logging
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from hello import auth
from support.api import ApiServer, Client
from support.libraries import ORDERS, Judge, in_order, library, usual_routes
from support.protecting import status
from support.spans import PROVIDER, Spans, of_server

pytestmark = [
    # aiohttp-session and aiohttp-jinja2 keep what they know of a request under a text.
    pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning"),
    # svcs imports starlette's client for tests.
    pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`"),
]
ORIGIN = "https://app.example"


def session(app: web.Application) -> None:
    sessions = library("aiohttp_session")
    sessions.setup(app, sessions.SimpleCookieStorage())


def middlewares(app: web.Application) -> None:
    theirs = library("aiohttp_middlewares")
    app.middlewares.append(theirs.cors_middleware(origins=[ORIGIN]))
    app.middlewares.append(theirs.error_middleware())
    app.middlewares.append(theirs.timeout_middleware(10))
    app.middlewares.append(theirs.shield_middleware(methods=["GET"]))


def services(app: web.Application) -> None:
    library("svcs.aiohttp").init_app(app, middleware_pos=len(app.middlewares))


def templates(app: web.Application) -> None:
    theirs, jinja2 = library("aiohttp_jinja2"), library("jinja2")
    theirs.setup(app, loader=jinja2.DictLoader({}), context_processors=[theirs.request_processor])


def reloading(app: web.Application) -> None:
    serve = library("aiohttp_devtools.runserver.serve")
    config = library("aiohttp_devtools.runserver.config").Config
    serve.modify_main_app(app, config(app_path=__file__, static_path=None, shutdown_by_url=True))


ADDING: dict[str, Callable[[web.Application], None]] = {
    "aiohttp-session": session,
    "aiohttp-middlewares": middlewares,
    "svcs": services,
    "aiohttp-jinja2": templates,
    "aiohttp-devtools": reloading,
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ADDING)
async def test_marks(validator: auth.TokenValidator, judge: Judge, order: str, name: str) -> None:
    app = web.Application()
    in_order(order, lambda: auth.setup(app, validator), lambda: ADDING[name](app))
    app.add_routes(usual_routes())
    client = await judge(app, name, order)
    if name == "aiohttp-devtools":
        assert await status(client, path="/_devtools/shutdown") == 401


# OpenTelemetry puts a subclass in the place of web.Application.
@pytest.mark.filterwarnings("ignore:Inheritance class _InstrumentedApplication")
@pytest.mark.parametrize("order", ORDERS)
async def test_traces(
    validator: auth.TokenValidator, judge: Judge, spans: Spans, order: str
) -> None:
    """Whoever appends the middleware after auth.setup traces only what was let in."""
    theirs = library("opentelemetry.instrumentation.aiohttp_server")
    theirs.AioHttpServerInstrumentor().instrument(tracer_provider=PROVIDER)
    try:
        app = web.Application()
    finally:
        theirs.AioHttpServerInstrumentor().uninstrument()
    if order == "first":
        app.middlewares.clear()
    auth.setup(app, validator)
    if order == "first":
        app.middlewares.append(theirs.create_aiohttp_middleware(tracer_provider=PROVIDER))
    app.add_routes(usual_routes())
    await judge(app, "opentelemetry-instrumentation-aiohttp-server", order)
    assert len(of_server(spans)) == (3 if order == "first" else 7)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("how", ["XForwardedRelaxed", "ForwardedRelaxed"])
async def test_proxies(
    validator: auth.TokenValidator,
    judge: Judge,
    caplog: pytest.LogCaptureFixture,
    order: str,
    how: str,
) -> None:
    remotes, app = library("aiohttp_remotes"), web.Application()
    if order == "first":
        auth.setup(app, validator)
    await remotes.setup(app, getattr(remotes, how)())
    if order == "second":
        auth.setup(app, validator)
    app.add_routes(usual_routes())
    client = await judge(app, "aiohttp-remotes", order)
    assert len(late(caplog)) == (order == "first")
    proxy = {
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "api.example",
        "Forwarded": "for=192.0.2.7;host=api.example",
    }
    caplog.clear()
    assert await status(client, "not.a.token", "/reports", headers=proxy) == 401
    assert ("192.0.2.7" in caplog.text) == (order == "second")


def late(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "hello.auth"
        and record.levelno == logging.WARNING
        and "comes after auth.setup" in record.getMessage()
    ]


@pytest.mark.parametrize("order", ORDERS)
async def test_a_page_reads_refusals_if_cors_comes_before(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    order: str,
) -> None:
    app = web.Application()
    in_order(order, lambda: auth.setup(app, validator), lambda: middlewares(app))
    app.add_routes(usual_routes())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/reports", headers={"Origin": ORIGIN}) as response:
        read = response.headers.get("Access-Control-Allow-Origin")
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert read == (ORIGIN if order == "second" else None)
    assert await status(client, path="/reports", method="OPTIONS", headers=asked) == 200
    assert len(late(caplog)) == (order == "first")


@pytest.mark.parametrize("name", sorted({*ADDING} - {"aiohttp-middlewares"}))
async def test_no_other_has_to_come_before(
    validator: auth.TokenValidator, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    ADDING[name](app)
    async with ApiServer(app):
        assert late(caplog) == []
