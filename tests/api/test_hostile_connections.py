"""Does whatever arrives get a whole answer or a closed connection, without an ERROR in the log?"""

import asyncio
import gzip
import logging
import random
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from hello import auth
from hello.connections import Runner
from hello.responses import errors_as_json, security_headers
from hello.sandbox.issuer import Issuer
from support.sockets import connected, post, serving

PATIENCE = 8  # seconds: less than the ten for which aiohttp waits for a body that nobody reads
QUIET = 1  # seconds after which nothing more comes on a connection that stays open
TELLTALE = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


class Answer(NamedTuple):
    """The first line's status, or None where the connection was closed; and all that was sent."""

    status: int | None
    raw: bytes


Send = Callable[[bytes], Awaitable[Answer]]


class Api(NamedTuple):
    send: Send
    port: int
    bodies: list[bytes]


class Broken(web.StreamResponse):
    """A response whose end fails when a part of it was sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        await self.write(b"some")
        raise ZeroDivisionError


def app_with(validator: auth.TokenValidator, bodies: list[bytes]) -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({})

    async def read(request: web.Request) -> web.Response:
        bodies.append(await request.read())
        return web.json_response({})

    @auth.public
    async def broken(_request: web.Request) -> web.StreamResponse:
        return Broken()

    @auth.public
    async def early(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"early")
        bodies.append(await request.read())
        return response

    @auth.public
    async def opened(request: web.Request) -> web.Response:
        return await (read(request) if request.method == "POST" else answer(request))

    async def signalled(_request: web.Request, response: web.StreamResponse) -> None:
        if "X-Raise" in response.headers:
            raise ZeroDivisionError

    def with_header(name: str, value: str) -> Any:
        async def handler(_request: web.Request) -> web.Response:
            return web.json_response({}, headers={name: value})

        return auth.public(handler)

    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, validator)
    app.on_response_prepare.append(signalled)
    security_headers(app)
    app.router.add_get("/", opened)
    app.router.add_get("/protected", answer)
    app.router.add_post("/read", read)
    app.router.add_post("/open", opened)
    app.router.add_post("/unread", answer)
    app.router.add_get("/broken", broken)
    app.router.add_post("/early", early)
    app.router.add_get("/lf", with_header("X-Text", "a\nSet-Cookie: b"))
    app.router.add_get("/cr", with_header("X-Text", "a\rb"))
    app.router.add_get("/nul", with_header("X-Text", "a\x00b"))
    app.router.add_get("/signal", with_header("X-Raise", "now"))
    return app


@pytest.fixture(params=[(), ("127.0.0.1",)], ids=["directly", "from_a_proxy"])
async def api(validator: auth.TokenValidator, request: pytest.FixtureRequest) -> AsyncIterator[Api]:
    bodies: list[bytes] = []
    runner = Runner(app_with(validator, bodies), forwarded_from=request.param)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]

    async def send(data: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        raw = b""
        try:
            async with asyncio.timeout(PATIENCE) as limit:
                while piece := await reader.read(65536):
                    raw += piece
                    limit.reschedule(asyncio.get_running_loop().time() + QUIET)
        except TimeoutError:
            assert raw, f"silence after {data[:80]!r}"
        except ConnectionError:
            pass
        writer.close()
        status = int(raw.split(b" ", 2)[1]) if raw.startswith(b"HTTP/") else None
        return Answer(status, raw)

    yield Api(send, port, bodies)
    await runner.cleanup()


def check_whole(answer: Answer) -> None:
    """RFC 9112 §6: an answer that says how long it is is as long as that."""
    if answer.status is None:
        return
    head, _, body = answer.raw.partition(b"\r\n\r\n")
    assert b"server:" not in head.lower()
    [length] = [int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"]
    assert len(body) == length
    if answer.status >= 400:
        assert body.startswith(b'{"message": ')


HOSTILE = [
    b"CONNECT \r\n\r\n",
    b"CONNECT  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT [::1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://xn--a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://xn--/ HTTP/1.1\r\nHost: xn--\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: \x80\xfe\r\nConnection: close\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + TELLTALE + b"\r\n\r\n",
    b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc",
    b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Encoding: br\r\n\r\nxyz",
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
async def test_nothing_that_arrives_is_left_without_an_answer(
    api: Api, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    answer = await api.send(data)
    check_whole(answer)
    assert answer.status is None or 400 <= answer.status < 500
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert TELLTALE.decode() not in caplog.text
    assert len(caplog.records) <= 2


PIECES = [
    *(b"http://", b"/", b":", b"@", b"[", b"]", b"::1", b"xn--", b"a", b"%", b"\xff", b"\xc3\xbc"),
    *(b"..", b"*", b"?", b"#", b"9", b"\\", b"|", b"ws:", b"\x7f", b";", b"%25", b"%00", b"a.b"),
]


@pytest.mark.parametrize("seed", range(5))
async def test_targets_and_hosts_at_random(
    api: Api, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        method = chance.choice([b"GET", b"HEAD", b"OPTIONS", b"CONNECT"])
        target, host = (b"".join(chance.choices(PIECES, k=chance.randint(1, 6))) for _ in "th")
        data = b"%b %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (method, target, host)
        answer = await api.send(data)
        assert answer.status is not None, data
        assert answer.status < 500, data
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/lf", "/cr", "/nul", "/signal"])
async def test_an_answer_that_cannot_be_sent_is_an_error_of_ours(
    api: Api, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    answer = await api.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    check_whole(answer)
    assert answer.status == 500
    assert b"Set-Cookie" not in answer.raw
    assert [record.levelname for record in caplog.records if record.levelno >= logging.ERROR] == [
        "ERROR"
    ]


async def test_many_bad_connections_leave_the_server_able_to_hear(api: Api) -> None:
    answers = await asyncio.gather(*(api.send(HOSTILE[number % 5]) for number in range(200)))
    assert all(answer.status is None or answer.status >= 400 for answer in answers)
    assert (await api.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("identity", lambda data: data),
    ],
)
@pytest.mark.parametrize("size", [0, 1, 1000, 900_000])
async def test_a_body_is_decompressed_when_it_is_read(
    api: Api, issuer: Issuer, encoding: str, compress: Callable[[bytes], bytes], size: int
) -> None:
    body = random.Random(size).randbytes(size // 100 + 1)[: size or 0] * 100
    data = post("/read", compress(body), f"Content-Encoding: {encoding}", token=issuer.mint())
    assert (await api.send(data)).status == 200
    assert api.bodies == [body]


async def test_a_body_of_a_refused_request_is_not_decompressed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "aiohttp.compression_utils.ZLibDecompressor.decompress_sync",
        lambda *_args, **_options: pytest.fail("it was decompressed"),
    )
    bomb = gzip.compress(bytes(10_000_000))
    for path in ("/read", "/unread"):
        answer = await api.send(post(path, bomb, "Content-Encoding: gzip"))
        check_whole(answer)
        assert answer.status == 401


async def test_a_bomb_is_read_as_far_as_the_application_allows(api: Api, issuer: Issuer) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    answer = await api.send(post("/read", bomb, "Content-Encoding: gzip", token=issuer.mint()))
    assert answer.status == 413
    assert not api.bodies


async def exchange(api: Api, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """What arrives after the head of a request; and after its body, if it was asked for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(head)
    async with asyncio.timeout(PATIENCE):
        first = await reader.readuntil(b"\r\n\r\n")
        if b" 100 " in first:
            writer.write(body)
        rest = await reader.read(65536)
    writer.close()
    return first, rest


