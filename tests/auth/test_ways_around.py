"""Is there a way around a mark: by sharing, wrapping, nesting, or by what Python makes of it?"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.answers import INSUFFICIENT, WEAK_LOGIN, challenge
from support.api import ApiServer, Client
from support.naming import naming
from support.protecting import Serve, new_handler, status

Handler = Callable[..., Awaitable[web.StreamResponse]]
Start = Callable[[ApiServer], Awaitable[Client]]
wrongly: Any = auth.protected
admins = auth.protected(permissions={"admin"})


def without_wraps(handler: Handler) -> Handler:
    async def wrapper(request: Any) -> web.StreamResponse:
        return await handler(request)

    return wrapper


def with_arguments(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def wrapper(request: Any) -> web.StreamResponse:
        return await handler(request, {"page": 1}, size=10)

    return wrapper


async def with_page(_request: web.Request, page: dict[str, int], size: int) -> web.Response:
    return web.json_response({**page, "size": size})


class Callables:
    @admins
    async def __call__(self, _request: web.Request) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize(
    "handler",
    [
        with_arguments(admins(with_page)),
        admins(with_arguments(with_page)),
        functools.partial(admins(new_handler())),
        Callables().__call__,
    ],
)
async def test_what_is_asked_for_is_asked_for_under_any_decorator(
    serve: Serve, issuer: Issuer, handler: Any
) -> None:
    client = await serve(web.get("/", handler))
    admin = issuer.mint(claims={"permissions": ["admin"]})
    assert await status(client, issuer.mint()) == 403
    assert await status(client, admin) == 200


async def test_an_open_handler_that_calls_a_protected_one_does_not_open_it(
    issuer: Issuer, validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, validator)
    app.router.add_get("/", auth.public(without_wraps(admins(new_handler()))))
    client = await aiohttp_client(ApiServer(app))
    assert await status(client) == 500
    assert await status(client, issuer.mint(claims={"permissions": ["admin"]})) == 500


async def test_a_protected_handler_wants_a_request() -> None:
    with pytest.raises(RuntimeError):
        await wrongly(new_handler())("no request")


class Crud:
    async def list(self, _request: web.Request) -> web.Response:
        return web.json_response({})


async def test_a_mark_of_one_objects_method_is_not_anothers(serve: Serve, issuer: Issuer) -> None:
    countries, salaries, reports = Crud(), Crud(), Crud()
    client = await serve(
        web.get("/countries", auth.public(countries.list)),
        web.get("/salaries", admins(salaries.list)),
        web.get("/reports", reports.list),
    )
    for path, expected in {
        "/countries": (200, 200),
        "/salaries": (401, 403),
        "/reports": (401, 200),
    }.items():
        assert await status(client, path=path) == expected[0]
        assert await status(client, issuer.mint(), path=path) == expected[1]


@pytest.mark.parametrize("first", [admins, None])
async def test_a_table_marks_no_route_of_another_table(serve: Serve, first: Any) -> None:
    """One handler on one path, with the resource shared."""
    handler = new_handler()
    narrow, opened = auth.RouteTable(), auth.public(auth.RouteTable())
    if first is not None:
        first(narrow)
    narrow.delete("/item")(handler)
    narrow.head("/other")(handler)
    opened.get("/item")(handler)
    opened.get("/other", allow_head=False)(handler)
    client = await serve(*narrow, *opened)
    assert await status(client, path="/item", method="DELETE") == 401
    assert await status(client, path="/other", method="HEAD") == 401
    assert await status(client, path="/item") == await status(client, path="/other") == 200
    assert await status(client, path="/item", method="HEAD") == 200


@pytest.mark.parametrize("setups", [("child",), ("root", "child")])
async def test_nothing_around_it_opens_an_application_with_setup(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, setups: tuple[str, ...]
) -> None:
    root, middle, child = web.Application(), web.Application(), web.Application()
    auth.public(middle if "root" in setups else root)
    auth.protected(permissions={"admin"})(child if "root" in setups else middle)
    for name, app in {"root": root, "child": child}.items():
        if name in setups:
            auth.setup(app, validator)
    child.router.add_get("/secret", new_handler())
    middle.add_subapp("/child", child)
    root.add_subapp("/middle", middle)
    client = await aiohttp_client(ApiServer(root))
    assert await status(client, path="/middle/child/secret") == 401
    assert await status(client, issuer.mint(), path="/middle/child/secret") == 403


async def test_setup_alone_closes_what_stands_open_around_it(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    root, child = auth.public(web.Application()), web.Application()
    auth.setup(child, validator)
    child.router.add_get("/secret", new_handler())
    root.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(root))
    assert await status(client, path="/child/secret") == 401
    assert await status(client, issuer.mint(), path="/child/secret") == 200


async def test_what_adds_up_is_refused_in_one_answer(serve: Serve, issuer: Issuer) -> None:
    """RFC 6750 §3: the scope that is required for the resource, not for a part of it."""
    routes = auth.protected(scopes={"a"}, acr_values=["phr", "mfa"], max_auth_age=300)(
        auth.RouteTable()
    )
    narrow = auth.protected(
        scopes={"b"}, any_scope=["c", "d"], acr_values=["mfa", "phr", "x"], max_auth_age=60
    )
    routes.get("/")(narrow(new_handler()))
    client = await serve(*routes)
    for claims, expected in [
        ({}, INSUFFICIENT | {"scope": "b c a"}),
        ({"scope": "b d"}, INSUFFICIENT | {"scope": "b d a"}),
        (
            {"scope": "a b d"},
            WEAK_LOGIN | {"acr_values": "mfa phr", "max_age": "60", "scope": "b d a"},
        ),
    ]:
        headers = {"Authorization": f"Bearer {issuer.mint(claims=claims)}"}
        async with client.get("/", headers=headers) as response:
            assert challenge(response.headers) == expected


async def test_logins_that_have_nothing_in_common_are_asked_for_by_the_nearest(
    serve: Serve, issuer: Issuer
) -> None:
    routes = auth.protected(acr_values=["x"])(auth.RouteTable())
    routes.get("/")(auth.protected(acr_values=["y"])(new_handler()))
    client = await serve(*routes)
    async with client.get("/", headers={"Authorization": f"Bearer {issuer.mint()}"}) as response:
        assert challenge(response.headers) == WEAK_LOGIN | {"acr_values": "y"}


class NoView:
    async def get(self) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize(
    ("mark", "named"),
    [
        (lambda: wrongly(permissions=(name for name in "ab")), "permissions"),
        (lambda: wrongly(scopes=map(str.lower, ["A"])), "scopes"),
        (lambda: auth.protected(any_scope=[]), "any_scope"),
        (lambda: auth.protected(acr_values=[]), "acr_values"),
        (lambda: admins(NoView), "NoView"),
        (lambda: admins(functools.partial(new_handler())), "partial"),
        (lambda: admins(Callables()), "Callables"),
    ],
)
def test_what_would_lose_its_mark_is_told_at_import(mark: Callable[[], Any], named: str) -> None:
    with pytest.raises(TypeError, match=naming(named)):
        mark()


def test_a_marked_table_is_still_a_table() -> None:
    routes = admins(auth.RouteTable())
    routes.get("/a")(new_handler())
    route: Any = routes[0]
    assert (route.method, route.path) == ("GET", "/a")
