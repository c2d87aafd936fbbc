"""Is a body whole however it is read, and is its connection good for the next request?"""

import asyncio
import gzip
import logging
import random

import pytest
from aiohttp import web

from hello import auth
from hello.responses import errors_as_json
from support.logs import json_lines
from support.sockets import connected, post, serving

SECONDS = 30


async def on_one_connection(port: int, *requests: bytes) -> list[int]:
    """The statuses of requests that are sent one after the other, until the connection ends."""
    statuses = []
    async with connected(port) as connection:
        for request in requests:
            connection.send(request)
            async with asyncio.timeout(SECONDS):
                try:
                    statuses.append((await connection.answer()).status)
                except (asyncio.IncompleteReadError, ConnectionError):
                    break
    return statuses


def keep(request: bytes) -> bytes:
    return request.replace(b"Connection: close\r\n", b"")


BODY = random.Random(1).randbytes(30_000) * 20


@pytest.mark.parametrize("way", ["read", "post", "chunks", "pieces", "lines"])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_long_body_is_whole_however_it_is_read(
    validator: auth.TokenValidator,
    way: str,
    encoding: str,
) -> None:
    """And the connection is good for the next request."""
    found: list[bytes] = []

    @auth.public
    async def read(request: web.Request) -> web.Response:
        if way == "read":
            found.append(await request.read())
        elif way == "post":
            found.append(str((await request.post())["a"]).encode())
        elif way == "chunks":
            found.append(b"".join([piece async for piece in request.content.iter_chunked(1000)]))
        elif way == "pieces":
            found.append(b"".join([piece async for piece in request.content.iter_any()]))
        else:
            found.append(await request.content.readexactly(len(sent)))
        return web.json_response({})

    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, validator)
    app.router.add_post("/", read)
    sent = b"a=" + b"x" * 600_000 if way == "post" else BODY
    body = gzip.compress(sent) if encoding == "gzip" else sent
    form = "Content-Type: application/x-www-form-urlencoded"
    request = keep(post("/", body, f"Content-Encoding: {encoding}", form))
    async with serving(app) as port:
        assert await on_one_connection(port, request, request) == [200, 200]
    assert set(found) == {sent[2:] if way == "post" else sent}


async def test_a_body_that_is_read_in_part_leaves_a_connection_that_works(
    validator: auth.TokenValidator,
) -> None:
    @auth.public
    async def read(request: web.Request) -> web.Response:
        await request.content.read(10)
        return web.json_response({})

    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, validator)
    app.router.add_post("/", read)
    requests = [
        keep(post("/", gzip.compress(bytes(5_000_000)), "Content-Encoding: gzip")),
        keep(post("/", gzip.compress(BODY), "Content-Encoding: gzip")),
        keep(post("/", BODY)),
    ]
    async with serving(app) as port:
        assert await on_one_connection(port, *requests, *requests) == [200] * 6


async def test_a_body_without_errors_as_json_that_is_not_what_it_says_is_a_400(
    validator: auth.TokenValidator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @auth.public
    async def read(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({})

    app = web.Application()
    auth.setup(app, validator)
    app.router.add_post("/", read)
    async with serving(app) as port:
        assert await on_one_connection(port, post("/", b"abc", "Content-Encoding: gzip")) == [400]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("where", ["the application", "an inner one", "none"])
async def test_a_flood_of_bodies_that_cannot_be_read_does_not_flood_the_log(
    validator: auth.TokenValidator, where: str
) -> None:
    """The handler was called, so each request still has a line in the access log."""

    @auth.public
    async def read(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    async def unmarked(request: web.Request) -> web.Response:
        return web.Response(text=await request.text())

    app, part = web.Application(middlewares=[errors_as_json]), web.Application()
    if where != "none":
        auth.setup(app if where == "the application" else part, validator)
    part.router.add_post("/{name}", unmarked if where == "none" else read)
    app.add_subapp("/part", part)
    bad = keep(post("/part/x", b"abc", "Content-Encoding: gzip"))
    with json_lines() as log:
        async with serving(app) as port:
            for _ in range(20):
                assert await on_one_connection(port, bad) == [400]
    told = [entry for entry in log.entries if entry.get("reason") == "malformed_body"]
    summed = [entry for entry in log.entries if "count" in entry]
    if where == "none":
        assert (len(told), summed) == (20, [])
    else:
        assert len(told) + sum(entry["count"] for entry in summed) == 20
        assert 5 <= len(told) < 10
        assert {*summed[0]["routes"]} == {"/part/{name}"}
    assert len(log.of("hello.access")) == 20