async def test_a_body_is_asked_for_when_it_is_read(api: Api, issuer: Issuer) -> None:
    head = post("/read", b"", "Expect: 100-continue", token=issuer.mint()).replace(
        b"Content-Length: 0", b"Content-Length: 5"
    )
    first, rest = await exchange(api, head, b"hello")
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert rest.startswith(b"HTTP/1.1 200 ")
    assert api.bodies == [b"hello"]


@pytest.mark.parametrize("path", ["/read", "/unread", "/nowhere"])
async def test_a_body_is_not_asked_for_before_the_token_was_looked_at(api: Api, path: str) -> None:
    head = post(path, b"", "Expect: 100-Continue").replace(
        b"Content-Length: 0", b"Content-Length: 5"
    )
    first, _ = await exchange(api, head.replace(b"Connection: close\r\n", b""), b"hello")
    assert first.split(b" ")[1] in (b"401", b"404")
    assert b"connection: close" in first.lower()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_expectation_that_nobody_knows_is_not_met(api: Api, version: bytes) -> None:
    answer = await api.send(
        b"GET / HTTP/%b\r\nHost: a\r\nExpect: a-wonder\r\nConnection: close\r\n\r\n" % version
    )
    check_whole(answer)
    assert answer.status == (417 if version == b"1.1" else 200)


