"""Is every application with `setup` asked that is around the handler of a live connection?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.protection import observe
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.live import Live, answered, closed, send_token
from support.logs import faults, reasons

FIRST_MESSAGE = auth.protected(permissions={"read:reports"}, also_from={"message"})


async def test_every_application_around_the_handler_is_asked(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def validator(**options: Any) -> auth.TokenValidator:
        return auth.TokenValidator(
            issuer=issuer.url, audience=issuer.audience, clock=clock, **options
        )

    revoked: set[str | None] = set()
    there = Live(aiohttp_client, issuer)
    there.options = {"check_every": 10}
    inner, outer = web.Application(), web.Application()
    auth.setup(inner, validator(required_claims=["inner"]))
    auth.setup(outer, validator(revoked=lambda token: token.subject in revoked))
    inner.router.add_get("/feed", FIRST_MESSAGE(there.echo))
    outer.add_subapp("/sub", inner)
    there.client = await aiohttp_client(ApiServer(outer))

    async def first(**claims: Any) -> Any:
        socket = await there.client.ws_connect("/sub/feed")
        await send_token(socket, there.mint(**claims))
        return socket

    socket = await first(sub="alice", inner=1)
    assert (await answered(socket))["status"] == 200
    await send_token(socket, there.mint(sub="alice", inner=2))
    assert (await answered(socket))["status"] == 200
    revoked.add("alice")
    clock.advance(10)
    assert (await closed(socket)).code == 4401
    for claims in ({"sub": "alice", "inner": 1}, {"sub": "bob"}):
        assert (await closed(await first(**claims))).code == 4401
    assert reasons(caplog) == ["401 revoked", "401 revoked", "401 missing_claim"]
    async with there.client.ws_connect(
        "/sub/feed", headers=bearer(there.mint(sub="bob", inner=1))
    ) as other:
        await other.send_str("hello")
        assert await other.receive_str() == "hello"
        await send_token(other, there.mint(sub="bob"))
        assert (await closed(other)).code == 4401


async def test_each_application_may_have_its_own_token(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
    clock: FakeClock,
) -> None:
    """The outer one that of a proxy, which is good for a shorter time."""
    there = Live(aiohttp_client, issuer)
    inner, outer = web.Application(), web.Application()
    auth.setup(inner, validator)
    auth.setup(outer, validator, header="X-Proxy")
    inner.router.add_get("/feed", FIRST_MESSAGE(there.echo))
    inner.router.add_get("/optional", auth.optional(there.echo))
    outer.add_subapp("/sub", inner)
    there.client = await aiohttp_client(ApiServer(outer))
    headers = {"X-Proxy": there.mint(seconds=100, sub="proxy")}
    async with there.client.ws_connect("/sub/optional", headers=headers) as socket:
        await send_token(socket, there.mint(sub="bob"))
        assert (await closed(socket)).code == 4401
    async with there.client.ws_connect("/sub/feed", headers=headers) as socket:
        for _ in range(2):  # the first token, and a new one
            await send_token(socket, there.mint(sub="alice"))
            assert (await answered(socket)) == {"status": 200, "expires_in": 100}
        clock.advance(100)
        assert (await closed(socket)).code == 4401


async def test_each_application_tells_its_own_decision(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> None:
    """Although the outer one waits for the first message, and the inner one does not."""
    there = Live(aiohttp_client, issuer)
    inner, outer = web.Application(), web.Application()
    auth.setup(inner, validator)
    auth.setup(outer, validator, header="X-Proxy")
    told: dict[str, list[auth.Decision]] = {"inner": [], "outer": []}
    observe(inner, told["inner"].append)
    observe(outer, told["outer"].append)
    inner.router.add_get("/feed", FIRST_MESSAGE(there.echo))
    outer.add_subapp("/sub", inner)
    there.client = await aiohttp_client(ApiServer(outer))
    headers = bearer(there.mint(jti="inner"))
    async with there.client.ws_connect("/sub/feed", headers=headers) as socket:
        await send_token(socket, there.mint(jti="outer"))
        assert (await answered(socket))["status"] == 200
    for name, decisions in told.items():
        assert [(each.outcome, each.token_id) for each in decisions] == [("allowed", name)]


@pytest.mark.parametrize("place", ["header", "message"])
@pytest.mark.parametrize("is_outer", [False, True])
async def test_a_middleware_may_clone_the_request(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    place: str,
    *,
    is_outer: bool,
) -> None:
    """As those of aiohttp-remotes do."""

    @web.middleware
    async def cloning(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request.clone(scheme="https"))
        return response

    there = Live(aiohttp_client, issuer)
    app, outer = web.Application(), web.Application()
    auth.setup(app, validator)
    observe(app, there.decisions.append)
    app.router.add_get("/feed", FIRST_MESSAGE(there.echo))
    if is_outer:
        auth.setup(outer, validator)
    (outer if is_outer else app).middlewares.append(cloning)
    outer.add_subapp("/sub", app)
    there.client = await aiohttp_client(ApiServer(outer))

    async def begin(token: str) -> Any:
        headers = bearer(token) if place == "header" else {}
        socket = await there.client.ws_connect("/sub/feed", headers=headers)
        if place == "message":
            await send_token(socket, token)
            assert (await answered(socket))["status"] == 200
        return socket

    good = await begin(there.mint())
    await good.send_str("hello")
    assert await good.receive_str() == "hello"
    await good.close()
    short = await begin(there.mint(seconds=10))
    clock.advance(10)
    assert (await closed(short)).code == 4401
    refused = await there.client.ws_connect("/sub/feed")
    if place == "message":
        await refused.send_str("hello")
    else:
        await send_token(refused, there.mint(aud="x"))
    assert (await closed(refused)).code == 4401
    outcomes = ["allowed", "allowed", "expired"]
    last = "no_credentials" if place == "message" else "audience"
    assert [each.outcome for each in there.decisions] == [*outcomes, last]
    assert reasons(caplog) == ["401 expired", f"401 {last}"]
    assert not faults(caplog)
