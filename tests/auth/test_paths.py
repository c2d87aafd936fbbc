"""Can the routes of a library be opened or protected by their paths, and nothing else with them?"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import web

from hello import auth
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.naming import naming
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
admins: Any = auth.protected(permissions={"admin"})
OPEN, CLOSED, ADMINS = (200, 200, 200), (401, 200, 200), (401, 403, 200)


def library(app: web.Application, files: Path) -> None:
    """As a library adds its documents."""
    (files / "style.css").write_text("")
    app.router.add_get("/docs", new_handler())
    app.router.add_get("/docs/{name}.json", new_handler())
    app.router.add_get("/docs/more", new_handler())
    app.router.add_static("/docs/static", files)


@pytest.fixture
def app(validator: auth.TokenValidator, tmp_path: Path) -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, validator)
    library(app, tmp_path)
    return app


async def answers(client: Client, issuer: Issuer, path: str) -> tuple[int, int, int]:
    admin = issuer.mint(claims={"permissions": ["admin"]})
    return (
        await status(client, path=path),
        await status(client, issuer.mint(), path=path),
        await status(client, admin, path=path),
    )


def access(app: web.Application) -> dict[str, str]:
    return {route.path: route.access for route in auth.routes(app)}


async def test_an_opened_path_is_open_and_no_other(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    auth.open_paths(app, "/docs", "/docs/{name}.json", "/docs/static")
    assert access(app) == {
        **dict.fromkeys(("/docs", "/docs/{name}.json", "/docs/static"), "public"),
        "/docs/more": "a valid token",
    }
    app.router.add_get("/docs", new_handler())  # nothing that comes later is opened
    client = await aiohttp_client(ApiServer(app))
    for path in ("/docs", "/docs/a.json", "/docs/static/style.css"):
        assert await answers(client, issuer, path) == OPEN
        assert await status(client, "not.a.token", path=path) == 200
    assert await answers(client, issuer, "/docs/more") == CLOSED
    for path in ("/docs/", "/docs/static/nothing.css"):
        assert await status(client, path=path) == 404


async def test_what_is_added_later_under_an_opened_path_stays_closed(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    auth.open_paths(app, "/docs")
    app.router.add_get("/others", new_handler())
    app.router.add_post("/docs", new_handler())
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, path="/docs") == 200
    assert await status(client, path="/docs", method="POST") == 401


@pytest.mark.parametrize("path", ["/docs", "/docs/{name}"])
@pytest.mark.parametrize("method", ["POST", "*"])
async def test_a_route_of_the_same_resource_that_comes_later_stays_closed(
    validator: auth.TokenValidator, aiohttp_client: Start, path: str, method: str
) -> None:
    """Aiohttp adds it to the last resource, if that has the same path."""
    app, part = web.Application(), web.Application()
    auth.setup(app, validator)
    for each in (app, part):
        each.router.add_get(path, new_handler())
        auth.open_paths(each, path)
        each.router.add_route(method, path, new_handler())
    app.add_subapp("/part", part)
    client = await aiohttp_client(ApiServer(app))
    for place in ("/docs/a", "/part/docs/a") if "name" in path else ("/docs", "/part/docs"):
        assert await status(client, path=place) == 200
        assert await status(client, path=place, method="POST") == 401


async def test_an_options_route_of_opened_files_that_comes_later_stays_closed(
    validator: auth.TokenValidator, aiohttp_client: Start, tmp_path: Path
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    files = app.router.add_static("/files", tmp_path)
    auth.open_paths(app, "/files")
    assert isinstance(files, web.StaticResource)
    files.set_options_route(new_handler())
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, path="/files/x") == 404
    assert await status(client, path="/files/x", method="OPTIONS") == 401


async def test_a_route_of_a_protected_path_that_comes_later_is_protected_as_well(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/docs", new_handler())
    auth.protect_paths(app, "/docs", permissions={"admin"})
    app.router.add_post("/docs", new_handler())
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, issuer.mint(), path="/docs", method="POST") == 403


def test_a_call_that_fails_opens_nothing(validator: auth.TokenValidator) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/docs", new_handler())
    app.router.add_get("/own", auth.protected(new_handler()))
    for _ in range(2):
        with pytest.raises(TypeError):
            auth.open_paths(app, "/docs", "/own")
        assert {each.access for each in auth.routes(app)} == {"a valid token"}


async def test_a_protected_path_requires_what_it_says(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    auth.protect_paths(app, "/docs", "/docs/static", permissions={"admin"})
    auth.protect_paths(app, "/docs/more")
    assert access(app)["/docs"] == "permission admin"
    client = await aiohttp_client(ApiServer(app))
    for path in ("/docs", "/docs/static/style.css"):
        assert await answers(client, issuer, path) == ADMINS
    assert await answers(client, issuer, "/docs/more") == CLOSED


@pytest.mark.parametrize("path", ["/doc", "/docs/", "docs", "/docs/a.json", "/docs/*", "", "/"])
def test_a_path_that_no_route_has_fails(app: web.Application, path: str) -> None:
    for mark in (auth.open_paths, auth.protect_paths):
        with pytest.raises(ValueError, match=naming(repr(path), "auth.routes")):
            mark(app, "/docs", path)


def opened(path: str) -> Callable[[web.Application], None]:
    return lambda app: auth.open_paths(app, path)


def protected(path: str) -> Callable[[web.Application], None]:
    return lambda app: auth.protect_paths(app, path)


class MyView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    async def _post(self) -> web.Response:
        return web.json_response({})

    post = admins(_post)


@pytest.mark.parametrize(
    ("mark", "route"),
    [
        (opened, web.get("/", auth.protected(new_handler()))),
        (opened, web.get("/", admins(new_handler()))),
        (opened, web.get("/", auth.optional(new_handler()))),
        (opened, web.view("/", MyView)),
        (protected, web.get("/", auth.public(new_handler()))),
        (protected, web.get("/", auth.optional(new_handler()))),
    ],
)
async def test_a_handlers_own_mark_is_not_overruled(
    app: web.Application,
    issuer: Issuer,
    aiohttp_client: Start,
    mark: Callable[[str], Callable[[web.Application], None]],
    route: web.RouteDef,
) -> None:
    app.add_routes([route])
    before = [each for each in auth.routes(app) if each.path == "/"]
    with pytest.raises(TypeError, match=naming("/")):
        mark("/")(app)
    after = [each for each in auth.routes(app) if each.path == "/"]
    # Nor is it by somebody who catches that; the method without a mark is what was asked to open.
    assert [each for each in after if each.method != "GET" or route.method != "*"] == [
        each for each in before if each.method != "GET" or route.method != "*"
    ]


def test_a_path_is_marked_once(app: web.Application) -> None:
    auth.open_paths(app, "/docs")
    auth.open_paths(app, "/docs")
    for again in (protected("/docs"), lambda app: auth.protect_paths(app, "/docs", scopes={"a"})):
        with pytest.raises(TypeError, match=naming("/docs")):
            again(app)
    auth.protect_paths(app, "/docs/more", scopes={"a"})
    with pytest.raises(TypeError):
        auth.protect_paths(app, "/docs/more", scopes={"b"})


def test_what_a_requirement_says_wrongly_fails_at_once(app: web.Application) -> None:
    with pytest.raises(TypeError):
        auth.protect_paths(app, "/docs", scopes="read")  # type: ignore[arg-type]


async def test_requirements_of_a_path_and_of_its_handler_add_up(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    app.router.add_get("/", auth.protected(permissions={"reader"})(new_handler()))
    auth.protect_paths(app, "/", permissions={"admin"})
    client = await aiohttp_client(ApiServer(app))
    assert await answers(client, issuer, "/") == (401, 403, 403)
    both = issuer.mint(claims={"permissions": ["admin", "reader"]})
    assert await status(client, both) == 200


def child_of(app: web.Application, mount: str, child: web.Application) -> None:
    if mount.startswith("/"):
        app.add_subapp(mount, child)
    else:
        app.add_domain(mount, child)


async def test_a_path_in_a_sub_application_is_written_with_its_prefix(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    child, grandchild = web.Application(), web.Application()
    for each in (child, grandchild):
        each.router.add_get("/mcp", new_handler())
    child.add_subapp("/grand", grandchild)
    auth.open_paths(child, "/grand/mcp")  # before it has its own prefix
    app.add_subapp("/child", child)
    auth.protect_paths(app, "/child/mcp", permissions={"admin"})
    client = await aiohttp_client(ApiServer(app))
    assert await answers(client, issuer, "/child/mcp") == ADMINS
    assert await answers(client, issuer, "/child/grand/mcp") == OPEN
    assert await answers(client, issuer, "/docs") == CLOSED


async def test_a_path_of_another_host_is_not_opened(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    child = web.Application()
    child.router.add_get("/docs", new_handler())
    app.add_domain("other.example", child)
    auth.open_paths(app, "/docs")
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, path="/docs") == 200
    assert await status(client, path="/docs", headers={"Host": "other.example"}) == 401


@pytest.mark.parametrize("closed", ["setup", "mark"])
def test_a_sub_application_that_is_closed_is_not_opened_from_outside(
    app: web.Application, validator: auth.TokenValidator, closed: str
) -> None:
    child = web.Application()
    child.router.add_get("/docs", new_handler())
    if closed == "setup":
        auth.setup(child, validator)
    else:
        admins(child)
    app.add_subapp("/child", child)
    with pytest.raises(TypeError, match=naming("/child/docs")):
        auth.open_paths(app, "/child/docs")
    assert access(app)["/child/docs"] != "public"


def test_it_is_too_late_once_an_application_is_mounted(app: web.Application) -> None:
    web.Application().add_subapp("/child", app)
    for mark in (auth.open_paths, auth.protect_paths):
        with pytest.raises(TypeError):
            mark(app, "/child/docs")


async def test_without_setup_a_protected_path_answers_nobody(
    issuer: Issuer, aiohttp_client: Start, tmp_path: Path
) -> None:
    app = web.Application(middlewares=[errors_as_json])
    library(app, tmp_path)
    auth.protect_paths(app, "/docs")
    client = await aiohttp_client(ApiServer(app))
    assert await answers(client, issuer, "/docs") == (500, 500, 500)


async def test_a_preflight_of_a_protected_path_needs_no_token(
    app: web.Application, aiohttp_client: Start
) -> None:
    cors = aiohttp_cors.setup(app, defaults={"*": aiohttp_cors.ResourceOptions()})
    for route in list(app.router.routes()):
        cors.add(route)
    auth.protect_paths(app, "/docs", permissions={"admin"})
    client = await aiohttp_client(ApiServer(app))
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert await status(client, path="/docs", method="OPTIONS", headers=asked) == 200
    assert await status(client, path="/docs") == 401
