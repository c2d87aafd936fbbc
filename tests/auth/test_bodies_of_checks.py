"""However a check reads a body, is all of it left for the next check and for the handler?"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import FormData, web
from aiohttp.typedefs import Handler

from hello import auth
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, bearer
from support.checking import (
    Check,
    Served,
    Start,
    a_part,
    as_it_comes,
    as_stream,
    in_chunks,
    in_lines,
    nothing,
    read,
    the_form,
    the_parts,
)
from support.clock import FakeClock
from support.logs import codes

WHOLE = [read, as_stream, in_chunks, as_it_comes, in_lines]


def check_that(reads: Callable[[web.Request], Awaitable[bytes]], seen: list[bytes]) -> Check:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        seen.append(await reads(request))
        return True

    return check


@pytest.mark.parametrize("then", WHOLE)
@pytest.mark.parametrize("first", [*WHOLE, a_part, nothing])
async def test_however_a_check_reads_the_next_check_and_the_handler_have_all_of_it(
    served: Served, first: Any, then: Any
) -> None:
    seen: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await then(request))

    # The handler's check is asked first.
    await served.with_checks(check_that(then, seen), check_that(first, seen), handler=handler)
    body = b"line\n" * 50_000
    for _ in range(2):
        assert await served.post(body) == (200, body)
    assert seen[1] == body
    assert seen[0] == {a_part: body[:2], nothing: b""}.get(first, body)


@pytest.mark.parametrize("then", [the_form, the_parts])
@pytest.mark.parametrize("first", [the_form, the_parts, read, as_stream, nothing])
async def test_however_a_check_reads_a_form_the_next_check_and_the_handler_have_it(
    served: Served, first: Any, then: Any
) -> None:
    seen: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await then(request))

    await served.with_checks(check_that(then, seen), check_that(first, seen), handler=handler)
    form = FormData()
    form.add_field("file", b"\x00a" * 100_000, filename="a.bin")
    assert await served.post(form) == (200, b"\x00a" * 100_000)
    assert seen[1] == b"\x00a" * 100_000


@pytest.mark.parametrize("checks", [1, 2])
async def test_a_check_gets_a_form_that_a_middleware_has_read(
    aiohttp_client: Start, issuer: Issuer, checks: int
) -> None:
    """The request keeps it, and nothing is left of the body itself."""
    seen: list[bytes] = []

    @web.middleware
    async def reads_it(request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.post()
        return await handler(request)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await the_form(request))

    app = web.Application(middlewares=[reads_it])
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE))
    part = auth.protected(check=check_that(the_form, seen))(web.Application())
    marked = auth.protected(check=check_that(the_form, seen)) if checks > 1 else auth.protected
    part.router.add_post("/", marked(handler))
    app.add_subapp("/part", part)
    client = await aiohttp_client(ApiServer(app))
    form = FormData({"name": "value"})
    form.add_field("file", b"abc", filename="a.bin")
    async with client.post("/part/", data=form, headers=bearer(issuer.mint())) as response:
        assert (response.status, await response.read()) == (200, b"abc")
    assert seen == [b"abc"] * checks


async def nothing_in_chunks() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize("then", WHOLE)
async def test_a_body_may_be_empty(served: Served, then: Any) -> None:
    seen: list[bytes] = []

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await then(request))

    await served.with_checks(check_that(then, seen), check_that(then, seen), handler=handler)
    assert await served.post(nothing_in_chunks()) == (200, b"")
    assert seen == [b"", b""]


@pytest.mark.parametrize("reads_at_once", [True, False])
async def test_a_check_that_is_asked_again_takes_nothing_from_the_handler(
    served: Served,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reads_at_once: bool,
) -> None:
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.005)
    seen: list[bytes] = []
    again = asyncio.Event()

    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        is_first = not seen
        seen.append(b"")
        try:
            if reads_at_once or not is_first:
                seen[-1] = await request.content.read()
        finally:
            again.set() if not is_first else None
        return True

    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request, web.StreamResponse(), check_every=10) as stream:
            await stream.write(await request.content.readexactly(3))
            clock.advance(10)
            await asyncio.wait_for(again.wait(), 30)
            await stream.write(await request.content.read())
        return stream

    served.issuer.clock = clock.time
    await served.with_checks(check, handler=handler, clock=clock)
    assert await served.post(b"all of it") == (200, b"all of it")
    assert seen == ([b"all of it"] * 2 if reads_at_once else [b"", b""])
    assert codes(caplog) == ([] if reads_at_once else ["check"])


@pytest.mark.parametrize("then", WHOLE)
async def test_a_check_that_does_not_wait_for_the_end_takes_nothing_from_the_handler(
    served: Served, then: Any
) -> None:
    seen: list[bytes] = []
    go_on = asyncio.Event()

    async def impatient(_token: auth.AccessToken, request: web.Request) -> bool:
        reading = asyncio.create_task(request.read())
        await asyncio.wait([reading], timeout=0.05)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        go_on.set()
        return True

    async def slowly() -> AsyncIterator[bytes]:
        yield b"a"
        await go_on.wait()
        yield b"b"

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await then(request))

    await served.with_checks(check_that(then, seen), impatient, handler=handler)
    assert await served.post(slowly()) == (200, b"ab")
    go_on.clear()
    await served.with_checks(impatient, handler=handler)
    assert await served.post(slowly()) == (200, b"ab")
    assert seen == [b"ab"]
