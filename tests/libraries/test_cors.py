"""Do marks hold beside aiohttp-cors, and where does a page have to do without its headers?"""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import ClientConnectionError, web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.libraries import ORDERS, Judge, admins, in_order, usual_routes
from support.protecting import status

NAME = "aiohttp-cors"
ORIGIN = "https://app.example"
Start = Callable[[ApiServer], Awaitable[Client]]


def allow(app: web.Application) -> None:
    options = aiohttp_cors.ResourceOptions(allow_headers=("Authorization",))
    cors = aiohttp_cors.setup(app, defaults={ORIGIN: options})
    for route in list(app.router.routes()):
        cors.add(route)


def asking(method: str = "GET") -> dict[str, str]:
    return {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "Authorization",
    }


async def allowed(client: Client, path: str, token: str | None = None, **options: Any) -> int:
    """The status, negative if the answer is not for the page."""
    options.setdefault("headers", {"Origin": ORIGIN})
    options["headers"] |= bearer(token) if token else {}
    async with client.request(options.pop("method", "GET"), path, **options) as response:
        readable = response.headers.get("Access-Control-Allow-Origin") == ORIGIN
        return response.status if readable else -response.status


@pytest.mark.parametrize("order", ORDERS)
async def test_marks(
    validator: auth.TokenValidator, judge: Judge, issuer: Issuer, order: str
) -> None:
    app = web.Application()
    app.add_routes(usual_routes())
    in_order(order, lambda: auth.setup(app, validator), lambda: allow(app))
    client = await judge(app, NAME, order)
    assert await allowed(client, "/reports") == 401
    assert await allowed(client, "/reports", issuer.mint()) == 403
    assert await allowed(client, "/reports", method="OPTIONS", headers=asking()) == 200
    assert await allowed(client, "/nowhere") == -404
    assert await allowed(client, "/reports", method="PUT") == -405


class Report(web.View, aiohttp_cors.CorsViewMixin):
    async def _get(self) -> web.Response:
        return web.json_response({})

    get = admins(_get)


async def test_a_view_drops_the_connection_for_a_method_that_it_lacks(
    validator: auth.TokenValidator,
    issuer: Issuer,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
) -> None:
    """aiohttp-cors looks for the method when an answer leaves, a refusal too."""
    app = web.Application()
    app.router.add_view("/report", Report)
    auth.setup(app, validator)
    allow(app)
    client = await aiohttp_client(app)  # hello.server would answer 500
    assert await allowed(client, "/report") == 401
    for token in (None, issuer.mint()):
        with pytest.raises(ClientConnectionError):
            await status(client, token, "/report", method="PUT", headers={"Origin": ORIGIN})


async def test_a_view_is_added_method_by_method_instead(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = web.Application()
    app.router.add_get("/report", Report)
    auth.setup(app, validator)
    allow(app)
    client = await aiohttp_client(ApiServer(app))
    assert await allowed(client, "/report", issuer.mint()) == 403
    assert await allowed(client, "/report", issuer.mint(), method="PUT") == -405


def test_a_route_for_all_methods_cannot_be_added() -> None:
    app = web.Application()
    app.router.add_route("*", "/", usual_routes()[0].handler)
    with pytest.raises(ValueError, match=r"\*"):
        allow(app)
