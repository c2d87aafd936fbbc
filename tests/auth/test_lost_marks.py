"""Does a marked handler ever answer without its mark having been asked for?

A decorator, a copied route or a forgotten `setup` can keep the middleware from seeing a mark. Then
nothing is answered but 500, and the log says what happened.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
Handler = Callable[..., Any]
admins: Any = auth.protected(permissions={"admin"})
marks = {"protected": auth.protected, "permission": admins, "optional": auth.optional}


def sync_handler() -> Handler:
    def handler(_request: web.Request) -> web.Response:
        return web.json_response({})

    return handler


def new_view() -> Any:
    class View(web.View):
        async def get(self) -> web.Response:
            return web.json_response({})

    return View


def lost(handler: Any) -> Any:
    """A decorator that does not use functools.wraps."""

    async def wrapper(request: Any) -> Any:
        answer = handler(request)
        return await answer if hasattr(answer, "__await__") else answer

    return wrapper


def in_thread(handler: Handler) -> Handler:
    async def wrapper(request: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, handler, request)

    return wrapper


def plain_wraps(handler: Handler) -> Handler:
    """A plain def with functools.wraps around a coroutine function."""

    @functools.wraps(handler)
    def wrapper(request: Any) -> Any:
        return handler(request)

    return wrapper


class Objects:
    async def method(self, _request: web.Request) -> web.Response:
        return web.json_response({})


def method_of_view(mark: Any) -> Any:
    class View(web.View):
        async def _get(self) -> web.Response:
            return web.json_response({})

        get = lost(mark(_get))

    return View


def heir(mark: Any) -> Any:
    return type("Heir", (mark(new_view()),), {})


# How a mark is lost, by what is marked. Each returns what an application routes.
LOST: dict[str, Callable[[Any], Handler]] = {
    "function": lambda mark: lost(mark(new_handler())),
    "function, lost twice": lambda mark: lost(lost(mark(new_handler()))),
    "plain function": lambda mark: lost(mark(sync_handler())),
    "plain function in a thread": lambda mark: in_thread(mark(sync_handler())),
    "plain decorator": lambda mark: lost(mark(plain_wraps(new_handler()))),
    "partial": lambda mark: lost(functools.partial(mark(new_handler()))),
    "bound method": lambda mark: lost(mark(Objects().method)),
    "method of a View": method_of_view,
    "View": lambda mark: lost(mark(new_view())),
    "heir of a View": lambda mark: lost(heir(mark)),
}
# And what a table or an application holds.
IN_GROUP: dict[str, Callable[[], Handler]] = {
    "function": new_handler,
    "plain function": sync_handler,
    "partial": lambda: functools.partial(new_handler()),
    "bound method": lambda: Objects().method,
    "View": new_view,
}


async def answers(
    start: Start, issuer: Issuer, app: web.Application, path: str = "/"
) -> tuple[int, int, int]:
    """The statuses without a token, with one, and with an administrator's."""
    client = await start(ApiServer(app))
    admin = issuer.mint(claims={"permissions": ["admin"]})
    return (
        await status(client, path=path),
        await status(client, issuer.mint(), path=path),
        await status(client, admin, path=path),
    )


