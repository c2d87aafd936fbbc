"""Do marks hold beside aiohttp-apigami and aiohttp-apispec, whose middleware reads schemas?"""

import os
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.libraries import ORDERS, Judge, above, admins, in_order, library
from support.protecting import status

# test_apart.py names the other one, which wants other versions of what both need.
NAME = os.environ.get("SCHEMAS_OF", "aiohttp-apigami")
apigami = library(NAME.replace("-", "_"))
# It keeps its parser under a text, not under a web.AppKey.
pytestmark = pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
marshmallow = library("marshmallow")
Reports = marshmallow.Schema.from_dict({"number": marshmallow.fields.Int(required=True)})


def documented(handler: Any) -> Any:
    return apigami.docs(summary="Reports")(apigami.querystring_schema(Reports)(handler))


def new() -> Any:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(request["querystring"])

    return handler


def view(mark: Any, order: str) -> Any:
    class View(web.View):
        async def get(self) -> web.Response:
            return web.json_response(self.request["querystring"])

    View.get = above(order, mark, documented)(View.get)  # type: ignore[method-assign]
    return View


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["function", "View"])
async def test_marks(validator: auth.TokenValidator, judge: Judge, order: str, kind: str) -> None:
    def handler(mark: Any) -> Any:
        return view(mark, order) if kind == "View" else above(order, mark, documented)(new())

    app = web.Application()
    method = "*" if kind == "View" else "GET"
    app.router.add_route(method, "/reports", handler(admins))
    app.router.add_route(method, "/open", handler(auth.public))
    app.router.add_route(method, "/unmarked", handler(lambda handler: handler))
    app.middlewares.append(missing_is_seven)
    in_order(
        order,
        lambda: auth.setup(app, validator),
        lambda: app.middlewares.append(apigami.validation_middleware),
    )
    apigami.setup_aiohttp_apispec(app, swagger_path="/api/docs")
    auth.open_paths(app, "/api/docs/swagger.json", "/api/docs", "/static/swagger")
    client = await judge(app, NAME, order, "/reports?number=7")
    for path in ("/api/docs/swagger.json", "/api/docs", "/static/swagger/swagger-ui.css"):
        assert await status(client, path=path) == 200
    # What is invalid is told to strangers if it is looked at first.
    wrong = await status(client, path="/reports?number=seven")
    assert wrong == (401 if order == "first" else 422)


@web.middleware
async def missing_is_seven(request: web.Request, handler: Any) -> Any:
    """Lets /open and /unmarked be asked without a query."""
    if request.query or request.path.startswith(("/api", "/static")):
        return await handler(request)
    raise web.HTTPTemporaryRedirect(f"{request.path}?number=7")
