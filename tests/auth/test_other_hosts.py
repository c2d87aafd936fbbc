"""Can the routes of an application for a host of its own be told from the others, and named?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, MatchedSubAppResource

from hello import auth
from hello.auth.openapi.schemes import BEARER
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.openapi import foreign, names, valid
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
HOST = {"Host": "admin.example.com"}


@pytest.fixture
def app(validator: auth.TokenValidator) -> web.Application:
    """Has the same path on three hosts, and deeper in one of them."""
    app, admin, tenants, deeper = (web.Application() for _ in range(4))
    auth.setup(app, validator)
    for each in (app, admin, tenants, deeper):
        each.router.add_post("/users", new_handler())
    admin.add_subapp("/deeper", deeper)
    app.add_domain("Admin.example.com", admin)
    app.add_domain("*.tenants.example:8080", tenants)
    return app


def listed(app: web.Application) -> dict[str, str]:
    return {route.path: route.access for route in auth.routes(app)}


def test_a_path_begins_with_its_host(app: web.Application) -> None:
    assert list(listed(app)) == [
        "*.tenants.example:8080/users",
        "/users",
        "admin.example.com/deeper/users",
        "admin.example.com/users",
    ]


async def test_a_path_is_named_with_its_host(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    auth.open_paths(app, "admin.example.com/users")
    auth.protect_paths(app, "admin.example.com/deeper/users", permissions={"admin"})
    assert listed(app) == {
        "*.tenants.example:8080/users": "a valid token",
        "/users": "a valid token",
        "admin.example.com/deeper/users": "permission admin",
        "admin.example.com/users": "public",
    }
    client = await aiohttp_client(ApiServer(app))
    for path, host, anybody, anyone_known in (
        ("/users", {}, 401, 200),
        ("/users", HOST, 200, 200),
        ("/users", {"Host": "a.tenants.example:8080"}, 401, 200),
        ("/deeper/users", HOST, 401, 403),
    ):
        for token, expected in ((None, anybody), (issuer.mint(), anyone_known)):
            assert await status(client, token, path, method="POST", headers=dict(host)) == expected


@pytest.mark.parametrize(
    "path", ["/deeper/users", "//admin.example.com/users", "admin.example.com", "example.com/users"]
)
def test_a_path_of_another_host_is_not_found_without_it(app: web.Application, path: str) -> None:
    with pytest.raises(ValueError, match=r"auth\.routes"):
        auth.open_paths(app, path)


class FromLocalhost(AbstractRuleMatching):
    """A rule of an application's own."""

    canonical = "from localhost"

    async def match(self, request: web.Request) -> bool:
        return request.remote == "127.0.0.1"

    def get_info(self) -> Any:
        return {}


def test_a_rule_of_ones_own_is_named_as_it_calls_itself(validator: auth.TokenValidator) -> None:
    app, child = web.Application(), web.Application()
    auth.setup(app, validator)
    child.router.add_post("/users", new_handler())
    app.router.register_resource(MatchedSubAppResource(FromLocalhost(), child))
    assert list(listed(app)) == ["from localhost/users"]


def test_a_document_does_not_name_other_hosts(app: web.Application) -> None:
    document = valid(auth.openapi(app))
    assert list(document["paths"]) == ["/users"]
    assert "example" not in str(document["paths"])
    assert auth.openapi_gaps(document, app) == ([], [])


async def test_each_host_serves_a_document_of_its_own(
    validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    app, admin = web.Application(), web.Application()
    auth.setup(app, validator)
    admin.router.add_post("/drop", auth.protected(scopes={"admin"})(new_handler()))
    app.router.add_post("/drop", auth.public(new_handler()))
    auth.serve_openapi(admin)
    app.add_domain("admin.example.com", admin)
    auth.serve_openapi(app)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/openapi.json") as response:
        ours = valid(await response.json())
    async with client.get("/openapi.json", headers=HOST) as response:
        theirs = valid(await response.json())
    assert names(ours, "/drop", "post") == []
    assert names(theirs, "/drop", "post")[0] == {BEARER: ["admin"]}
    assert auth.openapi_gaps(theirs, admin) == ([], [])
    assert auth.openapi_gaps(ours, app) == ([], [])


def test_the_document_of_a_library_is_about_one_host(app: web.Application) -> None:
    document = foreign("3.1.0", ("post", "/users"), ("post", "/deeper/users"))
    new = auth.add_security(document, app)
    assert names(new, "/users", "post")
    assert "security" not in new["paths"]["/deeper/users"]["post"]
