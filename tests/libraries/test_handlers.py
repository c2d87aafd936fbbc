"""Do marks hold beside libraries that a handler uses: templates, events, permissions, metrics?"""

from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.libraries import ORDERS, Judge, above, admins, in_order, library


def routed(
    validator: auth.TokenValidator, order: str, make: Any, decorator: Any = lambda handler: handler
) -> web.Application:
    app = web.Application()
    routes = [
        web.get("/reports", above(order, admins, decorator)(make())),
        web.get("/open", above(order, auth.public, decorator)(make())),
        web.get("/unmarked", decorator(make())),
    ]
    in_order(order, lambda: auth.setup(app, validator), lambda: app.add_routes(routes))
    return app


@pytest.mark.parametrize("order", ORDERS)
async def test_templates(validator: auth.TokenValidator, judge: Judge, order: str) -> None:
    jinja2, templates = library("jinja2"), library("aiohttp_jinja2")

    def make() -> Any:
        async def handler(request: web.Request) -> dict[str, str]:
            return {"name": request.path}

        return handler

    app = routed(validator, order, make, templates.template("hello"))
    templates.setup(app, loader=jinja2.DictLoader({"hello": "Hello, {{ name }}!"}))
    await judge(app, "aiohttp-jinja2", order)


@pytest.mark.parametrize("order", ORDERS)
async def test_events(validator: auth.TokenValidator, judge: Judge, order: str) -> None:
    sse_response = library("aiohttp_sse").sse_response

    def make() -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            async with sse_response(request) as response:
                await response.send("hello")
            return response  # type: ignore[no-any-return]

        return handler

    await judge(routed(validator, order, make), "aiohttp-sse", order)


@pytest.mark.parametrize("order", ORDERS)
async def test_permissions(validator: auth.TokenValidator, judge: Judge, order: str) -> None:
    security = library("aiohttp_security")
    policies = library("aiohttp_security.abc")
    identities: Any = policies.AbstractIdentityPolicy
    permissions: Any = policies.AbstractAuthorizationPolicy

    class ByToken(identities):  # type: ignore[misc]
        async def identify(self, request: web.Request) -> str | None:
            token = auth.token_or_none(request)
            return token.subject if token else None

        async def remember(self, *_arguments: object, **_named: object) -> None:
            raise NotImplementedError

        forget = remember

    class Everything(permissions):  # type: ignore[misc]
        async def authorized_userid(self, identity: str) -> str:
            return identity

        async def permits(self, identity: str | None, *_arguments: object) -> bool:
            return identity is not None

    def make() -> Any:
        async def handler(request: web.Request) -> web.Response:
            if auth.token_or_none(request):
                await security.check_permission(request, "read")
            return web.json_response(await security.authorized_userid(request))

        return handler

    app = routed(validator, order, make)
    security.setup(app, ByToken(), Everything())
    await judge(app, "aiohttp-security", order)


@pytest.mark.parametrize("order", ORDERS)
async def test_metrics(validator: auth.TokenValidator, judge: Judge, order: str) -> None:
    make = library("prometheus_client.aiohttp").make_aiohttp_handler
    app = routed(validator, order, make)
    app.router.add_get("/metrics", make())
    auth.protect_paths(app, "/metrics", permissions={"admin"})
    await judge(app, "prometheus-client", order)
    listed = {route.access for route in auth.routes(app) if route.path == "/metrics"}
    assert listed == {"permission admin"}
