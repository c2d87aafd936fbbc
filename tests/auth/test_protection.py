"""Which handlers are open, and which only to whom?"""

import functools
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import web
from aiohttp.abc import AbstractView

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ORIGIN, ApiServer, Client, bearer
from support.naming import naming
from support.protecting import Serve, new_handler, status

wrongly: Any = auth.protected
READ, WRITE = "read:reports", "write:reports"


class Hello:
    @auth.public
    async def open(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def closed(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    @auth.protected(permissions={READ})
    async def narrow(self, _request: web.Request) -> web.Response:
        return web.json_response({})


class UnmarkedView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})


@auth.public
class PublicView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.protected(permissions={WRITE})
    async def post(self) -> web.Response:
        return web.json_response({})


class HeirOfPublicView(PublicView):
    pass


@auth.public
class PublicHeirOfPublicView(PublicView):
    pass


class OpenGetView(web.View):
    @auth.public
    async def get(self) -> web.Response:
        return web.json_response({})


class HeirOfOpenGetView(OpenGetView):
    pass


@auth.protected(permissions={READ})
class GuardedHeirOfOpenGetView(OpenGetView):
    pass


class ReadersGetView(web.View):
    @auth.protected(permissions={READ})
    async def get(self) -> web.Response:
        return web.json_response({})


class BareReadersView(AbstractView):
    """A View of another make than aiohttp's own."""

    def __await__(self) -> Generator[Any, None, web.StreamResponse]:
        return self.get().__await__()

    @auth.protected(permissions={READ})
    async def get(self) -> web.StreamResponse:
        return web.json_response({})


class OverriddenReadersGetView(ReadersGetView):
    async def get(self) -> web.Response:
        return await super().get()


@auth.protected(permissions={WRITE})
class WritersReadersGetView(ReadersGetView):
    @auth.protected
    async def get(self) -> web.Response:
        return web.json_response({})


@auth.protected(permissions={READ})
class ReadersView(web.View):
    async def get(self) -> web.Response:
        return web.json_response({})

    @auth.public
    async def post(self) -> web.Response:
        return web.json_response({})


@auth.protected(permissions={READ})
class ReadersOptionalView(web.View):
    @auth.optional
    async def get(self) -> web.Response:
        return web.json_response({})


@auth.optional
class OptionalHeirOfReadersView(ReadersView):
    pass


class HeirOfReadersView(ReadersView):
    pass


@auth.public
class OpenedReadersView(ReadersView):
    pass


class HeirOfOpenedReadersView(OpenedReadersView):
    pass


