"""Does a mark hold, however a library calls the handler that has it?

A library may call a handler without its request, and hide it in an object or a partial. The mark
is then asked for, or the handler does not run. It is never passed over.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth import marks
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.protecting import status

Start = Callable[[ApiServer], Awaitable[Client]]
Handler = Callable[..., Any]
admins: Any = auth.protected(permissions={"admin"})
KEPT, LOST = (401, 403, 200), (401, 500, 500)


async def by_name(*, number: int) -> web.Response:
    return web.json_response(number)


def plain(*, number: int) -> web.Response:
    return web.json_response(number)


def injecting(handler: Handler) -> Handler:
    """As aiohttp-pydantic does it: nothing that the handler gets leads to the request."""

    @functools.wraps(handler)
    async def wrapper(_request: web.Request) -> Any:
        answer = handler(number=7)
        return await answer if hasattr(answer, "__await__") else answer

    return wrapper


def without_wraps(handler: Handler) -> Handler:
    async def wrapper(_request: web.Request) -> Any:
        return await handler(number=7)

    return wrapper


async def call_route(route: Any, _request: web.Request) -> Any:
    return await route.handler(number=7)


def in_a_task(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def wrapper(_request: web.Request) -> Any:
        return await asyncio.create_task(handler(number=7))

    return wrapper


def in_a_thread(handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def wrapper(_request: web.Request) -> Any:
        return await asyncio.to_thread(handler, number=7)

    return wrapper


class Injected:
    """A class-based view whose request is in an attribute."""

    def __init__(self, request: web.Request) -> None:
        self.request = request

    async def _get(self, *, number: int) -> web.Response:
        return web.json_response([number, self.request.path])

    get = admins(_get)


@functools.wraps(Injected.get)
async def of_a_class(request: web.Request) -> Any:
    return await Injected(request).get(number=7)


class View(web.View):
    """Its method is a partialmethod, as aiohttp-swagger3 makes it."""

    async def _call(self, handler: Handler) -> Any:
        return await handler(number=7)

    get = functools.partialmethod(_call, admins(by_name))


class Partial(web.View):
    async def _get(self, *, number: int) -> web.Response:
        return web.json_response([number, self.request.path])

    get = functools.partialmethod(admins(_get), number=7)


# Each is what an application routes, and what is answered without a token, with one, and with an
# administrator's.
WAYS: dict[str, tuple[Handler, tuple[int, int, int]]] = {
    "keywords": (injecting(admins(by_name)), KEPT),
    "keywords, plain function": (injecting(admins(plain)), KEPT),
    "keywords, mark above": (admins(injecting(by_name)), KEPT),
    "keywords, twice": (functools.wraps(by_name)(injecting(admins(by_name))), KEPT),
    "class with a request": (of_a_class, KEPT),
    "partial of a wrapper": (functools.partial(injecting(admins(by_name))), KEPT),
    "no wraps": (without_wraps(admins(by_name)), LOST),
    "hidden in a partial": (
        functools.partial(call_route, SimpleNamespace(handler=admins(by_name))),
        LOST,
    ),
    "partialmethod with a handler in it": (View, LOST),
    "partialmethod": (Partial, KEPT),
    "another task": (in_a_task(admins(by_name)), (401, 403, 500)),
    "another thread": (in_a_thread(admins(plain)), (401, 403, 500)),
}


def app_of(validator: auth.TokenValidator | None, *routes: web.RouteDef) -> web.Application:
    app = web.Application(middlewares=[errors_as_json])
    if validator is not None:
        auth.setup(app, validator)
    app.add_routes(routes)
    return app


async def answers(client: Client, issuer: Issuer) -> tuple[int, int, int]:
    admin = issuer.mint(claims={"permissions": ["admin"]})
    return await status(client), await status(client, issuer.mint()), await status(client, admin)


@pytest.mark.parametrize("way", WAYS)
async def test_a_mark_is_asked_for_or_its_handler_does_not_run(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, way: str
) -> None:
    handler, expected = WAYS[way]
    client = await aiohttp_client(ApiServer(app_of(validator, web.get("/", handler))))
    assert await answers(client, issuer) == expected


@pytest.mark.parametrize("way", WAYS)
async def test_without_setup_none_of_them_answers(
    issuer: Issuer, aiohttp_client: Start, way: str
) -> None:
    client = await aiohttp_client(ApiServer(app_of(None, web.get("/", WAYS[way][0]))))
    assert await answers(client, issuer) == (500, 500, 500)


async def test_an_opened_handler_opens_none_that_it_calls_by_name(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    opened = auth.public(without_wraps(admins(by_name)))
    client = await aiohttp_client(ApiServer(app_of(validator, web.get("/", opened))))
    assert await answers(client, issuer) == (500, 500, 500)


async def test_a_task_that_outlives_its_request_serves_none(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    """Such as a queue's that the first administrator began, and that works for everybody."""
    asked: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def work() -> None:
        while True:
            answered = await asked.get()
            try:
                answered.set_result(await admins(by_name)(number=7))
            except RuntimeError as error:
                answered.set_exception(error)

    async def begin(request: web.Request) -> web.Response:
        request.config_dict[WORKERS].append(asyncio.create_task(work()))
        return web.json_response({})

    @auth.public
    async def ask(_request: web.Request) -> web.Response:
        await asked.put(answered := asyncio.get_running_loop().create_future())
        return web.json_response(await answered)

    app = app_of(validator, web.get("/", admins(begin)), web.get("/ask", ask))
    app[WORKERS] = []
    client = await aiohttp_client(ApiServer(app))
    assert await answers(client, issuer) == (401, 403, 200)
    assert await status(client, path="/ask") == 500
    [worker] = app[WORKERS]
    worker.cancel()


WORKERS = web.AppKey("WORKERS", list[asyncio.Task[None]])


@pytest.mark.parametrize("path", ["/protected/", "/protected/inner/"])
async def test_what_a_request_was_let_in_for_holds_for_no_other_on_its_connection(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start, path: str
) -> None:
    """An application without setup around one with it, asked by one client."""
    protected = app_of(validator, web.get("/", injecting(admins(by_name))))
    if path == "/protected/inner/":  # and another one within that
        app, protected = protected, app_of(validator)
        protected.add_subapp("/inner", app)
    outer = app_of(None, web.get("/", without_wraps(admins(by_name))))
    outer.add_subapp("/protected", protected)
    client = await aiohttp_client(ApiServer(outer))
    admin = issuer.mint(claims={"permissions": ["admin"]})
    for _ in range(2):
        assert await status(client, admin, path=path) == 200
        assert await status(client, admin) == 500
        assert await status(client, admin, path=f"{path}nowhere") == 404
    assert not marks._APPLIED


async def test_a_guard_outside_of_every_task_refuses() -> None:
    """In a callback of the loop there is no task."""
    called = asyncio.get_running_loop().create_future()

    def callback() -> None:
        try:
            admins(plain)(number=7)
        except RuntimeError as error:
            called.set_result(error)

    asyncio.get_running_loop().call_soon(callback)
    assert isinstance(await called, RuntimeError)
