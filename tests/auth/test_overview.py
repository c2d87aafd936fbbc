"""Does the list of routes say what each of them really does?"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.auth.routes import BROKEN, PREFLIGHT, UNGUARDED
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, config_for
from support.naming import naming
from support.protecting import Serve, new_handler, status


@auth.public
class PublicView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.protected(permissions={"write:reports"})
    async def post(self) -> web.Response:
        return web.json_response({})


@auth.protected(permissions={"read:reports"})
class ReadersView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.public
    async def post(self) -> web.Response:
        return web.json_response({})


async def is_owner(_token: auth.AccessToken) -> bool:
    return True


@pytest.fixture
def any_token(validator: auth.TokenValidator) -> str:
    """What is said of a route that any valid token opens."""
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", auth.protected(new_handler()))
    [route] = [route for route in auth.routes(app) if route.method == "GET"]
    return route.access


def access_of(validator: auth.TokenValidator, handler: Any) -> str:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_post("/reports/{number}", handler)
    [route] = auth.routes(app)
    assert (route.method, route.path) == ("POST", "/reports/{number}")
    return route.access


def test_who_opens_a_route_is_told(validator: auth.TokenValidator, any_token: str) -> None:
    assert access_of(validator, auth.public(new_handler())) == "public"
    assert access_of(validator, auth.optional(new_handler())) == "optional"
    assert access_of(validator, new_handler()) == any_token
    assert any_token not in ("public", "optional", PREFLIGHT, UNGUARDED)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"scopes": {"b", "a"}}, ["scope a", "scope b"]),
        ({"any_scope": ["b", "a"]}, ["scope", "b", "a"]),
        ({"permissions": {"p"}}, ["permission p"]),
        ({"claims": {"org_id": "x"}}, ["claim org_id='x'"]),
        ({"claims": {"g": {"c", "a", "b"}}}, ["claim g={'a', 'b', 'c'}"]),
        ({"acr_values": ["mfa"]}, ["mfa"]),
        ({"max_auth_age": 60}, ["60 s"]),
        ({"check": is_owner}, ["check is_owner"]),
        (
            {"scopes": {"a"}, "permissions": {"p"}, "check": is_owner},
            ["scope a", "permission p", "check is_owner"],
        ),
    ],
)
def test_each_route_says_what_it_asks_for(
    validator: auth.TokenValidator, asked: dict[str, Any], named: list[str]
) -> None:
    access = access_of(validator, auth.protected(**asked)(new_handler()))
    assert re.search(naming(*named), access)


def test_a_view_says_it_method_by_method(validator: auth.TokenValidator) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_view("/open", PublicView)
    app.router.add_view("/readers", ReadersView)
    assert auth.routes(app) == [
        ("GET", "/open", "public"),
        ("POST", "/open", "permission write:reports"),
        ("GET", "/readers", "permission read:reports"),
        ("POST", "/readers", "public"),
    ]


def test_what_groups_ask_of_an_optional_token_is_told(validator: auth.TokenValidator) -> None:
    app = auth.protected(claims={"token_use": "access"})(web.Application())
    auth.setup(app, validator)
    app.router.add_post("/greeting", auth.optional(new_handler()))
    app.router.add_post("/open", auth.public(new_handler()))
    assert auth.routes(app) == [
        ("POST", "/greeting", "optional: claim token_use='access'"),
        ("POST", "/open", "public"),
    ]


def test_what_nothing_protects_is_called_open(
    validator: auth.TokenValidator, tmp_path: Path, any_token: str
) -> None:
    root, child, grandchild = web.Application(), web.Application(), web.Application()
    auth.setup(child, validator)
    for app in (root, child, grandchild):
        app.router.add_route("*", "/here", new_handler())
    grandchild.router.add_static("/files", tmp_path)
    child.add_subapp("/deeper", grandchild)
    root.add_subapp("/child", child)
    assert auth.routes(root) == [
        ("GET", "/child/deeper/files", any_token),
        ("HEAD", "/child/deeper/files", any_token),
        ("*", "/child/deeper/here", any_token),
        ("*", "/child/here", any_token),
        ("*", "/here", UNGUARDED),
    ]


async def test_what_is_listed_without_setup_is_what_a_client_meets(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> None:
    root = web.Application(middlewares=[errors_as_json])
    marked, asking = auth.protected(web.Application()), web.Application()
    for app in (root, marked, asking):
        app.router.add_post("/unmarked", new_handler())
        app.router.add_post("/public", auth.public(new_handler()))
        app.router.add_post("/optional", auth.optional(new_handler()))
        app.router.add_post("/protected", auth.protected(new_handler()))
    auth.protect_paths(asking, "/protected")
    root.add_subapp("/marked", marked)
    root.add_subapp("/asking", asking)
    client = await aiohttp_client(ApiServer(root))
    expected = {"/unmarked": UNGUARDED, "/public": "public"}
    for route in auth.routes(root):
        assert route.access == expected.get(route.path, BROKEN)
        answered = await status(client, path=route.path, method="POST")
        assert answered == (500 if route.access == BROKEN else 200)


def test_the_api_is_open_at_one_message_and_its_health_only(issuer: Issuer, any_token: str) -> None:
    listed = auth.routes(create_app(config_for(issuer, ADMIN_PERMISSION="read:admin-messages")))
    asked_of = {route.path: route.access for route in listed if route.method == "GET"}
    assert asked_of["/api/messages/admin"] == "permission read:admin-messages"
    assert asked_of["/api/messages/protected"] == any_token
    open_to_all = [path for path, access in asked_of.items() if access in ("public", "optional")]
    assert open_to_all == ["/api/messages/public", "/api/openapi.json", "/livez", "/readyz"]
    assert {route.access for route in listed if route.method == "OPTIONS"} == {PREFLIGHT}


async def test_what_the_list_says_is_what_a_client_meets(serve: Serve, issuer: Issuer) -> None:
    handlers = {
        "/open": auth.public(new_handler()),
        "/optional": auth.optional(new_handler()),
        "/closed": new_handler(),
    }
    client = await serve(*(web.get(path, handler) for path, handler in handlers.items()))
    assert client.app is not None
    for route in auth.routes(client.app):
        expected = 200 if route.access in ("public", "optional") else 401
        assert await status(client, path=route.path, method=route.method) == expected
