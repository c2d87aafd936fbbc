"""What does the trace of a request show, and what does it never show?"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientError, web
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.trace import StatusCode

from hello import auth
from hello.app import create_app
from hello.config import Config
from hello.operating.tracing import trace_requests
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer, config_for
from support.logs import faults
from support.protecting import new_handler
from support.spans import Spans, attributes, everything, of_server

Start = Callable[[ApiServer], Awaitable[Client]]
UNSET, ERROR = StatusCode.UNSET, StatusCode.ERROR


@auth.public
async def fails(_request: web.Request) -> web.Response:
    raise ZeroDivisionError


@auth.public
async def moved(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/")


@auth.protected
async def refuses(_request: web.Request) -> web.Response:
    raise auth.InsufficientScopeError(auth.Reason.CHECK)


def application(validator: auth.TokenValidator) -> web.Application:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/users/{id}", new_handler())
    app.router.add_get("/admin", auth.protected(scopes={"admin"})(new_handler()))
    app.router.add_get("/public", auth.public(new_handler()))
    app.router.add_get("/optional", auth.optional(new_handler()))
    app.router.add_get("/refuses", refuses)
    app.router.add_get("/fails", fails)
    app.router.add_get("/moved", moved)
    return app


@pytest.fixture
def app(validator: auth.TokenValidator, spans: Spans) -> web.Application:
    app = application(validator)
    trace_requests(app)
    return app


async def ask(client: Client, path: str, **options: Any) -> int:
    async with client.get(path, allow_redirects=False, **options) as response:
        await response.read()
        return response.status


ALLOWED: dict[str, str] = {"outcome": "allowed"}


def refused(reason: str) -> dict[str, str]:
    return {"outcome": "refused", "reason": reason}


@pytest.mark.parametrize(
    ("path", "claims", "name", "status", "result", "decided"),
    [
        ("/users/7", {}, "GET /users/{id}", 200, UNSET, ALLOWED),
        ("/users/7", None, "GET /users/{id}", 401, UNSET, refused("no_credentials")),
        ("/users/7", {"exp": 1}, "GET /users/{id}", 401, UNSET, refused("expired")),
        ("/admin", {}, "GET /admin", 403, UNSET, refused("scope")),
        ("/refuses", {}, "GET /refuses", 403, UNSET, refused("check")),
        ("/optional", None, "GET /optional", 200, UNSET, ALLOWED),
        ("/public", {}, "GET /public", 200, UNSET, {}),
        ("/nowhere", {}, "GET", 404, UNSET, {}),
        ("/moved", {}, "GET /moved", 302, UNSET, {}),
    ],
)
async def test_each_request_is_a_span(
    app: web.Application,
    aiohttp_client: Start,
    issuer: Issuer,
    spans: Spans,
    path: str,
    claims: dict[str, object] | None,
    name: str,
    status: int,
    result: StatusCode,
    decided: dict[str, str],
) -> None:
    client = await aiohttp_client(ApiServer(app))
    headers = {} if claims is None else bearer(issuer.mint(claims=claims))
    assert await ask(client, path, headers=headers) == status
    [span] = of_server(spans)
    noted = attributes(span)
    assert (span.name, noted["http.response.status_code"], span.status.status_code) == (
        name,
        status,
        result,
    )
    assert (noted.pop("hello.auth.duration", 0) > 0) is bool(decided)
    prefix = "hello.auth."
    assert {each: noted[each] for each in noted if each.startswith(prefix)} == {
        f"{prefix}{each}": text for each, text in decided.items()
    }
    assert "user.id" not in noted
    assert not span.events


@pytest.mark.parametrize("in_json", [True, False])
async def test_an_error_of_the_application_is_an_error_of_the_span(
    app: web.Application, aiohttp_client: Start, spans: Spans, *, in_json: bool
) -> None:
    """Whether a middleware makes an answer of it, or aiohttp does so when all have ended."""

    @web.middleware
    async def errors(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            answer: web.StreamResponse = await handler(request)
        except ZeroDivisionError:
            return web.json_response({}, status=500)
        return answer

    if in_json:
        app.middlewares.append(errors)
    client = await aiohttp_client(ApiServer(app))
    assert await ask(client, "/fails") == 500
    [span] = of_server(spans)
    assert (span.name, span.status.status_code) == ("GET /fails", ERROR)
    assert [event.name for event in span.events] == ([] if in_json else ["exception"])


async def test_an_outage_of_the_issuer_is_an_error_of_the_span(
    aiohttp_client: Start, issuer: Issuer, spans: Spans
) -> None:
    app = application(auth.TokenValidator(issuer="http://127.0.0.1:9/", audience=AUDIENCE))
    trace_requests(app)
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims={"iss": "http://127.0.0.1:9/"})
    assert await ask(client, "/users/7", headers=bearer(token)) == 503
    [span] = of_server(spans)
    assert attributes(span)["hello.auth.reason"] == "keys_unavailable"
    assert span.status.status_code is ERROR


@pytest.mark.parametrize(
    ("subject", "shown"), [("auth0|ada", "auth0|ada"), ("\ud800\n", r"\ud800\n"), (None, None)]
)
async def test_the_subject_is_noted_if_it_is_asked_for(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    issuer: Issuer,
    spans: Spans,
    subject: str | None,
    shown: str | None,
) -> None:
    app = application(validator)
    trace_requests(app, user_id=True)
    client = await aiohttp_client(ApiServer(app))
    assert await ask(client, "/users/7", headers=bearer(issuer.mint(claims={"sub": subject}))) == (
        200 if subject else 401
    )
    [span] = of_server(spans)
    assert attributes(span).get("user.id") == shown


async def test_a_handler_gets_the_request_as_it_was_sent(
    app: web.Application, aiohttp_client: Start
) -> None:
    @auth.public
    async def echo(request: web.Request) -> web.Response:
        token = request.headers["Authorization"], request.query["access_token"]
        return web.json_response([*token, await request.text()])

    app.router.add_post("/echo", echo)
    client = await aiohttp_client(ApiServer(app))
    headers = {"Authorization": "Bearer x"}
    async with client.post("/echo?access_token=y", headers=headers, data=b"z" * 10) as response:
        assert await response.json() == ["Bearer x", "y", "z" * 10]


# --- What is sent by a stranger ------------------------------------------------------------------


async def test_no_token_is_in_a_span_wherever_it_was_sent(
    monkeypatch: pytest.MonkeyPatch,
    issuer: Issuer,
    aiohttp_client: Start,
    spans: Spans,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", ".*")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", ".*")
    app, token = web.Application(), issuer.mint(claims={"sub": "ada"})
    validator = auth.TokenValidator(issuer=issuer.url, audience=issuer.audience)
    auth.setup(app, validator, header="X-Token")
    app.router.add_get("/{name}", new_handler())
    trace_requests(app)
    client = await aiohttp_client(ApiServer(app))
    short = "opaque-token"
    headers = {
        **bearer(token),
        "DPoP": token,
        "Proxy-Authorization": short,
        "Cookie": f"session={short}",
        "Sec-WebSocket-Protocol": f"v1, {short}",
        "X-Token": f"Bearer {token}",
        "X-Other": f"Bearer {short}",
        "Referer": f"/?access_token={short}",
        "User-Agent": token,
        token: "x",
        "Host": "eyJhbGciOiJub25lIn0.e30",
    }
    assert await ask(client, f"/{token}?access_token={short}", headers=headers) == 200
    del headers["Host"]
    assert await ask(client, f"/{token}?access_token={short}", headers=headers) == 200
    sent = everything(spans).lower()
    assert "http.request.header.x_other" in sent
    assert short not in sent
    assert "eyj" not in sent
    assert not any(part in sent for part in token.lower().replace("-", "_").split("."))
    assert not any(part in sent for part in token.lower().split("."))


HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (b"/public", HOST, 200),
        (b"/public", b"Host: a b\r\n", 400),
        (b"/public", b"Host: [::1\r\n", 400),
        (b"/public", b"Host: localhost:99999\r\n", 400),
        (b"/public", b"Host: \xff\xfe\r\n", 400),
        (b"/public", b"Host: xn--a.example\r\n", 200),
        (b"/public", b"Host:\r\n", 400),
        (b"/public", HOST + b"User-Agent: \xff\xfe\r\n", 200),
        (b"/public", HOST + b"Traceparent: \xff\r\nTracestate: \xff\r\nBaggage: a=\xff\r\n", 200),
        (b"/public?[::1", HOST, 200),
        (b"/public?%ff=%00", HOST, 200),
        (b"http://other/public", HOST, 400),
        (b"//other/public", HOST, 404),
        (b"/%00%ff%0d%0a", HOST, 404),
        (b"*", HOST, 404),
        (b"/" + b"a" * 8000, HOST, 404),
    ],
)
async def test_nothing_that_a_stranger_sends_makes_the_instrumentation_fail(
    app: web.Application,
    aiohttp_client: Start,
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    target: bytes,
    headers: bytes,
    status: int,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", ".*")
    client = await aiohttp_client(ApiServer(app))
    reader, writer = await asyncio.open_connection(client.host, client.port)
    method = b"OPTIONS" if target == b"*" else b"GET"
    writer.write(b"%s %s HTTP/1.1\r\n%sConnection: close\r\n\r\n" % (method, target, headers))
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    assert int(answer.split()[1]) == status
    [span] = of_server(spans)
    assert attributes(span)["http.response.status_code"] == status
    assert everything(spans)
    assert not faults(caplog)
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


# --- Long answers, other applications ------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stream", "websocket"])
@pytest.mark.parametrize("ends", [True, False])
async def test_the_span_of_a_stream_lasts_as_long_as_the_stream(
    app: web.Application, aiohttp_client: Start, spans: Spans, kind: str, *, ends: bool
) -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    @auth.public
    async def stream(request: web.Request) -> web.StreamResponse:
        socket, response = web.WebSocketResponse(), web.StreamResponse()
        answer = socket if kind == "websocket" else response
        await answer.prepare(request)
        try:
            if kind == "websocket" and not ends:
                await socket.receive()
            else:
                while not go_on.is_set():
                    await asyncio.sleep(0.01)
                    if answer is response:
                        await response.write(b"x")
        finally:
            ended.set()
        return answer

    app.router.add_get("/stream", stream)
    client = await aiohttp_client(ApiServer(app))
    if kind == "websocket":
        async with client.ws_connect("/stream"):
            assert not spans()
            if ends:
                go_on.set()
                await ended.wait()
    else:
        async with client.get("/stream") as response:
            assert not spans()
            if ends:
                go_on.set()
                await response.read()
            else:
                response.close()
    with suppress(ClientError):
        await asyncio.wait_for(ended.wait(), 30)
    async with asyncio.timeout(30):
        while not spans():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    [span] = of_server(spans)
    assert span.name == "GET /stream"
    if ends:
        assert attributes(span)["http.response.status_code"] == (
            101 if kind == "websocket" else 200
        )
        assert span.status.status_code is UNSET


async def test_an_application_within_another_makes_no_span_of_its_own(
    app: web.Application,
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Start,
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the inner application decides is noted, and its header is hidden."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", ".*")
    app.add_subapp("/inner", application(validator))
    other = web.Application()
    not_theirs = auth.TokenValidator(issuer="http://127.0.0.1:9/", audience=AUDIENCE)
    auth.setup(other, not_theirs, header="X-Token")
    other.router.add_get("/", new_handler())
    app.add_subapp("/other", other)
    client = await aiohttp_client(ApiServer(app))
    assert await ask(client, "/inner/users/7") == 401
    [span] = of_server(spans)
    assert span.name == "GET /inner/users/{id}"
    headers = {**bearer(issuer.mint()), "X-Token": "Bearer opaque-token"}
    assert await ask(client, "/other/", headers=headers) == 401
    noted = attributes(of_server(spans)[-1])
    assert (noted["hello.auth.outcome"], noted["hello.auth.reason"]) == ("refused", "malformed")
    assert "http.request.header.accept" in noted
    assert "http.request.header.x_token" not in noted


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_instrumentation_that_is_at_work_already_makes_no_second_span(
    validator: auth.TokenValidator, aiohttp_client: Start, spans: Spans
) -> None:
    """As `opentelemetry-instrument` does it."""
    AioHttpServerInstrumentor().instrument()
    try:
        app = application(validator)
        trace_requests(app)
    finally:
        AioHttpServerInstrumentor().uninstrument()
    client = await aiohttp_client(ApiServer(app))
    assert await ask(client, "/users/7?access_token=x") == 401
    [span] = of_server(spans)
    assert "access_token" not in json.dumps(attributes(span))


def test_web_application_is_what_it_was(app: web.Application) -> None:
    assert type(web.Application()) is type(app)
    assert web.Application.__module__ == "aiohttp.web_app"


async def test_the_api_is_traced_if_its_settings_say_so(
    issuer: Issuer, aiohttp_client: Start, spans: Spans, config: Config
) -> None:
    traced = config_for(issuer, OTEL_TRACES_EXPORTER="console")
    for settings in (traced, config):
        client = await aiohttp_client(ApiServer(create_app(settings)))
        assert await ask(client, "/api/messages/protected") == 401
    [span] = of_server(spans)
    assert attributes(span)["hello.auth.reason"] == "no_credentials"