def app_with(validator: auth.TokenValidator | None) -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    if validator is not None:
        auth.setup(app, validator)
    return app


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The exceptions that were logged as errors."""
    return [
        record.exc_info[0].__name__
        for record in caplog.records
        if record.levelno == logging.ERROR and record.exc_info and record.exc_info[0]
    ]


@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("mark", ["permission", "protected"])
@pytest.mark.parametrize("around", ["nothing", "public", "optional"])
async def test_a_mark_that_is_lost_is_told(
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    how: str,
    mark: str,
    around: str,
) -> None:
    """What asks for no more than any valid token is satisfied where one was asked for."""
    app = app_with(validator)
    handler = LOST[how](marks[mark])
    open_it = {"nothing": None, "public": auth.public, "optional": auth.optional}[around]
    routed: Any = handler if open_it is None else open_it(handler)
    app.router.add_get("/", routed)
    satisfied = mark == "protected" and around == "nothing"
    good = 200 if satisfied else 500
    expected = (401 if around == "nothing" else 500, good, good)
    assert await answers(aiohttp_client, issuer, app) == expected
    assert told(caplog) == ["RuntimeError"] * expected.count(500)


async def test_an_optional_handler_is_not_anonymous_because_nobody_looked(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = app_with(validator)
    app.router.add_get("/", auth.public(lost(auth.optional(new_handler()))))
    assert await answers(aiohttp_client, issuer, app) == (500, 500, 500)


@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
@pytest.mark.parametrize("mark", marks)
@pytest.mark.parametrize(
    "marked",
    [
        lambda mark: mark(new_handler()),
        lambda mark: mark(sync_handler()),
        lambda mark: mark(Objects().method),
        lambda mark: mark(new_view()),
        heir,
    ],
)
async def test_without_setup_nothing_that_is_marked_answers(
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    mark: str,
    marked: Callable[[Any], Any],
) -> None:
    app = app_with(None)
    app.router.add_get("/", marked(marks[mark]))
    assert await answers(aiohttp_client, issuer, app) == (500, 500, 500)
    assert told(caplog) == ["RuntimeError"] * 3


@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
@pytest.mark.parametrize("what", IN_GROUP)
@pytest.mark.parametrize("mark", marks)
async def test_without_setup_no_group_that_is_marked_answers(
    issuer: Issuer, aiohttp_client: Start, what: str, mark: str
) -> None:
    table: Any = marks[mark](auth.RouteTable())
    table.get("/table")(IN_GROUP[what]())
    child = marks[mark](web.Application())
    child.router.add_get("/", IN_GROUP[what]())
    app = app_with(None)
    app.add_routes(table)
    app.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(app))
    for path in ("/table", "/child/"):
        assert await status(client, issuer.mint(), path=path) == 500
    assert await status(client, path="/child/nowhere") == 404


@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
@pytest.mark.parametrize("what", IN_GROUP)
async def test_a_table_that_is_taken_apart_keeps_its_mark(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, what: str
) -> None:
    """As one does for aiohttp-cors, which wants the routes one by one."""
    table: Any = admins(auth.RouteTable())
    table.get("/")(IN_GROUP[what]())
    app = app_with(validator)
    for item in table:
        app.router.add_route(item.method, item.path, item.handler)
    assert await answers(aiohttp_client, issuer, app) == (401, 403, 200)


@pytest.mark.parametrize("what", ["function", "View"])
async def test_a_tables_handler_behind_a_decorator_is_told(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, what: str
) -> None:
    table: Any = admins(auth.RouteTable())
    table.get("/")(IN_GROUP[what]())
    app = app_with(validator)
    app.router.add_get("/", auth.public(lost(table[0].handler)))
    assert await answers(aiohttp_client, issuer, app) == (500, 500, 500)


def test_files_of_a_marked_table_cannot_be_taken_apart(tmp_path: Path) -> None:
    table: Any = admins(auth.RouteTable())
    table.static("/files", tmp_path)
    assert not hasattr(table[0], "path")
    assert not hasattr(table[0], "prefix")


@pytest.mark.filterwarnings("ignore:Bare functions are deprecated")
@pytest.mark.parametrize("handler", [new_handler, sync_handler, new_view])
async def test_what_is_marked_after_it_was_routed_is_asked_for(
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Start,
    handler: Callable[[], Any],
) -> None:
    routed, app = handler(), app_with(validator)
    app.router.add_get("/", routed)
    admins(routed)
    assert await answers(aiohttp_client, issuer, app) == (401, 403, 200)


async def test_a_mark_below_an_open_one_closes_it(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    """The inner function is marked when it stands in the outer one already."""
    inner, app = new_handler(), app_with(validator)
    outer = auth.public(functools.wraps(inner)(lost(inner)))
    admins(inner)
    app.router.add_get("/", outer)
    assert await answers(aiohttp_client, issuer, app) == (401, 403, 200)


async def test_a_partial_is_what_it_calls(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = app_with(validator)
    app.router.add_get("/", functools.partial(admins(new_handler())))
    app.router.add_get("/open", functools.partial(auth.public(new_handler())))
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, issuer.mint()) == 403
    assert await status(client, issuer.mint(claims={"permissions": ["admin"]})) == 200
    assert await status(client, path="/open") == 200


async def test_one_application_in_two_places_is_asked_for_in_each(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    """What was worked out for a route at one host holds for no other."""
    shared = web.Application()
    shared.router.add_get("/", new_handler())
    opened, closed = auth.public(web.Application()), admins(web.Application())
    app = app_with(validator)
    for host, group in (("open.example", opened), ("closed.example", closed)):
        group.add_domain(host, shared)
        app.add_domain(host, group)
    client = await aiohttp_client(ApiServer(app))
    for host, expected in (("open.example", 200), ("closed.example", 401), ("open.example", 200)):
        assert await status(client, headers={"Host": host}) == expected


def test_an_application_that_runs_or_is_mounted_cannot_be_marked() -> None:
    child = web.Application()
    web.Application().add_subapp("/child", child)
    with pytest.raises(TypeError):
        admins(child)


def test_a_requirement_of_true_is_not_one_of_one() -> None:
    ones: Any = auth.protected(claims={"level": 1, "of": [1, {"a": 1}]})
    trues: Any = auth.protected(claims={"level": True, "of": [True, {"a": True}]})
    handler = ones(new_handler())
    assert ones(handler)
    with pytest.raises(TypeError):
        trues(handler)


def timed(handler: Any) -> Any:
    """A decorator that uses functools.wraps, around a function or a View."""

    @functools.wraps(handler)
    async def wrapper(request: web.Request) -> Any:
        return await handler(request)

    return wrapper


class Mixed(web.View):
    @auth.public
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.optional
    async def post(self) -> web.Response:
        return web.json_response({})

    async def delete(self) -> web.Response:
        return web.json_response({})

    @auth.protected(permissions={"admin"})
    async def put(self) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize("around", [lambda view: view, timed, lambda view: timed(timed(view))])
@pytest.mark.parametrize("group", ["none", "table"])
@pytest.mark.parametrize("first", ["GET", "POST", "DELETE", "PUT"])
async def test_each_method_of_a_view_keeps_its_own_mark_whichever_is_called_first(
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Start,
    around: Callable[[Any], Any],
    group: str,
    first: str,
) -> None:
    table: Any = auth.RouteTable() if group == "none" else auth.protected(auth.RouteTable())
    table.view("/")(around(Mixed))
    app = app_with(validator)
    app.add_routes(table)
    client = await aiohttp_client(ApiServer(app))
    expected = {"GET": (200, 200), "POST": (200, 200), "DELETE": (401, 200), "PUT": (401, 403)}
    for method in (first, *expected):
        got = (
            await status(client, method=method),
            await status(client, issuer.mint(), method=method),
        )
        assert got == expected[method], method
    assert await status(client, method="PROPFIND") == 401
    listed = {route.method: route.access for route in auth.routes(app)}
    assert {name: listed[name].split(",")[0] for name in ("GET", "POST")} == {
        "GET": "public",
        "POST": "optional",
    }
    assert set(listed) == set(expected)


async def test_files_of_a_marked_table_need_setup_and_a_token(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    for protected_by, expected in ((validator, (401, 403, 200)), (None, (500, 500, 500))):
        table: Any = admins(auth.RouteTable())
        table.static("/files", tmp_path)
        app = app_with(protected_by)
        app.add_routes(table)
        assert await answers(aiohttp_client, issuer, app, "/files/a.txt") == expected
