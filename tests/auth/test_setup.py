"""Where does `auth.setup` stand, and what is protected around it and below?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.protection import authenticate
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client
from support.naming import naming
from support.protecting import new_handler, status

READ, WRITE = "read:reports", "write:reports"


class Reports:
    @auth.protected(permissions={READ})
    async def get(self, _request: web.Request) -> web.Response:
        return web.json_response({})


class ReportsView(web.View):
    @auth.protected(permissions={READ})
    async def get(self) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (auth.protected(new_handler()), 500),
        (auth.protected(permissions={READ})(new_handler()), 500),
        (Reports().get, 500),
        (ReportsView, 500),
        (auth.public(new_handler()), 200),
    ],
)
async def test_without_setup_a_protected_handler_does_not_answer(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    handler: Any,
    expected: int,
) -> None:
    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/", handler)
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, issuer.mint()) == expected


async def test_without_setup_there_is_no_token_to_read(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]], issuer: Issuer
) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.json_response({"subject": request[auth.ACCESS_TOKEN].subject})

    app = web.Application(middlewares=[errors_as_json])
    app.router.add_get("/", who)
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, issuer.mint()) == 500


async def test_the_middleware_without_setup_does_not_answer(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]], issuer: Issuer
) -> None:
    app = web.Application(middlewares=[errors_as_json, authenticate])
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, issuer.mint()) == 500


def test_setup_is_called_once(validator: auth.TokenValidator) -> None:
    app = web.Application()
    auth.setup(app, validator)
    with pytest.raises(RuntimeError, match=naming("auth.setup")):
        auth.setup(app, validator)


@pytest.mark.parametrize("where", ["parent", "child"])
async def test_setup_protects_sub_applications_too(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    where: str,
) -> None:
    parent, child = web.Application(), web.Application()
    auth.setup({"parent": parent, "child": child}[where], validator)
    child.router.add_get("/closed", new_handler())
    child.router.add_get("/open", auth.public(new_handler()))
    parent.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(parent))
    assert await status(client, path="/child/open") == 200
    assert await status(client, path="/child/closed") == 401
    assert await status(client, issuer.mint(), path="/child/closed") == 200
    assert await status(client, path="/child/nowhere") == 404


async def test_a_sub_application_may_trust_another_audience(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
) -> None:
    root, one, two = web.Application(), web.Application(), web.Application()
    auth.setup(one, validator)
    auth.setup(two, auth.TokenValidator(issuer=issuer.url, audience="https://two.example.com"))
    for name, app in {"/one": one, "/two": two}.items():
        app.router.add_get("/", new_handler())
        root.add_subapp(name, app)
    client = await aiohttp_client(ApiServer(root))
    for audience, expected in {AUDIENCE: (200, 401), "https://two.example.com": (401, 200)}.items():
        token = issuer.mint(claims={"aud": audience})
        assert (
            await status(client, token, path="/one/"),
            await status(client, token, path="/two/"),
        ) == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("public_url", ["https://api.example.com"]),
        ("public_url", 7),
        ("resource", ["https://api.example.com"]),
        ("refuse", "no"),
        ("client_certificate", "Client-Cert"),
        ("on_decision", "audit.log"),
        ("header", ["Authorization"]),
    ],
)
async def test_options_of_a_wrong_type_are_told_by_name_and_nobody_is_let_in(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    option: str,
    value: Any,
) -> None:
    app = web.Application()
    with pytest.raises(ValueError, match=naming(option)):
        auth.setup(app, validator, **{option: value})
    app.router.add_get("/", auth.public(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    assert await status(client) == 500


@pytest.mark.parametrize("value", ["https://tenant.eu.auth0.com/", None, 7])
async def test_what_is_no_validator_is_not_taken(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]], value: Any
) -> None:
    app = web.Application()
    with pytest.raises(TypeError, match="TokenValidator"):
        auth.setup(app, value)
    app.router.add_get("/", auth.public(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    assert await status(client) == 500