async def test_an_answer_that_fails_half_way_ends_the_connection(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await api.send(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.raw.count(b"HTTP/1.1 ") == 1
    assert not answer.raw.endswith(b"0\r\n\r\n"), "the client can tell that it is not whole"
    assert [record.levelname for record in caplog.records if record.name == "hello"] == ["ERROR"]


async def test_nobody_is_asked_for_a_body_within_an_answer(api: Api) -> None:
    head = post("/early", b"", "Expect: 100-continue").replace(
        b"Content-Length: 0", b"Content-Length: 5"
    )
    answer = await api.send(head + b"hello")
    assert b" 100 " not in answer.raw
    assert api.bodies == [b"hello"]


async def test_an_application_may_have_bodies_decompressed_at_once(
    validator: auth.TokenValidator, caplog: pytest.LogCaptureFixture
) -> None:
    """Then a body that is not what it says is no error of ours either."""

    @auth.public
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application(handler_args={"auto_decompress": True})
    auth.setup(app, validator)
    app.router.add_post("/", answer)
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    head = post("/", b"no gzip", "Content-Encoding: gzip").replace(b"no gzip", b"")
    writer.write(head)
    assert b" 200 " in await reader.readline()
    writer.write(b"no gzip")
    await reader.read()
    writer.close()
    await runner.cleanup()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("header", ["X-Any: 1", "Upgrade: h2c"])
async def test_a_handler_that_returns_no_response_is_a_500(
    validator: auth.TokenValidator, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    @auth.public
    async def forgets(_request: web.Request) -> Any:
        return None

    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", forgets)
    async with serving(app) as port, connected(port) as connection:
        connection.send(f"GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n".encode())
        assert (await connection.answer()).status == 500
    assert [record.levelname for record in caplog.records if record.name == "hello"] == ["ERROR"]


@pytest.mark.parametrize("name", ["websocket", "h2c", "a-wonder"])
async def test_after_an_upgrade_that_is_declined_the_connection_ends(api: Api, name: str) -> None:
    upgrade = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {name}\r\n\r\n"
    answer = await api.send(upgrade.encode() + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == 200
    assert b"\r\nConnection: close\r\n" in answer.raw


@pytest.mark.parametrize("middlewares", [[errors_as_json], []])
async def test_a_client_that_leaves_is_no_error_and_a_backend_that_fails_is_one(
    validator: auth.TokenValidator,
    caplog: pytest.LogCaptureFixture,
    middlewares: list[Any],
) -> None:
    begun, left, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @auth.public
    async def slow(request: web.Request) -> web.StreamResponse:
        begun.set()
        await left.wait()
        while request.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0)
        done.set()
        raise ConnectionResetError

    @auth.public
    async def no_backend(_request: web.Request) -> web.Response:
        raise ConnectionRefusedError

    app = web.Application(middlewares=middlewares)
    auth.setup(app, validator)
    app.router.add_get("/slow", slow)
    app.router.add_get("/backend", no_backend)
    async with serving(app) as port:
        async with connected(port) as connection:
            connection.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await begun.wait()
        left.set()
        await done.wait()
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        async with connected(port) as connection:
            assert (await connection.get("/backend")).status == 500
        faults = [record.levelname for record in caplog.records if record.name == "hello"]
        assert faults == ["ERROR"]
