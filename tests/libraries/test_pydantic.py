"""Do marks hold beside aiohttp-pydantic, which calls handlers without their request?"""

from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.libraries import ORDERS, Judge, above, admins, in_order, library
from support.protecting import status

NAME = "aiohttp-pydantic"
pydantic_views = library("aiohttp_pydantic")
inject = library("aiohttp_pydantic.decorator").inject_params
PydanticView: Any = pydantic_views.PydanticView
oas = library("aiohttp_pydantic.oas")


def injected() -> Any:
    async def handler(number: int = 0) -> web.Response:
        return web.json_response(number)

    return handler


def with_request() -> Any:
    async def handler(request: web.Request, number: int = 0) -> web.Response:
        return web.json_response([number, request.path])

    return handler


def view(mark_class: Any = lambda view: view, mark_method: Any = lambda method: method) -> Any:
    class View(PydanticView):  # type: ignore[misc]
        @mark_method  # type: ignore[untyped-decorator]
        async def get(self, number: int = 0) -> web.Response:
            return web.json_response([number, self.request.path])

    return mark_class(View)


def app_of(
    validator: auth.TokenValidator, order: str, reports: Any, opened: Any, unmarked: Any
) -> web.Application:
    app = web.Application()
    routes = [("/reports", reports), ("/open", opened), ("/unmarked", unmarked)]
    in_order(
        order,
        lambda: auth.setup(app, validator),
        lambda: [app.router.add_route("*", path, handler) for path, handler in routes],
    )
    return app


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["injected", "with_request"])
async def test_functions(
    validator: auth.TokenValidator, judge: Judge, order: str, kind: str
) -> None:
    new, decorator = {
        "injected": (injected, inject),
        "with_request": (with_request, inject.and_request),
    }[kind]
    reports = above(order, admins, decorator)(new())
    opened = above(order, auth.public, decorator)(new())
    app = app_of(validator, order, reports, opened, decorator(new()))
    client = await judge(app, NAME, order)
    assert await status(client, path="/open?number=seven") == 400


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("where", ["class", "method"])
async def test_views(validator: auth.TokenValidator, judge: Judge, order: str, where: str) -> None:
    def marked(mark: Any) -> Any:
        return view(mark) if where == "class" else view(mark_method=mark)

    app = app_of(validator, order, marked(admins), marked(auth.public), view())
    await judge(app, NAME, order)


async def test_its_documents_can_be_opened(validator: auth.TokenValidator, judge: Judge) -> None:
    app = app_of(validator, "first", view(admins), view(auth.public), view())
    oas.setup(app)
    auth.open_paths(app, "/oas", "/oas/spec")
    client = await judge(app, NAME, "first")
    assert {await status(client, path=path) for path in ("/oas", "/oas/spec")} == {200}
