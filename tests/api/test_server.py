"""How does an application meet its clients, from the first byte to the last?"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from hello import auth
from hello.app import create_app
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from hello.server import Runner
from support.api import ORIGIN, SECURITY_HEADERS, config_for
from support.logs import faults, reasons
from support.sockets import app_with, connected, hello

PUBLIC = "/api/messages/public"
ORIGIN_LINE = f"Origin: {ORIGIN}\r\n".encode()


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[int]:
    """A server as run.py and gunicorn run it, and its port."""
    runner = Runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.port
    finally:
        await runner.cleanup()


MALFORMED = [
    b"\x00\x01\x02 secret\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 secret\r\n\r\n",  # TLS to a port without
    b"secret\r\n\r\n",
    b"get /secret HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /secret and more HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://[secret/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://secret:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /secret" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: secret\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sec\x01ret\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer secret\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n secret\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBearer secret\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + b"secret" * 1500 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: secret\r\n" * 200 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nsecret",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nsecret",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nsecret",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n",
]


@pytest.mark.parametrize("request_bytes", MALFORMED)
async def test_what_is_no_http_gets_an_answer_of_ours_and_is_not_logged(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    async with running(create_app(config_for(issuer))) as port, connected(port) as connection:
        with caplog.at_level(logging.DEBUG):
            connection.send(request_bytes)
            answer = await connection.answer()
            assert await connection.rest() == b""
    assert (answer.status, answer.body) == (400, b'{"message": "Bad Request"}')
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["Vary"] == "Origin"
    assert "Server" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert reasons(caplog) == ["400 malformed_request"]
    assert "ecre" not in caplog.text


async def boom(_request: web.Request) -> web.Response:
    raise ZeroDivisionError("secret")


async def too_late(_request: web.Request) -> web.Response:
    raise TimeoutError("secret")


@pytest.mark.parametrize(
    ("handler", "status"),
    [(boom, HTTPStatus.INTERNAL_SERVER_ERROR), (too_late, HTTPStatus.GATEWAY_TIMEOUT)],
)
async def test_what_fails_outside_of_every_middleware_is_answered_like_the_rest(
    caplog: pytest.LogCaptureFixture,
    handler: Callable[[web.Request], Awaitable[web.Response]],
    status: HTTPStatus,
) -> None:
    async with running(app_with(handler)) as port, connected(port) as connection:
        answer = await connection.get("/")
        assert await connection.rest() == b""
    assert (answer.status, json.loads(answer.body)) == (status, {"message": status.phrase})
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["Vary"] == "Origin"
    assert "Server" not in answer.headers
    [fault] = faults(caplog)
    assert (fault.name, fault.levelno) == ("hello", logging.ERROR)
    assert ("ZeroDivisionError" in caplog.text) is (handler is boom)


async def test_what_fails_around_the_applications_own_middlewares_can_be_read_by_the_client(
    issuer: Issuer,
) -> None:
    @web.middleware
    async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
        raise ZeroDivisionError

    app = create_app(config_for(issuer))
    app.middlewares.insert(0, fail)
    async with running(app) as port, connected(port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + ORIGIN_LINE + b"\r\n")
        answer = await connection.answer()
    assert (answer.status, answer.body) == (500, b'{"message": "Internal Server Error"}')
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Vary"] == "Origin"


async def test_what_fails_while_an_answer_is_prepared_is_answered_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_request: web.Request, _response: web.StreamResponse) -> None:
        raise ZeroDivisionError

    app = app_with(hello)
    app.on_response_prepare.append(fail)
    async with running(app) as port, connected(port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await connection.answer()
    assert (answer.status, answer.body) == (500, b'{"message": "Internal Server Error"}')
    record, *_access = caplog.records
    assert (record.name, record.levelname) == ("hello", "ERROR")
    assert "ZeroDivisionError" in caplog.text


async def nothing(_request: web.Request) -> web.Response:
    return None  # type: ignore[return-value]


async def test_a_handler_that_forgets_to_answer_is_a_failure_like_the_others(
    issuer: Issuer,
) -> None:
    app = create_app(config_for(issuer))
    app.router.add_get("/", auth.public(nothing))
    async with running(app) as port, connected(port) as connection:
        answer = await connection.get("/")
    assert (answer.status, answer.body) == (500, b'{"message": "Internal Server Error"}')


BREAKS: list[Any] = [
    ZeroDivisionError,
    TimeoutError,
    web.HTTPNotFound,
    partial(web.HTTPFound, "/secret"),
]


@pytest.mark.parametrize("break_off", BREAKS)
@pytest.mark.parametrize("middlewares", [[], [errors_as_json]])
async def test_half_an_answer_is_cut_off_and_never_followed_by_another(
    caplog: pytest.LogCaptureFixture,
    middlewares: list[Middleware],
    break_off: Callable[[], Exception],
) -> None:
    """And what broke it is in the log."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise break_off()

    app = app_with(half)
    app.middlewares.extend(middlewares)
    async with running(app) as port, connected(port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        sent = await connection.rest()
    assert sent.endswith(b"\r\n\r\n4\r\nhalf\r\n")  # without the last chunk: a client sees the cut
    assert sent.count(b"HTTP/1.1") == 1
    assert "ZeroDivisionError" in caplog.text or break_off is not ZeroDivisionError


ASK = b"Access-Control-Request-Method: GET\r\n"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", PUBLIC, b"Authorization: Bearer \xff\xfe\r\n", 200),
        ("GET", PUBLIC, b"Origin: \xff\xfe\r\n", 200),
        ("GET", PUBLIC, b"Expect: 100-continue\r\n", 200),
        ("GET", PUBLIC, b"Expect: the-impossible\r\n", 417),
        ("GET", PUBLIC, b"Upgrade: websocket\r\nConnection: upgrade\r\n", 200),
        ("GET", f"http://a{PUBLIC}", b"", 200),
        ("GET", f"http://b{PUBLIC}", b"", 400),
        ("GET", f"/{PUBLIC}", b"", 404),
        ("GET", f"{PUBLIC}%00", b"", 404),
        ("GET", f"{PUBLIC}%ff", b"", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", b"", 404),
        ("OPTIONS", "*", b"", 404),
        ("CONNECT", "a:1", b"", 400),
        ("TRACE", PUBLIC, b"", 405),
        ("OPTIONS", PUBLIC, ORIGIN_LINE + ASK, 200),
        ("OPTIONS", PUBLIC, ORIGIN_LINE + b"Access-Control-Request-Method: \xff\r\n", 403),
        ("OPTIONS", PUBLIC, b"Origin: \xff\r\n" + ASK, 403),
        (
            *("OPTIONS", PUBLIC),
            *(ORIGIN_LINE + ASK + b"Access-Control-Request-Headers: \xff\r\n", 403),
        ),
    ],
)
async def test_a_strange_request_is_no_failure_of_ours(
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    headers: bytes,
    status: int,
) -> None:
    async with running(create_app(config_for(issuer))) as port, connected(port) as connection:
        connection.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n".encode() + headers + b"\r\n")
        answer = await connection.answer()
        if answer.status == 100:
            answer = await connection.answer()
    assert answer.status == status
    if status >= 400:
        assert json.loads(answer.body) == {"message": HTTPStatus(status).phrase}
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "Server" not in answer.headers
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_body_that_cannot_be_unpacked_is_no_failure_of_ours(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(create_app(config_for(issuer))) as port, connected(port) as connection:
        connection.send(
            f"POST {PUBLIC} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n".encode()
            + b"Content-Length: 6\r\nConnection: close\r\n\r\nsecret"
        )
        assert (await connection.answer()).status == 405
        await connection.rest()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
