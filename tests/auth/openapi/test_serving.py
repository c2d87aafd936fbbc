"""Is the document of an application served, to everybody and as `openapi` returns it?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.openapi.schemes import BEARER
from support.api import ApiServer, Client
from support.openapi import guarded, valid
from support.protecting import new_handler

AiohttpClient = Callable[[ApiServer], Awaitable[Client]]
OWN: dict[str, Any] = {"info": {"title": "Reports", "version": "2"}}


@pytest.mark.parametrize("authorization", [{}, {"Authorization": "Bearer nonsense"}])
async def test_everybody_gets_it(
    aiohttp_client: AiohttpClient, authorization: dict[str, str]
) -> None:
    app = guarded()
    auth.serve_openapi(app, document=OWN)
    app.router.add_get("/added-later", new_handler())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/openapi.json", headers=authorization) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        document = valid(await response.json())
    assert document == auth.openapi(app) == auth.openapi(app, OWN)
    assert document["info"] == OWN["info"]
    assert list(document["paths"]) == ["/openapi.json", "/added-later"]
    assert document["paths"]["/openapi.json"]["get"]["security"] == []


async def test_two_applications_serve_two(aiohttp_client: AiohttpClient) -> None:
    app, inner = guarded(), guarded(web.get("/", new_handler()))
    auth.serve_openapi(inner, "/theirs.json", OWN)
    app.add_subapp("/inner", inner)
    auth.serve_openapi(app, "/ours.json")
    client = await aiohttp_client(ApiServer(app))
    titles = []
    for path in ("/ours.json", "/inner/theirs.json"):
        async with client.get(path) as response:
            titles.append((await response.json())["info"]["title"])
    assert titles == ["API", "Reports"]


async def test_what_is_given_can_be_changed_afterwards(aiohttp_client: AiohttpClient) -> None:
    app, own = guarded(), {"info": {"title": "Reports", "version": "2"}}
    auth.serve_openapi(app, document=own)
    own["info"]["title"] = "Changed"
    assert auth.openapi(app)["info"]["title"] == "Reports"


async def test_a_mistake_is_told_when_the_application_starts() -> None:
    app = guarded(web.get("/", new_handler()))
    public: dict[str, Any] = {"paths": {"/": {"get": {"security": []}}}}
    auth.serve_openapi(app, document=public)
    runner = web.AppRunner(app)
    with pytest.raises(auth.SecurityContradictionError):
        await runner.setup()
    await runner.cleanup()
    marked: dict[str, Any] = {"paths": {"/": {"get": {"security": [{BEARER: []}]}}}}
    assert auth.openapi(app, marked)["paths"]["/"]["get"]["security"] == [{BEARER: []}]
