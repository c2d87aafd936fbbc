"""What does a trace show of the requests to an issuer, and what does a trace bring into them?"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.operating.tracing import trace_requests
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from hello.tokens.keys.fetch import fetch
from hello.tokens.keys.fetched import FetchError
from support.api import ApiServer, Client, bearer
from support.protecting import new_handler
from support.spans import Spans, attributes, everything, of_client, of_server

Start = Callable[[ApiServer], Awaitable[Client]]
Serve = Callable[[web.Application], Awaitable[TestServer]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
FOREIGN = {
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "tracestate": ",".join(f"k{number}={'v' * 240}" for number in range(31)),
    "baggage": f"a={'b' * 4000}",
}
"""A trace of a stranger's, which is longer than many servers accept."""


async def test_the_requests_to_the_issuer_are_in_the_trace_of_the_request(
    sandbox_issuer: Issuer, aiohttp_client: Start, spans: Spans, client_spans: None
) -> None:
    secret = auth.Introspection(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    issuer = auth.TrustedIssuer(
        issuer=sandbox_issuer.url, audience=sandbox_issuer.audience, introspection=secret
    )
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuers=[issuer]))
    app.router.add_get("/", new_handler())
    trace_requests(app)
    client = await aiohttp_client(ApiServer(app))
    for token in (sandbox_issuer.mint(), sandbox_issuer.opaque()):
        # The client of the test is traced, too, so the issuer is asked within its trace.
        async with client.get("/", headers={**bearer(token), **FOREIGN}) as response:
            assert response.status == 200
    here = {each.context.span_id for each in of_server(spans) if each.context}
    asked = [each for each in of_client(spans) if each.parent and each.parent.span_id in here]
    assert [attributes(each)["url.full"].removeprefix(sandbox_issuer.url) for each in asked] == [
        ".well-known/openid-configuration",
        ".well-known/jwks.json",
        ".well-known/openid-configuration",
        "oauth/introspect",
    ]
    assert [each.name for each in asked] == ["GET", "GET", "GET", "POST"]
    assert CLIENT_SECRET not in everything(spans)


async def test_a_stranger_s_trace_is_not_passed_on_to_the_issuer(
    aiohttp_client: Start,
    aiohttp_server: Serve,
    spans: Spans,
    client_spans: None,
    validator: auth.TokenValidator,
    issuer: Issuer,
) -> None:
    """A request with so long a header would be refused, and then there were no keys."""
    got: list[set[str]] = []

    async def hears(request: web.Request) -> web.Response:
        got.append({*request.headers})
        return web.json_response({"issuer": str(request.url.origin()), "jwks_uri": "no"})

    listening = web.Application()
    listening.router.add_get("/{path:.*}", hears)
    server = await aiohttp_server(listening)
    url = str(server.make_url("/"))
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=url, audience=issuer.audience))
    app.router.add_get("/", new_handler())
    trace_requests(app, traceparent_from=["127.0.0.1"])
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims={"iss": url})
    reader, writer = await asyncio.open_connection(client.host, client.port)
    sent = {"Host": "localhost", "Connection": "close", **bearer(token), **FOREIGN}
    lines = [f"{name}: {value}" for name, value in sent.items()]
    writer.write("\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode())
    assert b" 503 " in await reader.readline()
    writer.close()

    common = {"Host", "Accept", "Accept-Encoding", "User-Agent", "traceparent"}
    assert got == [common]
    assert {each.context.trace_id for each in of_client(spans) if each.context} == {int(TRACE, 16)}


@asynccontextmanager
async def answering(answers: list[bytes | None]) -> AsyncIterator[str]:
    """A server that gives each connection one of these answers, and None is a reset."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        given = answers.pop(0)
        if given is None:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(given)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


SECRET = b"aaa.bbb.ccc"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: %s\0\r\n\r\n" % SECRET,
        b"HTTP/1.1 %s\r\n\r\n" % SECRET,
        b"%s\r\n\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\nX: %s" % SECRET,
        b"HTTP/1.1 200 OK\r\nX: %s\r\nY" % SECRET,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n" % SECRET,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 11\r\n\r\n%s" % SECRET,
    ],
)
async def test_what_a_broken_answer_repeats_is_not_in_the_span(
    spans: Spans, client_spans: None, answer: bytes
) -> None:
    async with answering([answer, answer]) as url:
        with pytest.raises(FetchError) as failed:
            await fetch(url)
    assert spans()
    assert SECRET.decode() not in everything(spans) + str(failed.value)


@pytest.mark.parametrize("lost", [b"", None])
async def test_a_request_whose_connection_is_lost_is_sent_once_more(
    lost: bytes | None,
) -> None:
    async with answering([lost, OK]) as url:
        assert await fetch(url) == b"{}"
    async with answering([lost, lost]) as url:
        with pytest.raises(FetchError):
            await fetch(url)
