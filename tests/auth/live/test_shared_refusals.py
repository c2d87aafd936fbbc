"""Is each request answered, if an application raises one and the same refusal for several?"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.live import Live, closed
from support.logs import faults, reasons


async def test_each_is_answered_and_logged_once(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusal, go_on = auth.InsufficientScopeError(auth.Reason.CHECK), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query:
            raise refusal
        async with auth.live(request):
            await go_on.wait()
            raise refusal

    there = Live(aiohttp_client, issuer)
    await there.serve(auth.protected, validator, handler)
    async with there.opened(there.mint()) as one, there.opened(there.mint()) as other:
        go_on.set()
        assert [(await closed(each)).code for each in (one, other)] == [4403, 4403]
    for _ in range(2):
        async with there.client.get("/feed?plain=1", headers=bearer(there.mint())) as response:
            assert response.status == 403
    assert reasons(caplog) == ["403 check"] * 4
    assert not faults(caplog)
