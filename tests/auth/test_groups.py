"""What do the groups that a handler stands in ask of it: a table, a sub-application, all?"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.marks import APPLICATION_MARK, MARK
from hello.auth.routes import policy_of
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.naming import naming
from support.protecting import Serve, new_handler, status

Start = Callable[[web.Application], Awaitable[Client]]
wrongly: Any = auth.protected
READ, WRITE, OWN = "read:reports", "write:reports", "own:reports"


class Reports(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.protected(permissions={WRITE})
    async def post(self) -> web.Response:
        return web.json_response({})

    @auth.public
    async def put(self) -> web.Response:
        return web.json_response({})


@pytest.fixture
def start(
    validator: auth.TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> Start:
    async def started(app: web.Application) -> Client:
        auth.setup(app, validator)
        return await aiohttp_client(ApiServer(app))

    return started


async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.close()
    return response


def marked(mark: Any, group: Any) -> Any:
    return group if mark is None else mark(group)


def asks(*permissions: str) -> Callable[[Any], Any]:
    return auth.protected(permissions=permissions)


# marks of the application, the sub-application, the table, the handler; then the statuses
# without a token, with one, with one that may read, with one that may read and write
WHO_MAY = [
    (None, None, None, None, (401, 200, 200, 200)),
    (None, None, asks(READ), None, (401, 403, 200, 200)),
    (None, asks(READ), None, None, (401, 403, 200, 200)),
    (asks(READ), None, None, None, (401, 403, 200, 200)),
    # They add up.
    (asks(READ), None, None, asks(WRITE), (401, 403, 403, 200)),
    (asks(READ), asks(WRITE), None, None, (401, 403, 403, 200)),
    (None, asks(READ), asks(WRITE), None, (401, 403, 403, 200)),
    (None, None, asks(READ), auth.protected, (401, 403, 200, 200)),
    (None, asks(READ), auth.protected, auth.protected, (401, 403, 200, 200)),
    # The nearest one says whether a token is asked for at all.
    (asks(READ), asks(READ), asks(READ), auth.public, (200, 200, 200, 200)),
    (asks(READ), asks(READ), auth.public, None, (200, 200, 200, 200)),
    (asks(READ), auth.public, None, None, (200, 200, 200, 200)),
    (None, auth.public, auth.protected, None, (401, 200, 200, 200)),
    (None, auth.public, None, auth.protected, (401, 200, 200, 200)),
    (asks(WRITE), auth.public, None, asks(READ), (401, 403, 403, 200)),
    (None, None, auth.public, asks(READ), (401, 403, 200, 200)),
    # Where it is optional, what is asked for is asked of a token that is sent.
    (asks(READ), auth.optional, None, None, (200, 403, 200, 200)),
    (asks(READ), None, asks(WRITE), auth.optional, (200, 403, 403, 200)),
    (None, asks(READ), auth.optional, None, (200, 403, 200, 200)),
    (auth.protected, None, None, auth.optional, (200, 200, 200, 200)),
    (asks(READ), auth.public, auth.optional, None, (200, 403, 200, 200)),
    (asks(READ), auth.optional, auth.public, None, (200, 200, 200, 200)),
    (asks(READ), None, auth.optional, asks(WRITE), (401, 403, 403, 200)),
]


@pytest.mark.parametrize(("whole", "part", "table", "own", "expected"), WHO_MAY)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_groups_ask_for_adds_up_and_the_nearest_opens(
    start: Start,
    issuer: Issuer,
    whole: Any,
    part: Any,
    table: Any,
    own: Any,
    expected: tuple[int, ...],
    method: str,
) -> None:
    app, child = marked(whole, web.Application()), marked(part, web.Application())
    routes = marked(table, auth.RouteTable())
    routes.get("/{number}/")(marked(own, new_handler()))
    child.add_routes(routes)
    app.add_subapp("/reports", child)
    client = await start(app)
    tokens = [
        None,
        issuer.mint(),
        issuer.mint(claims={"permissions": [READ]}),
        issuer.mint(claims={"permissions": [READ, WRITE]}),
    ]
    got = [await status(client, token, path="/reports/7/", method=method) for token in tokens]
    assert tuple(got) == expected
    assert await status(client, path="/reports/7/", method="DELETE") == 405
    assert await status(client, path="/reports/") == 404


@pytest.mark.parametrize("where", ["application", "table"])
async def test_a_group_holds_views_files_and_sockets(
    start: Start, issuer: Issuer, tmp_path: Path, where: str
) -> None:
    (tmp_path / "file.txt").write_text("hello")
    group = asks(READ)
    app, routes = web.Application(), auth.RouteTable()
    (group(app) if where == "application" else group(routes)).__class__  # noqa: B018 - in place
    routes.view("/view")(Reports)
    routes.static("/files", tmp_path)
    routes.get("/socket")(socket)
    routes.route("*", "/any")(new_handler())
    app.add_routes(routes)
    client = await start(app)
    tokens = [None, *(issuer.mint(claims={"permissions": p}) for p in ([], [READ], [READ, WRITE]))]
    for path, method, expected in [
        ("/view", "GET", (401, 403, 200, 200)),
        ("/view", "POST", (401, 403, 403, 200)),
        ("/view", "PUT", (200, 200, 200, 200)),
        ("/view", "PATCH", (401, 403, 405, 405)),
        ("/files/file.txt", "GET", (401, 403, 200, 200)),
        ("/files/file.txt", "HEAD", (401, 403, 200, 200)),
        ("/socket", "GET", (401, 403, 400, 400)),
        ("/any", "PATCH", (401, 403, 200, 200)),
    ]:
        got = [await status(client, token, path=path, method=method) for token in tokens]
        assert tuple(got) == expected, (path, method)
    async with client.ws_connect(
        "/socket", headers={"Authorization": f"Bearer {tokens[2]}"}
    ) as opened:
        assert not opened.closed


async def test_a_table_opens_files(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("hello")
    routes = auth.public(auth.RouteTable())
    routes.static("/files", tmp_path)
    app = web.Application()
    app.add_routes(routes)
    client = await start(app)
    assert await status(client, path="/files/file.txt") == 200


async def test_a_mark_of_one_table_is_not_anothers(start: Start, issuer: Issuer) -> None:
    """One handler in two tables, one path in two tables, and all of one as a list."""
    handler = new_handler()
    narrow, wide = asks(READ)(auth.RouteTable()), auth.RouteTable()
    narrow.get("/narrow")(handler)
    wide.get("/wide")(handler)
    wide.post("/both")(new_handler())
    narrow.get("/both")(handler)
    app = web.Application()
    app.add_routes([*wide, *narrow[1:], narrow[0]])
    client = await start(app)
    for path, method, expected in [
        ("/narrow", "GET", 403),
        ("/wide", "GET", 200),
        ("/both", "GET", 403),
        ("/both", "HEAD", 403),
        ("/both", "POST", 200),
    ]:
        assert await status(client, issuer.mint(), path=path, method=method) == expected


async def test_requirements_of_nested_sub_applications_add_up(start: Start, issuer: Issuer) -> None:
    app, child, grandchild = asks(READ)(web.Application()), web.Application(), web.Application()
    asks(WRITE)(child)
    asks(OWN)(grandchild)
    grandchild.router.add_get("/", new_handler())
    child.add_subapp("/deeper", grandchild)
    app.add_subapp("/deep", child)
    client = await start(app)
    for lacking in (READ, WRITE, OWN, None):
        permissions = [name for name in (READ, WRITE, OWN) if name != lacking]
        token = issuer.mint(claims={"permissions": permissions})
        expected = 200 if lacking is None else 403
        assert await status(client, token, path="/deep/deeper/") == expected


async def test_a_group_without_setup_around_it_is_asked_too(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
) -> None:
    """The marks of the applications around one with setup count."""
    root, child = asks(READ)(web.Application()), web.Application()
    auth.setup(child, validator)
    child.router.add_get("/", new_handler())
    root.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(root))
    assert await status(client, issuer.mint(), path="/child/") == 403


async def test_the_list_of_routes_says_what_groups_ask_for(validator: auth.TokenValidator) -> None:
    app, child = web.Application(), asks(READ)(web.Application())
    auth.setup(app, validator)
    routes = asks(WRITE)(auth.RouteTable())
    routes.post("/")(new_handler())
    routes.get("/open", allow_head=False)(auth.public(new_handler()))
    child.add_routes(routes)
    app.add_subapp("/reports", child)
    closed, opened = auth.routes(app)
    assert closed[:2] == ("POST", "/reports/")
    assert re.search(naming(WRITE, READ), closed.access)
    assert opened == ("GET", "/reports/open", "public")


class OwnTable(web.RouteTableDef):
    pass


def full_table() -> web.RouteTableDef:
    routes = auth.RouteTable()
    routes.get("/")(new_handler())
    return routes


def app_with_setup() -> web.Application:
    app = web.Application()
    validator = auth.TokenValidator(issuer="https://tenant.eu.auth0.com/", audience="a")
    auth.setup(app, validator)
    return app


@pytest.mark.parametrize(
    ("mark", "named"),
    [
        (lambda: asks(READ)(full_table()), ["@protected"]),
        (lambda: asks(READ)(OwnTable()), ["web.RouteTableDef", "auth.RouteTable"]),
        (lambda: asks(READ)(auth.public(auth.RouteTable())), ["@protected", "@public"]),
        (lambda: auth.public(asks(READ)(web.Application())), ["@protected", "@public"]),
        (lambda: auth.public(app_with_setup()), ["auth.setup"]),
        (lambda: auth.optional(app_with_setup()), ["auth.setup"]),
        (lambda: wrongly({READ}), [f"@protected(permissions={{'{READ}'}})"]),
        (lambda: wrongly([READ]), [f"@protected(permissions=['{READ}'])"]),
        (lambda: wrongly(scope={READ}), ["scope"]),
        (lambda: wrongly(permission={READ}), ["permission"]),
        (lambda: wrongly(xyz=1), ["xyz"]),
        (lambda: auth.protected(scopes={"a b"}), ["scopes", "'a b'"]),
        (lambda: auth.protected(any_scope=['"']), ["any_scope", "'\"'"]),
        (lambda: auth.protected(acr_values=["a\x7f"]), ["acr_values", repr("a\x7f")]),
    ],
)
def test_a_mistake_in_marking_a_group_is_told_at_import(
    mark: Callable[[], Any], named: list[str]
) -> None:
    with pytest.raises(TypeError, match=naming(*named)):
        mark()


@pytest.mark.parametrize("mark", [auth.public, auth.optional])
def test_setup_refuses_an_application_that_is_opened_as_a_whole(
    validator: auth.TokenValidator, mark: Callable[[web.Application], web.Application]
) -> None:
    app = mark(web.Application())
    with pytest.raises(TypeError, match=naming("auth.setup")):
        auth.setup(app, validator)


def test_marking_a_group_twice_alike_is_no_mistake() -> None:
    routes, app = auth.RouteTable(), web.Application()
    assert asks(READ)(asks(READ)(routes)) is routes
    assert asks(READ)(asks(READ)(app)) is app
    assert policy_of(app.router.add_get("/", new_handler()), "GET", [app]).requirements


async def test_marks_keep_their_hands_off_unprotected_tables(serve: Serve) -> None:
    routes = auth.RouteTable()
    routes.get("/")(auth.public(new_handler()))
    assert await status(await serve(*routes)) == 200


async def test_a_decorator_that_is_used_for_several_targets_asks_once_and_marks_each(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Any
) -> None:
    """If they had the same mark, the guard of one would be satisfied by that of another."""
    asked: list[object] = []

    def check(token: auth.AccessToken) -> bool:
        asked.append(token.subject)
        return True

    mine = auth.protected(permissions={"p"}, check=check)
    handler, part, app = mine(new_handler()), mine(web.Application()), web.Application()
    assert getattr(handler, MARK) is not part[APPLICATION_MARK]
    part.router.add_get("/", handler)
    auth.setup(app, validator)
    app.add_subapp("/part", part)
    assert {each.access for each in auth.routes(app)} == {"permission p, check check"}
    client = await aiohttp_client(app)
    token = issuer.mint(claims={"permissions": ["p"]})
    assert await status(client, token, "/part/") == 200
    assert len(asked) == 1
