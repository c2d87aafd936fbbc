"""Does what follows a chunked body stay out of the next request on the same connection?

aiohttp's compiled parser takes the last trailer for a header of the next request.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from hello import auth
from hello.server import Runner
from support.protecting import new_handler

NEXT = b"GET /any HTTP/1.1\r\nHost: localhost\r\n\r\n"
TRAILERS = [
    "Authorization: Bearer x",
    "Client-Cert: :YQ==:",
    "DPoP: a.b.c",
    "Host: evil.example.com",
    "X-Any: x",
    "A: b\r\nAuthorization: Bearer x",
]


def chunked(trailer: str, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + body + f"0\r\n{trailer}\r\n\r\n".encode()


async def streams(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write_eof()
    return response


async def raises(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/any")


@pytest.fixture(params=["Runner", "setup"])
async def port(
    request: pytest.FixtureRequest, validator: auth.TokenValidator
) -> AsyncIterator[int]:
    """Of an application that Runner serves, and of one with setup that aiohttp serves itself."""
    app = web.Application()
    handlers = {"/any": new_handler(), "/streams": streams, "/raises": raises}
    app.router.add_get("/any", handlers["/any"])
    for path, handler in handlers.items():
        app.router.add_post(path, handler)
    if request.param == "setup":
        auth.setup(app, validator)
        for handler in handlers.values():
            auth.public(handler)
    runner = Runner(app) if request.param == "Runner" else web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("path", ["/any", "/streams", "/raises", "/nowhere"])
@pytest.mark.parametrize("body", [b"1\r\na\r\n", b""])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_connection_ends(
    port: int, trailer: str, path: str, body: bytes, *, at_once: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    first = chunked(trailer, path, body)
    try:
        async with asyncio.timeout(30):
            writer.write(first + NEXT if at_once else first)
            answer = await reader.read(1)
            if not at_once:
                writer.write(NEXT)
            answer += await reader.read()
    except ConnectionError:
        return  # it has ended, and nothing else was answered
    finally:
        writer.close()
    # None at all if the next request, with a second Host, is no request.
    assert answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("path", ["/any", "/streams", "/raises", "/nowhere"])
async def test_the_client_is_told(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(chunked("X-Any: x", path, b"1\r\na\r\n"))
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.lower().count(b"\r\nconnection: close\r\n") == 1
    writer.close()


async def test_other_requests_keep_their_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(NEXT)
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200")
    writer.close()
