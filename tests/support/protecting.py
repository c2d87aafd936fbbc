"""Routes of an application that is protected, and what they answer."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.api import ApiServer, Client, bearer

Serve = Callable[..., Awaitable[Client]]


@pytest.fixture
def serve(
    validator: auth.TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> Serve:
    """Serves routes in an application that is protected."""

    async def start(*routes: web.AbstractRouteDef) -> Client:
        app = web.Application()
        auth.setup(app, validator)
        app.add_routes(routes)
        return await aiohttp_client(ApiServer(app))

    return start


async def status(client: Client, token: str | None = None, path: str = "/", **options: Any) -> int:
    options.setdefault("method", "GET")
    headers = {**(bearer(token) if token else {}), **options.pop("headers", {})}
    async with client.request(path=path, headers=headers, **options) as response:
        return response.status


def new_handler() -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({})

    return handler