def wrapped(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
    @functools.wraps(handler)
    async def wrapper(request: web.Request) -> web.Response:
        return await handler(request)

    return wrapper


# handler, HTTP method; then the statuses without a token, with one, with one that may read
WHO_MAY = [
    ("unmarked", new_handler(), "GET", (401, 200, 200)),
    ("public", auth.public(new_handler()), "GET", (200, 200, 200)),
    ("protected", auth.protected(new_handler()), "GET", (401, 200, 200)),
    ("protected()", auth.protected()(new_handler()), "GET", (401, 200, 200)),
    ("permission", auth.protected(permissions={READ})(new_handler()), "GET", (401, 403, 200)),
    (
        "permissions",
        auth.protected(permissions=[READ, WRITE])(new_handler()),
        "GET",
        (401, 403, 403),
    ),
    ("public twice", auth.public(auth.public(new_handler())), "GET", (200, 200, 200)),
    ("public method", Hello().open, "GET", (200, 200, 200)),
    ("unmarked method", Hello().closed, "GET", (401, 200, 200)),
    ("method's permission", Hello().narrow, "GET", (401, 403, 200)),
    ("marked bound method", auth.public(Hello().open), "GET", (200, 200, 200)),
    ("partial of a public one", functools.partial(Hello.open, Hello()), "GET", (200, 200, 200)),
    ("partial", functools.partial(Hello.closed, Hello()), "GET", (401, 200, 200)),
    ("wraps a public one", wrapped(auth.public(new_handler())), "GET", (200, 200, 200)),
    ("public around", auth.public(wrapped(new_handler())), "GET", (200, 200, 200)),
    ("unmarked view", UnmarkedView, "GET", (401, 200, 200)),
    ("public view", PublicView, "GET", (200, 200, 200)),
    ("public view, protected method", PublicView, "POST", (401, 403, 403)),
    ("public view, no method", PublicView, "PUT", (405, 405, 405)),
    ("heir of a public view", HeirOfPublicView, "GET", (401, 200, 200)),
    ("heir, protected method", HeirOfPublicView, "POST", (401, 403, 403)),
    ("public heir, protected method", PublicHeirOfPublicView, "POST", (401, 403, 403)),
    ("heir of a public method", HeirOfOpenGetView, "GET", (401, 200, 200)),
    ("guarded heir of a public method", GuardedHeirOfOpenGetView, "GET", (401, 403, 200)),
    ("view of another make", BareReadersView, "GET", (401, 403, 200)),
    ("overridden method", OverriddenReadersGetView, "GET", (401, 403, 200)),
    ("all that is asked adds up", WritersReadersGetView, "GET", (401, 403, 403)),
    ("view's permission", ReadersView, "GET", (401, 403, 200)),
    ("view's permission, public method", ReadersView, "POST", (200, 200, 200)),
    ("heir of a view's permission", HeirOfReadersView, "GET", (401, 403, 200)),
    ("opened heir", OpenedReadersView, "GET", (200, 200, 200)),
    ("heir of an opened heir", HeirOfOpenedReadersView, "GET", (401, 403, 200)),
    ("view's permission, optional method", ReadersOptionalView, "GET", (200, 403, 200)),
    ("optional heir of a view's permission", OptionalHeirOfReadersView, "GET", (200, 403, 200)),
    ("options", new_handler(), "OPTIONS", (401, 200, 200)),
]


@pytest.mark.parametrize(
    ("handler", "method", "expected"), [row[1:] for row in WHO_MAY], ids=[row[0] for row in WHO_MAY]
)
async def test_who_may_call_a_handler(
    serve: Serve, issuer: Issuer, handler: Any, method: str, expected: tuple[int, int, int]
) -> None:
    client = await serve(web.route("*", "/", handler))
    reader = issuer.mint(claims={"permissions": [READ]})
    assert (
        await status(client, method=method),
        await status(client, issuer.mint(), method=method),
        await status(client, reader, method=method),
    ) == expected


def mark_before_routing(routes: web.RouteTableDef) -> None:
    @routes.get("/")
    @auth.protected(permissions={READ})
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({})


def mark_after_routing(routes: web.RouteTableDef) -> None:
    @auth.protected(permissions={READ})
    @routes.get("/")
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize("define", [mark_before_routing, mark_after_routing])
async def test_the_order_of_decorators_does_not_matter(
    serve: Serve, issuer: Issuer, define: Callable[[web.RouteTableDef], None]
) -> None:
    routes = auth.RouteTable()
    define(routes)
    client = await serve(*routes)
    assert await status(client) == 401
    assert await status(client, issuer.mint()) == 403
    assert await status(client, issuer.mint(claims={"permissions": [READ]})) == 200


@pytest.mark.parametrize(
    ("mark", "named"),
    [
        (lambda: wrongly(permissions=READ), f"permissions={{'{READ}'}}"),
        (lambda: wrongly(READ), f"permissions={{'{READ}'}}"),
        (lambda: wrongly(scope=READ), "scope"),
        (lambda: auth.public(web.get("/", new_handler())), "RouteDef"),  # type: ignore[type-var]
        (lambda: auth.public(None), "None"),  # type: ignore[type-var]
        (lambda: auth.public(len), "len"),
        (lambda: auth.public(auth.protected(new_handler())), "@protected"),
        (lambda: auth.protected(auth.public(new_handler())), "@protected"),
        (lambda: auth.protected(permissions={READ})(auth.protected(new_handler())), "@protected"),
    ],
)
def test_a_mistake_in_marking_is_told_at_import(mark: Callable[[], Any], named: str) -> None:
    with pytest.raises(TypeError, match=naming(named)):
        mark()


async def test_a_handler_gets_the_token(serve: Serve, issuer: Issuer) -> None:
    async def who(request: web.Request) -> web.Response:
        return web.json_response({"subject": request[auth.ACCESS_TOKEN].subject})

    client = await serve(web.get("/", who))
    token = issuer.mint(claims={"sub": "auth0|alice"})
    async with client.get("/", headers=bearer(token)) as response:
        assert await response.json() == {"subject": "auth0|alice"}


async def test_a_public_handler_has_no_token_even_if_one_was_sent(
    serve: Serve, issuer: Issuer
) -> None:
    @auth.public
    async def has_token(request: web.Request) -> web.Response:
        return web.json_response({"has": auth.ACCESS_TOKEN in request})

    client = await serve(web.get("/", has_token))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert await response.json() == {"has": False}


async def test_static_files_are_protected(serve: Serve, issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("hello")
    client = await serve(web.static("/static", tmp_path))
    assert await status(client, path="/static/file.txt") == 401
    assert await status(client, issuer.mint(), path="/static/file.txt") == 200


async def test_a_websocket_is_refused_before_it_opens(serve: Serve, issuer: Issuer) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(request[auth.ACCESS_TOKEN].subject or "")
        await socket.close()
        return socket

    client = await serve(web.get("/", echo))
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert await status(client, headers=upgrade) == 401
    async with client.ws_connect("/", headers=bearer(issuer.mint())) as socket:
        assert await socket.receive_str() == "sandbox@clients"


class CorsView(web.View, aiohttp_cors.CorsViewMixin):
    async def get(self) -> web.Response:
        return web.json_response({})


@pytest.mark.parametrize("handler", [new_handler(), CorsView])
async def test_preflights_of_aiohttp_cors_need_no_token(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    handler: Any,
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    cors = aiohttp_cors.setup(app, defaults={ORIGIN: aiohttp_cors.ResourceOptions()})
    is_view = isinstance(handler, type)
    cors.add(app.router.add_route("*" if is_view else "GET", "/", handler))
    client = await aiohttp_client(ApiServer(app))
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert await status(client, method="OPTIONS", headers=preflight) == 200
    assert await status(client, headers=preflight) == 401


async def test_a_handler_of_ones_own_for_options_is_no_preflight(serve: Serve) -> None:
    client = await serve(web.options("/", new_handler()))
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    assert await status(client, method="OPTIONS", headers=preflight) == 401
