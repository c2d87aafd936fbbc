"""What has every answer, though it was prepared for all of them, and is it still its own?"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import web
from multidict import CIMultiDict
from pytest_aiohttp.plugin import AiohttpClient

from hello import auth
from hello.messages import public_message
from hello.responses import allow_client, errors_as_json, security_headers

ORIGIN = "http://localhost:4040"


def app_with(*handlers: tuple[str, object]) -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    for path, handler in handlers:
        method = "*" if isinstance(handler, type) else "GET"
        app.router.add_route(method, path, handler)  # type: ignore[arg-type]
    return app


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        ([], ["Origin"]),
        (["Accept-Encoding"], ["Accept-Encoding, Origin"]),
        (["X-Origin-Hint"], ["X-Origin-Hint, Origin"]),  # says nothing about Origin
        (["Origin"], ["Origin"]),
        (["origin"], ["Origin"]),
        (["Accept", "Origin"], ["Accept, Origin"]),
        (["Accept,ORIGIN , Cookie"], ["Accept, Cookie, Origin"]),
        ([""], ["Origin"]),
        (["*"], ["*, Origin"]),
    ],
)
async def test_what_an_answer_varies_with_is_kept_and_origin_is_named_once(
    aiohttp_client: AiohttpClient, own: list[str], sent: list[str]
) -> None:
    async def varying(_request: web.Request) -> web.Response:
        return web.Response(headers=CIMultiDict([("Vary", value) for value in own]))

    app = app_with(("/", varying))
    allow_client(app, ORIGIN)
    client = await aiohttp_client(app)
    async with client.get("/", headers={"Origin": ORIGIN}) as response:
        assert response.headers.getall("Vary") == sent


async def fail(_request: web.Request) -> web.Response:
    raise ZeroDivisionError


async def refuse(_request: web.Request) -> web.Response:
    return auth.json_error(401, "Requires authentication", {"WWW-Authenticate": "Bearer"})


async def forbid(_request: web.Request) -> web.Response:
    raise web.HTTPForbidden


async def hello(_request: web.Request) -> web.Response:
    return web.json_response({"text": "hello"})


async def allow_all(_request: web.Request) -> web.Response:
    return web.json_response({}, headers={"Access-Control-Allow-Origin": "*"})


class CorsView(web.View, aiohttp_cors.CorsViewMixin):
    async def get(self) -> web.Response:
        return web.json_response({})


ANSWERS = [
    ("GET", "/200", 200),
    ("GET", "/own", 200),
    ("GET", "/view", 200),
    ("POST", "/view", 405),
    ("OPTIONS", "/view", 200),
    ("GET", "/401", 401),
    ("GET", "/403", 403),
    ("GET", "/404", 404),
    ("POST", "/200", 405),
    ("GET", "/500", 500),
    ("OPTIONS", "/200", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_an_origin_is_allowed_once(
    aiohttp_client: AiohttpClient, method: str, path: str, status: int
) -> None:
    app = app_with(
        *[("/200", hello), ("/own", allow_all), ("/view", CorsView)],
        *[("/401", refuse), ("/403", forbid), ("/500", fail)],
    )
    allow_client(app, ORIGIN)
    client = await aiohttp_client(app)
    headers = {"Origin": ORIGIN}
    if method == "OPTIONS":
        headers["Access-Control-Request-Method"] = "GET"
    async with client.request(method, path, headers=headers) as response:
        assert response.status == status
        assert response.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
        exposed = response.headers.getall("Access-Control-Expose-Headers")
        assert exposed == ["WWW-Authenticate, Retry-After, DPoP-Nonce, X-Request-ID"]
        assert response.headers.getall("Vary") == ["Origin"]


async def test_an_answer_may_allow_other_origins_itself(aiohttp_client: AiohttpClient) -> None:
    app = app_with(("/own", allow_all))
    allow_client(app, ORIGIN)
    client = await aiohttp_client(app)
    async with client.get("/own", headers={"Origin": "http://localhost:4041"}) as response:
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]


@pytest.mark.parametrize("set_up", [security_headers, partial(allow_client, origin=ORIGIN)])
def test_each_adds_one_signal_and_leaves_the_others(
    set_up: Callable[[web.Application], None],
) -> None:
    async def theirs(_request: web.Request, _response: web.StreamResponse) -> None: ...

    app = app_with(("/", hello))
    app.on_response_prepare.append(theirs)
    set_up(app)
    assert app.on_response_prepare[0] is theirs
    assert len(app.on_response_prepare) == 2


async def test_answers_share_no_headers() -> None:
    """Else a challenge, or an allowed origin, would be on everybody's next answer."""
    first = auth.json_error(401, "Requires authentication", {"WWW-Authenticate": "Bearer"})
    first.headers["Access-Control-Allow-Origin"] = ORIGIN
    again = auth.json_error(401, "Requires authentication")
    assert first is not again
    assert dict(again.headers) == {"Content-Type": "application/json; charset=utf-8"}
    handler: Any = public_message
    first = await handler(None)
    first.headers["Access-Control-Allow-Origin"] = ORIGIN
    again = await handler(None)
    assert dict(again.headers) == {"Content-Type": "application/json; charset=utf-8"}


def test_more_messages_than_are_remembered_are_each_told_as_they_are() -> None:
    for number in [*range(200), 0]:
        body = auth.json_error(400, f"No {number}: “é”").body
        assert isinstance(body, bytes)
        assert json.loads(body) == {"message": f"No {number}: “é”"}


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), [("Allow", "GET")]),
        (
            web.HTTPUnauthorized(
                headers=CIMultiDict([("WWW-Authenticate", "A"), ("WWW-Authenticate", "B")])
            ),
            [("WWW-Authenticate", "A"), ("WWW-Authenticate", "B")],
        ),
        (web.HTTPTooManyRequests(headers={"Retry-After": "3"}), [("Retry-After", "3")]),
        (
            web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": "bytes */9"}),
            [("Content-Range", "bytes */9")],
        ),
        (
            web.HTTPUpgradeRequired(headers={"Upgrade": "websocket", "Connection": "upgrade"}),
            [("Upgrade", "websocket"), ("Connection", "upgrade")],
        ),
        (
            web.HTTPBadRequest(headers={"Sec-WebSocket-Version": "13"}),
            [("Sec-WebSocket-Version", "13")],
        ),
        (web.HTTPUnsupportedMediaType(headers={"Accept-Post": "a/b"}), [("Accept-Post", "a/b")]),
        (web.HTTPUnsupportedMediaType(headers={"Accept": "a/b"}), [("Accept", "a/b")]),
        (
            web.HTTPUnavailableForLegalReasons("https://a.example/"),
            [("Link", '<https://a.example/>; rel="blocked-by"')],
        ),
        (web.HTTPNotFound(headers={"Content-Language": "de", "ETag": "x", "X-Why": "secret"}), []),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_an_error_keeps_the_headers_that_a_client_acts_on(
    aiohttp_client: Any, error: web.HTTPException, kept: list[tuple[str, str]]
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        raise error

    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/", handler)
    client = await aiohttp_client(app)
    async with client.get("/") as response:
        assert response.status == error.status
        own = {"content-type", "content-length", "date", "server"}
        headers = [each for each in response.headers.items() if each[0].lower() not in own]
        assert headers == kept
        assert set(await response.json()) == {"message"}
