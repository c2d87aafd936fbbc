"""Does the document of a sub-application say what a request to it really meets?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.openapi.schemes import BEARER, DPOP, ISSUER
from support.api import ApiServer, Client
from support.openapi import answers, foreign, guarded, names, valid
from support.protecting import new_handler

AiohttpClient = Callable[[ApiServer], Awaitable[Client]]
admins: Any = auth.protected(permissions={"admin"})
OTHER = "https://b.example/t"


def part(*routes: web.AbstractRouteDef, setup: bool = False, **given: Any) -> web.Application:
    """A sub-application that serves its document, perhaps with a validator of its own."""
    if setup:
        app = guarded(*routes, validator=auth.TokenValidator(issuer=OTHER, audience="b"))
    else:
        app = web.Application()
        app.add_routes(routes)
    auth.serve_openapi(app, **given)
    return app


async def served(client: Client, path: str = "/part/openapi.json", **headers: str) -> Any:
    async with client.get(path, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-cache"
        return valid(await response.json())


@pytest.mark.parametrize("setup", [False, True])
@pytest.mark.parametrize("late", [False, True])
async def test_marks_around_it_count(
    aiohttp_client: AiohttpClient, *, setup: bool, late: bool
) -> None:
    app, middle = admins(web.Application()), auth.protected(scopes={"b"})(web.Application())
    validator = auth.TokenValidator(issuer="https://id.example.com/", audience="api")
    child = part(web.get("/", new_handler()), setup=setup)
    if not late:
        auth.setup(app, validator, public_url="https://api.example.com/v1")
    middle.add_subapp("/deeper", child)
    app.add_subapp("/part", middle)
    if late:
        auth.setup(app, validator, public_url="https://api.example.com/v1")
    client = await aiohttp_client(ApiServer(app))
    document = await served(client, "/part/deeper/openapi.json")
    path = "/part/deeper/"
    assert names(document, path) == [
        {BEARER: ["admin", "b"]},
        {DPOP: ["admin", "b"]},
        {ISSUER: ["b"]},
    ]
    assert answers(document, path) == {"default", "401", "403", "503"}
    assert list(document["paths"]) == [path, "/part/deeper/openapi.json"]
    issuer = document["components"]["securitySchemes"][ISSUER]["openIdConnectUrl"]
    assert issuer.startswith(OTHER) is setup
    assert ("servers" in document) is not setup
    assert document == auth.openapi(child)
    said = {route.path: route.access for route in auth.routes(child) if route.method == "GET"}
    assert said[path] == "scope b, permission admin"
    assert said == {route.path: route.access for route in auth.routes(app) if route.method == "GET"}
    new = auth.add_security(foreign("3.1.0", ("get", path)), child)
    assert names(new, path) == names(document, path)


@pytest.mark.parametrize(("written", "agrees"), [(["admin"], True), (["other"], False)])
async def test_what_is_written_by_hand_is_compared_with_all_marks_at_the_start(
    written: list[str], *, agrees: bool
) -> None:
    own = {"paths": {"/part/": {"get": {"security": [{BEARER: written}]}}}}
    app = admins(guarded())
    app.add_subapp("/part", part(web.get("/", new_handler()), setup=True, document=own))
    runner = web.AppRunner(app)
    if agrees:
        await runner.setup()
    else:
        with pytest.raises(auth.SecurityContradictionError):
            await runner.setup()
    await runner.cleanup()


def test_marks_around_it_count_without_setup_there() -> None:
    app, child = admins(web.Application()), part(web.get("/", new_handler()), setup=True)
    app.add_subapp("/part", child)
    assert names(valid(auth.openapi(child)), "/part/")[0] == {BEARER: ["admin"]}


async def test_without_setup_in_it_and_around_it_the_start_fails() -> None:
    app = web.Application()
    app.add_subapp("/part", part(web.get("/", new_handler())))
    runner = web.AppRunner(app)
    with pytest.raises(RuntimeError, match=r"auth\.setup"):
        await runner.setup()
    await runner.cleanup()


async def test_an_application_in_two_places_has_two_documents(
    aiohttp_client: AiohttpClient,
) -> None:
    app, child = guarded(), part(web.get("/x", new_handler()))
    for name in ("a", "b"):
        middle = auth.protected(scopes={name})(web.Application())
        middle.add_domain(f"{name}.example", child)
        app.add_domain(f"{name}.example", middle)
    client = await aiohttp_client(ApiServer(app))
    for name in ("a", "b"):
        document = await served(client, "/openapi.json", Host=f"{name}.example")
        assert names(document, "/x")[0] == {BEARER: [name]}
    assert [route.access for route in auth.routes(child) if "x" in route.path] == [
        *(["scope a", "scope b"] * 2)  # GET and HEAD
    ]


async def test_an_application_around_it_that_has_no_say_makes_no_difference(
    aiohttp_client: AiohttpClient,
) -> None:
    """Even if another one has a say, in which it is as well."""
    root, other = web.Application(), admins(guarded())
    child = part(web.get("/x", new_handler()), setup=True)
    for app in (root, other):
        app.add_domain("part.example", child)
    client = await aiohttp_client(ApiServer(root))
    document = await served(client, "/openapi.json", Host="part.example")
    assert names(document, "/x")[0] == {BEARER: []}


async def test_the_document_of_an_application_without_routes_is_empty() -> None:
    assert valid(auth.openapi(guarded()))["paths"] == {}
