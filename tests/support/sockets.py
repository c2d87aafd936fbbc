"""What does a server send, byte by byte, to a client that is no HTTP library?"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from aiohttp import web

from hello.connections import Runner

PATIENCE = 30  # seconds; no test takes that long unless it fails


class Answer(NamedTuple):
    """An answer, read from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A client's connection, for what no HTTP client would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def get(self, path: str) -> Answer:
        self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return await self.answer()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(headers) == len(lines), "a header came twice"
        body = await self.reader.readexactly(int(headers.get("Content-Length", 0)))
        return Answer(int(status.split()[1]), headers, body)

    async def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    """Serves an application as run.py does, at a port."""
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def post(path: str, body: bytes, *headers: str, token: str | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    lines += ["Connection: close", *([f"Authorization: Bearer {token}"] if token else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def hello(_request: web.Request) -> web.Response:
    return web.json_response({"text": "hello"})


def app_with(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    """An application with nothing around its only handler."""
    app = web.Application()
    app.router.add_get("/", handler)
    return app
