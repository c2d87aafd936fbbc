"""What becomes of bytes that no HTTP client would send?

Every token here is a good one, so that a server which reads it all the same answers with 200.
"""

import asyncio
import json
import logging
from email.parser import BytesParser
from http import HTTPStatus
from typing import NamedTuple

import pytest

from hello.auth import InvalidTokenError, UnauthorizedError
from hello.responses import SECURITY_HEADERS
from hello.sandbox.issuer import Issuer
from support.api import Client
from support.logs import refused

BAD_REQUEST = 400, HTTPStatus.BAD_REQUEST.phrase
NO_CREDENTIALS = 401, UnauthorizedError.message
BAD_CREDENTIALS = 401, InvalidTokenError.message
GOOD = 200, ""  # whatever the message is

Answer = tuple[int, str]

PATH = b"/api/messages/protected"
LINE = b"GET %s HTTP/1.1\r\n" % PATH
HOST = b"Host: localhost\r\nConnection: close\r\n"
BEARER = b"Authorization: Bearer {token}\r\n"
# Part of a token that nobody writes by chance: as long as what a log or an answer might cut off.
TELLTALE = 16


class Exchange(NamedTuple):
    answer: Answer
    raw: bytes


async def send(api: Client, request: bytes) -> Exchange:
    """Send bytes, read until the server closes, and check what every answer must be like."""
    reader, writer = await asyncio.open_connection(api.host, api.port)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            raw = await reader.read()
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = dict(BytesParser().parsebytes(fields + b"\r\n\r\n").items())
    assert {name: headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Vary"] == "Origin"
    assert int(headers["Content-Length"]) == len(body), "one answer, and nothing behind it"
    assert "Server" not in headers
    [(member, value)] = json.loads(body).items()
    assert member in ("text", "message")
    return Exchange((int(status_line.split()[1]), value if member == "message" else ""), raw)


def shows(token: str, text: str) -> bool:
    return any(token[i : i + TELLTALE] in text for i in range(len(token) - TELLTALE + 1))


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that any logger was given: what is written, and what another format might write."""
    return caplog.text + "".join(repr(vars(record)) for record in caplog.records)


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger's every entry."""
    caplog.set_level(logging.DEBUG)
    return caplog


CONTROLS = {*range(0x20), 0x7F} - {0x09}
BEYOND_ASCII = set(range(0x80, 0x100))


@pytest.fixture(autouse=True)
def each_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many refusals of a kind there are."""
    monkeypatch.setattr("hello.tokens.bounded._AT_ONCE", 1000)


@pytest.mark.parametrize(
    ("value", "beyond_ascii", "tab"),
    [
        (b"{byte}Bearer {token}", NO_CREDENTIALS, GOOD),
        (b"Bea{byte}rer {token}", NO_CREDENTIALS, NO_CREDENTIALS),
        (b"Bearer{byte} {token}", NO_CREDENTIALS, NO_CREDENTIALS),
        (b"Bearer{byte}{token}", NO_CREDENTIALS, NO_CREDENTIALS),
        (b"Bearer {byte}{token}", BAD_CREDENTIALS, BAD_CREDENTIALS),
        (b"Bearer {token}{byte}{token}", BAD_CREDENTIALS, BAD_CREDENTIALS),
        (b"Bearer {token}{byte}", BAD_CREDENTIALS, GOOD),
    ],
)
async def test_no_byte_is_taken_for_another(
    api: Client,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    value: bytes,
    beyond_ascii: Answer,
    tab: Answer,
) -> None:
    """A tab at a value's ends is HTTP's, and none of the value (RFC 9110 §5.5)."""
    token = issuer.mint()
    expected = dict.fromkeys(CONTROLS, BAD_REQUEST) | {0x09: tab}
    expected |= dict.fromkeys(BEYOND_ASCII, beyond_ascii)
    answers = {}
    for byte in expected:
        sent = value.replace(b"{byte}", bytes([byte])).replace(b"{token}", token.encode())
        exchange = await send(api, LINE + HOST + b"Authorization: " + sent + b"\r\n\r\n")
        answers[byte] = exchange.answer
        assert not shows(token, exchange.raw.decode())
    assert answers == expected
    assert len(refused(caplog)) == sum(answer != GOOD for answer in answers.values())
    assert not shows(token, logged(caplog))


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        (BEARER, GOOD),
        (b"AUTHORIZATION:\t  bEARER {token}  \t\r\n", GOOD),
        (b"Authorization: Bearer\xc2\xa0{token}\r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer \xc2\xa0{token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token}\xc2\xa0\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer\xe3\x80\x80{token}\r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer \xe3\x80\x80{token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token}\xe2\x80\xa8\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token}\xc2\x85\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer \xef\xbb\xbf{token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token}\xf0\x9f\x94\x91\r\n", BAD_CREDENTIALS),
        (b"Authorization: \xef\xbc\xa2earer {token}\r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer\t {token}\r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer  {token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token} {token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer {token}, Bearer {token}\r\n", BAD_CREDENTIALS),
        (b"Authorization: Bearer \x1c\r\n", BAD_REQUEST),
        (b"Authorization: \r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer\r\n", NO_CREDENTIALS),
        (b"Authorization: Bearer \t\r\n", NO_CREDENTIALS),
        (b"X-Authorization: Bearer {token}\r\n", NO_CREDENTIALS),
        (b"Authorization_: Bearer {token}\r\n", NO_CREDENTIALS),
        # More than one, whatever is in them.
        (BEARER + BEARER, BAD_CREDENTIALS),
        (BEARER + b"authorization: Bearer {token}\r\n", BAD_CREDENTIALS),
        (BEARER + b"Authorization:\r\n", BAD_CREDENTIALS),
        (BEARER + b"Authorization: Bearer \xff\r\n", BAD_CREDENTIALS),
        (b"Authorization: Basic eDp5\r\n" + BEARER, BAD_CREDENTIALS),
        # Lines that continue (obs-fold, RFC 9112 §5.2), end otherwise, or are none.
        (b"Authorization:\r\n Bearer {token}\r\n", BAD_REQUEST),
        (b"Authorization: Bearer\r\n {token}\r\n", BAD_REQUEST),
        (b"Authorization: Bearer\r\n\t{token}\r\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}\r\n {token}\r\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}\nX: y\r\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}\rX: y\r\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}\n\nGET / HTTP/1.1\r\n", BAD_REQUEST),
        (b"X: y\nAuthorization: Bearer {token}\r\n", BAD_REQUEST),
        (b"Authorization : Bearer {token}\r\n", BAD_REQUEST),
        (b" Authorization: Bearer {token}\r\n", BAD_REQUEST),
        (b"Authorization Bearer {token}\r\n", BAD_REQUEST),
        (b"Author\x00ization: Bearer {token}\r\n", BAD_REQUEST),
        (b": Bearer {token}\r\n", BAD_REQUEST),
        (b"Bearer {token}\r\n", BAD_REQUEST),
        # Too long: more than aiohttp's 8,190 bytes to a line.
        (b"Authorization: Bearer {token}" + b"A" * 8190 + b"\r\n", BAD_REQUEST),
        (b"{token}" + b"A" * 8190 + b": Bearer {token}\r\n", BAD_REQUEST),
        (b"Authorization: Bearer {token}" + b"A" * 6000 + b"\r\n", BAD_CREDENTIALS),
        (BEARER * 200, BAD_REQUEST),
        # What is wrong is elsewhere, and the token beside it stays out of the log all the same.
        (BEARER + b"X: \x00\r\n", BAD_REQUEST),
        (BEARER + b"X: {token}\x01\r\n", BAD_REQUEST),
        (BEARER + b"Cookie: access_token={token}\x7f\r\n", BAD_REQUEST),
        (BEARER + b"Host: {token}\r\n", BAD_REQUEST),
        (BEARER + b"Content-Length: {token}\r\n", BAD_REQUEST),
        (BEARER + b"Content-Length: 1\r\nContent-Length: 2\r\n", BAD_REQUEST),
        (BEARER + b"Content-Length: -1\r\n", BAD_REQUEST),
        (BEARER + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", BAD_REQUEST),
        (BEARER + b"Transfer-Encoding: {token}\r\n", BAD_REQUEST),
        (BEARER + b"Transfer-Encoding: chunked\r\n\r\n{token}\r\n", BAD_REQUEST),
        (
            b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer {token}\x00\r\n",
            BAD_REQUEST,
        ),
        # A trailer is no header: who reads it comes too late to ask who is calling.
        (
            b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer {token}\r\n",
            NO_CREDENTIALS,
        ),
    ],
)
async def test_headers_that_no_client_sends(
    api: Client,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    headers: bytes,
    answer: Answer,
) -> None:
    token = issuer.mint()
    sent = headers.replace(b"{token}", token.encode())
    exchange = await send(api, LINE + HOST + sent + b"\r\n")
    assert exchange.answer == answer
    assert not shows(token, exchange.raw.decode())
    assert len(refused(caplog)) == (answer != GOOD)
    assert not shows(token, logged(caplog))


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"GET %s?access_token={token} HTTP/1.1" % PATH, NO_CREDENTIALS),
        (b"GET %s#access_token={token} HTTP/1.1" % PATH, NO_CREDENTIALS),
        (b"GET http://user:{token}@localhost%s HTTP/1.1" % PATH, BAD_REQUEST),
        (b"GET %s?access_token={token}\x00 HTTP/1.1" % PATH, BAD_REQUEST),
        (b"GET %s?access_token={token} x HTTP/1.1" % PATH, BAD_REQUEST),
        (b"GET %s?{token}%s HTTP/1.1" % (PATH, b"A" * 8190), BAD_REQUEST),
        (b"GET %s {token} HTTP/1.1" % PATH, BAD_REQUEST),
        (b"GET %s HTTP/{token}" % PATH, BAD_REQUEST),
        (b"GET http://[{token}/ HTTP/1.1", BAD_REQUEST),
        (b"GET http://localhost:x/?access_token={token} HTTP/1.1", BAD_REQUEST),
        (b"GET access_token={token} HTTP/1.1", BAD_REQUEST),
        (b"Authorization: Bearer {token}", BAD_REQUEST),
        (b"Bearer {token}", BAD_REQUEST),
        (b"{token}", BAD_REQUEST),
        (b"\x16\x03\x01\x02{token}", BAD_REQUEST),
    ],
)
async def test_request_lines_that_hold_a_token(
    api: Client,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    request_line: bytes,
    answer: Answer,
) -> None:
    token = issuer.mint()
    sent = request_line.replace(b"{token}", token.encode())
    exchange = await send(api, sent + b"\r\n" + HOST + b"\r\n")
    assert exchange.answer == answer
    assert not shows(token, exchange.raw.decode())
    assert len(refused(caplog)) == (b"@" not in sent)
    assert not shows(token, logged(caplog))


async def test_a_bad_request_ends_the_connection(
    api: Client, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes behind it on the same connection is nobody's request."""
    token = issuer.mint()
    good = LINE + b"Host: localhost\r\n" + BEARER.replace(b"{token}", token.encode())
    exchange = await send(api, good + b"X: \x00\r\n\r\n" + good + b"\r\n")
    assert exchange.answer == BAD_REQUEST
    assert len(refused(caplog)) == 1
    assert not shows(token, logged(caplog))
