"""What can `setup` be given, and what does a handler get of it?"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth import AccessToken, AuthError, Challenges, Presented, Timing
from hello.sandbox.issuer import Issuer
from support.answers import NO_TOKEN, challenge
from support.api import ApiServer, Client, bearer
from support.logs import faults, reasons
from support.protecting import Serve, new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]


async def problem(_request: web.Request, refusal: AuthError) -> web.Response:
    """A body as RFC 9457 has it, with a status that is not its to choose."""
    return web.json_response(
        {"title": refusal.message},
        status=200,
        content_type="application/problem+json",
        headers={"WWW-Authenticate": "Basic", "Content-Language": "en"},
    )


def plain(request: web.Request, refusal: AuthError) -> web.Response:
    return web.Response(text=f"{request.path} {refusal.reason}")


@pytest.mark.parametrize(
    ("refuse", "content_type", "body"),
    [
        (
            problem,
            "application/problem+json",
            json.dumps({"title": auth.UnauthorizedError.message}),
        ),
        (plain, "text/plain", "/ no_credentials"),
    ],
)
async def test_an_application_says_no_in_its_own_words(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    refuse: auth.Refuse,
    content_type: str,
    body: str,
) -> None:
    app = web.Application()
    auth.setup(app, validator, refuse=refuse)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/") as response:
        assert (response.status, response.content_type) == (401, content_type)
        assert len(response.headers.getall("WWW-Authenticate")) == 1
        assert challenge(response.headers) == NO_TOKEN
        assert await response.text() == body


def raises(_request: web.Request, _refusal: AuthError) -> web.Response:
    raise ZeroDivisionError


def refuses_the_refusal(_request: web.Request, refusal: AuthError) -> web.Response:
    raise refusal


async def raises_http(_request: web.Request, _refusal: AuthError) -> web.Response:
    raise web.HTTPOk


def returns(value: Any) -> Any:
    return lambda _request, _refusal: value


async def sends(request: web.Request, _refusal: AuthError) -> web.Response:
    response = web.Response(text="too early")
    await response.prepare(request)
    await response.write_eof()
    return response


@pytest.mark.parametrize(
    "refuse",
    [
        raises,
        refuses_the_refusal,
        raises_http,
        returns(None),
        returns("no"),
        returns(web.HTTPFound("/login")),
    ],
)
async def test_a_refusal_that_fails_is_a_refusal_all_the_same(
    validator: auth.TokenValidator,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    refuse: auth.Refuse,
) -> None:
    app = web.Application()
    auth.setup(app, validator, refuse=refuse)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/") as response:
        assert response.status == 401
        assert await response.json() == {"message": auth.UnauthorizedError.message}
        assert challenge(response.headers) == NO_TOKEN
    assert reasons(caplog) == ["401 no_credentials"]
    assert [fault.levelname for fault in faults(caplog)] == ["ERROR"]


async def test_a_refusal_that_was_sent_already_is_not_sent_twice(
    validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    app = web.Application()
    auth.setup(app, validator, refuse=sends)
    app.router.add_get("/", new_handler())
    server = ApiServer(app)
    await server.start_server()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.read()).count(b"HTTP/1.1") == 1  # to the end of the connection
    writer.close()
    await server.close()


class OwnValidator:
    """Knows two tokens by heart, and is no TokenValidator."""

    def __init__(self) -> None:
        self.timing = Timing()
        self.authorization_servers = ["https://issuer.example.com"]
        self.challenges = Challenges()
        self.closed = asyncio.Event()

    async def validate(self, presented: Presented) -> AccessToken:
        if presented.token not in ("reader", "nobody"):
            raise auth.InvalidTokenError(auth.Reason.SIGNATURE)
        return AccessToken(
            token=presented.token,
            header={},
            claims={},
            issuer=presented.host,
            subject=presented.token,
            scopes=frozenset({"read"} if presented.token == "reader" else ()),
            permissions=frozenset(),
            expires_at=0,
        )

    async def close(self) -> None:
        self.closed.set()


async def test_an_application_brings_its_own_validator(aiohttp_client: Start) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.json_response([auth.token(request).subject, auth.token(request).issuer])

    validator, app = OwnValidator(), web.Application()
    auth.setup(app, validator, resource="https://api.example.com")
    app.router.add_get("/", auth.protected(scopes={"read"})(who))
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers={**bearer("reader"), "Host": "a.example"}) as response:
        assert await response.json() == ["reader", "a.example"]
    assert await status(client, "nobody") == 403
    assert await status(client, "stranger") == 401
    async with client.get("/.well-known/oauth-protected-resource") as response:
        assert (await response.json())["authorization_servers"] == validator.authorization_servers
    with pytest.raises(RuntimeError):
        await auth.explain(app, "reader")
    await client.close()
    assert validator.closed.is_set()


async def test_a_handler_asks_for_its_token(serve: Serve, issuer: Issuer) -> None:
    async def subject(request: web.Request) -> web.Response:
        return web.json_response(auth.token(request).subject)

    async def opened(request: web.Request) -> web.Response:
        return await subject(request)

    async def whether(request: web.Request) -> web.Response:
        token = auth.token_or_none(request)
        return web.json_response(None if token is None else token.subject)

    client = await serve(
        web.get("/", subject),
        web.get("/public", auth.public(opened)),
        web.get("/optional", auth.optional(whether)),
    )
    good = issuer.mint(claims={"sub": "alice"})
    for path, token, expected in [
        ("/", good, "alice"),
        ("/optional", good, "alice"),
        ("/optional", None, None),
    ]:
        async with client.get(path, headers=bearer(token) if token else {}) as response:
            assert await response.json() == expected
    assert await status(client, good, path="/public") == 500


async def test_a_request_without_a_host_asks_nobody_for_one(
    validator: auth.TokenValidator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `request.host` of aiohttp asks DNS for this machine's name."""
    monkeypatch.setattr("socket.getfqdn", lambda: pytest.fail("DNS was asked"))
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    server = ApiServer(app)
    await server.start_server()
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"GET / HTTP/1.0\r\nAuthorization: Bearer %b\r\n\r\n" % issuer.mint().encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    await server.close()


class CarelessValidator:
    """Forgets to return what it has validated."""

    def __init__(self) -> None:
        self.timing = Timing()
        self.authorization_servers: list[str] = []
        self.challenges = Challenges()

    async def validate(self, _presented: Presented) -> AccessToken:
        return None  # type: ignore[return-value]

    async def close(self) -> None: ...


@pytest.mark.parametrize("mark", [auth.protected, auth.optional])
async def test_a_validator_that_returns_no_token_lets_nobody_in(
    aiohttp_client: Start, mark: Callable[[Any], Any]
) -> None:
    app = web.Application()
    auth.setup(app, CarelessValidator())
    app.router.add_get("/", mark(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, "any") == 500
