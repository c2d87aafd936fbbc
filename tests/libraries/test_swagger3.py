"""Do marks hold beside aiohttp-swagger3, which calls handlers by keywords, out of a partial?"""

from types import FunctionType
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.libraries import ORDERS, Judge, admins, in_order, library
from support.protecting import status

NAME = "aiohttp-swagger3"
swagger3 = library("aiohttp_swagger3")
# It keeps its document under a text, not under a web.AppKey.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
SPEC = """
    ---
    parameters:
      - {name: number, in: query, schema: {type: integer}}
    responses: {'200': {description: ok}}
"""
DOCS = ("/docs", "/docs/", "/docs/swagger.json", "/docs/swagger_ui_static")


def documented(handler: Any) -> Any:
    handler.__doc__ = SPEC
    return handler


def with_request() -> Any:
    async def handler(request: web.Request, number: int = 0) -> web.Response:
        return web.json_response([number, request.path])

    return documented(handler)


def without_request() -> Any:
    async def handler(number: int = 0) -> web.Response:
        return web.json_response(number)

    return documented(handler)


def without_document() -> Any:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(request.path)

    return handler


def swagger_of(app: web.Application) -> Any:
    return swagger3.SwaggerDocs(
        app,
        info=swagger3.SwaggerInfo(title="Reports", version="1"),
        swagger_ui_settings=swagger3.SwaggerUiSettings(path="/docs"),
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("new", [with_request, without_request, without_document])
async def test_functions(
    validator: auth.TokenValidator, judge: Judge, order: str, new: Any
) -> None:
    app = web.Application()
    in_order(
        order,
        lambda: auth.setup(app, validator),
        lambda: swagger_of(app).add_routes(
            [
                web.get("/reports", admins(new())),
                web.get("/open", auth.public(new())),
                web.get("/unmarked", new()),
            ]
        ),
    )
    client = await judge(app, NAME, order)
    assert {await status(client, path=path) for path in DOCS[1:3]} == {401}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("around", ["method", "class"])
async def test_views(validator: auth.TokenValidator, judge: Judge, order: str, around: str) -> None:
    async def get(self: web.View, number: int = 0) -> web.Response:
        return web.json_response([number, self.request.path])

    def view(mark: Any) -> Any:
        copy = documented(FunctionType(get.__code__, globals(), "get", get.__defaults__))
        if around == "method":
            return type("View", (web.View,), {"get": mark(copy)})
        return mark(type("View", (web.View,), {"get": copy}))

    app = web.Application()
    in_order(
        order,
        lambda: auth.setup(app, validator),
        lambda: swagger_of(app).add_routes(
            [
                web.view("/reports", view(admins)),
                web.view("/open", view(auth.public)),
                web.view("/unmarked", view(lambda handler: handler)),
            ]
        ),
    )
    await judge(app, NAME, order)


# It returns a redirect, where aiohttp wants it raised.
@pytest.mark.filterwarnings("ignore:returning HTTPException object")
async def test_its_documents_can_be_opened(validator: auth.TokenValidator, judge: Judge) -> None:
    app = web.Application()
    auth.setup(app, validator)
    routes = [web.get("/reports", admins(with_request())), web.get("/unmarked", with_request())]
    swagger_of(app).add_routes([*routes, web.get("/open", auth.public(without_request()))])
    auth.open_paths(app, *DOCS)
    client = await judge(app, NAME, "first")
    for path in ("/docs", "/docs/", "/docs/swagger.json", "/docs/swagger_ui_static/swagger-ui.css"):
        assert await status(client, path=path) == 200
