"""What is prepared once for all requests: is each answer still its own, and is it complete?"""

import base64
import json
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import web
from multidict import CIMultiDict
from pytest_aiohttp.plugin import AiohttpClient

from hello import auth
from hello.auth import InvalidTokenError
from hello.auth.jws import parse
from hello.messages import public_message
from hello.responses import allow_client, errors_as_json

ORIGIN = "http://localhost:4040"


def app_with(*handlers: tuple[str, object]) -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    for path, handler in handlers:
        app.router.add_get(path, handler)  # type: ignore[arg-type]
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


ANSWERS = [
    ("GET", "/200", 200),
    ("GET", "/401", 401),
    ("GET", "/403", 403),
    ("GET", "/404", 404),
    ("POST", "/200", 405),
    ("GET", "/500", 500),
    ("OPTIONS", "/200", 200),
]


@pytest.mark.parametrize("theirs_stays", [False, True])
@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
async def test_an_origin_is_allowed_once_with_and_without_the_librarys_own_signal(
    aiohttp_client: AiohttpClient,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    status: int,
    theirs_stays: bool,  # noqa: FBT001
) -> None:
    """Another release may have moved its signal, and then it is not found."""
    if theirs_stays:
        theirs = aiohttp_cors.cors_config._CorsConfigImpl._on_response_prepare
        monkeypatch.setattr(theirs, "__module__", "elsewhere")
    app = app_with(("/200", hello), ("/401", refuse), ("/403", forbid), ("/500", fail))
    allow_client(app, ORIGIN)
    assert len(app.on_response_prepare) == 1 + theirs_stays
    client = await aiohttp_client(app)
    headers = {"Origin": ORIGIN}
    if method == "OPTIONS":
        headers["Access-Control-Request-Method"] = "GET"
    async with client.request(method, path, headers=headers) as response:
        assert response.status == status
        assert response.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
        exposed = response.headers.getall("Access-Control-Expose-Headers")
        assert exposed == ["WWW-Authenticate, Retry-After"]
        assert response.headers.getall("Vary") == ["Origin"]


async def test_a_signal_of_the_applications_own_stays() -> None:
    async def theirs(_request: web.Request, _response: web.StreamResponse) -> None: ...

    app = app_with(("/", hello))
    app.on_response_prepare.append(theirs)
    allow_client(app, ORIGIN)
    assert next(iter(app.on_response_prepare)) is theirs
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


def segment(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("stray", "canonical"),
    [
        ("e31", segment(b"{}")),  # two unused bits, one of them set
        ("e32", segment(b"{}")),
        ("eyAgfR", segment(b"{  }")),  # four unused bits
        ("e30A1", None),  # a rest of one character
        ("e30=", segment(b"{}")),
        ("e30 ", segment(b"{}")),
        ("e30\n", segment(b"{}")),
    ],
)
def test_no_segment_is_taken_in_a_second_spelling(
    place: int, stray: str, canonical: str | None
) -> None:
    good = [segment(b"{}")] * 3
    bad = [*good[:place], stray, *good[place + 1 :]]
    with pytest.raises(InvalidTokenError):
        parse(".".join(bad))
    if canonical is not None:
        assert parse(".".join([*good[:place], canonical, *good[place + 1 :]]))
