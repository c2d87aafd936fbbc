"""Does an application with `on_decision` keep every decision, and nothing else?"""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.protecting import new_handler, status


def protected(validator: auth.TokenValidator, hook: Any) -> web.Application:
    app = web.Application()
    auth.setup(app, validator, on_decision=hook)
    app.router.add_get("/users/{id}", new_handler())
    app.router.add_get("/admin", auth.protected(scopes={"admin"})(new_handler()))
    return app


CURRENT = ContextVar[web.Request]("CURRENT")
Start = Callable[[ApiServer], Awaitable[Client]]


async def test_who_asked_for_what_and_why_not(
    validator: auth.TokenValidator, aiohttp_client: Start, issuer: Issuer
) -> None:
    kept: list[auth.Decision] = []
    client = await aiohttp_client(ApiServer(protected(validator, kept.append)))
    token = issuer.mint(claims={"sub": "alice", "azp": "app", "jti": "t1", "client_id": ["x"]})
    assert await status(client, token, "/users/7") == 200
    assert await status(client, token, "/admin") == 403
    assert await status(client, None, "/users/7") == 401
    await client.close()
    who = {"subject": "alice", "issuer": issuer.url, "client_id": "app", "token_id": "t1"}
    where = {"method": "GET", "route": "/users/{id}", "remote": "127.0.0.1"}
    told = [each.as_dict() for each in kept]
    assert len({each.pop("request_id") for each in told}) == 3
    assert all(each.pop("at")[-5:-4] == "." for each in told)
    assert told == [
        {"outcome": "allowed", **who, **where, "requirements": []},
        {"outcome": "scope", **who, **where, "route": "/admin", "requirements": ["scope admin"]},
        {"outcome": "no_credentials", **dict.fromkeys(who), **where, "requirements": []},
    ]
    everything = repr(kept) + repr([vars(each.refusal) for each in kept if each.refusal])
    assert not any(part in everything for part in token.split("."))


async def test_the_queue_keeps_no_request_alive(
    validator: auth.TokenValidator, aiohttp_client: Start, issuer: Issuer
) -> None:
    hold = asyncio.Event()
    requests: list[weakref.ref[web.Request]] = []

    async def waits(decided: auth.Decision) -> None:
        if decided.route == "/x":
            await hold.wait()

    @auth.protected(scopes={"x"})
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/x":
            CURRENT.set(request)
            requests.append(weakref.ref(request))
        answer: web.StreamResponse = await handler(request)
        return answer

    app = protected(validator, waits)
    app.middlewares.insert(0, note)
    app.router.add_get("/x", handler)
    client = await aiohttp_client(ApiServer(app))
    await status(client, issuer.mint(), "/users/7")  # the keys are fetched
    while auth.audit_counts(app).waiting:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    for _ in range(3):
        assert await status(client, issuer.mint(claims={"scope": "x"}), "/x") == 200
    assert auth.audit_counts(app).waiting == 3
    assert len(requests) == 3
    await client.session.close()
    async with asyncio.timeout(30):
        while any(each() for each in requests):  # some end a little after their answer
            gc.collect()
            await asyncio.sleep(0)
    assert auth.audit_counts(app).waiting == 3
    hold.set()


async def test_each_application_has_a_queue_of_its_own(
    validator: auth.TokenValidator, aiohttp_client: Start, issuer: Issuer
) -> None:
    """One in another decides, too. One without a function has none."""
    outside: list[auth.Decision] = []
    inside: list[auth.Decision] = []
    outer, inner = protected(validator, outside.append), protected(validator, inside.append)
    silent = protected(validator, None)
    outer.add_subapp("/inner", inner)
    outer.add_subapp("/silent", silent)
    client = await aiohttp_client(ApiServer(outer))
    for path in ("/users/7", "/inner/users/7", "/silent/users/7"):
        assert await status(client, issuer.mint(), path) == 200
    await client.close()
    routes = [each.route for each in outside]
    assert routes == ["/users/{id}", "/inner/users/{id}", "/silent/users/{id}"]
    assert [each.route for each in inside] == ["/inner/users/{id}"]
    assert auth.audit_counts(outer).recorded == 3
    assert auth.audit_counts(inner).recorded == 1
    assert auth.audit_counts(silent) == auth.AuditCounts()


async def test_what_is_opened_before_setup_is_closed_after_the_last_decision(
    validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    database: list[str] = []
    stopping = asyncio.Event()

    async def opened(_app: web.Application) -> AsyncIterator[None]:
        database.append("opened")
        yield
        database.append("closed")

    async def stop(_app: web.Application) -> None:
        stopping.set()

    async def write(_decided: auth.Decision) -> None:
        await stopping.wait()
        database.append("written")

    app = web.Application()
    app.cleanup_ctx.append(opened)
    auth.setup(app, validator, on_decision=write)
    app.on_shutdown.append(stop)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for _ in range(3):
        assert await status(client) == 401
    await client.close()
    assert database == ["opened", "written", "written", "written", "closed"]


def test_what_is_no_function_is_refused(validator: auth.TokenValidator) -> None:
    with pytest.raises(ValueError, match="on_decision"):
        auth.setup(web.Application(), validator, on_decision="file")  # type: ignore[arg-type]
