"""Can anything that a client sends make a live connection fail, or stay open?"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hello import auth
from hello.auth.live import watch
from support.live import Live
from support.logs import faults, reasons
from support.sockets import Connection, connected

Start = Callable[..., Awaitable[Live]]
USUAL = {
    "Host": "a",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
PROTOCOL = "Sec-WebSocket-Protocol"


def handshake(*changed: tuple[str, str | bytes], token: str = "", version: str = "1.1") -> bytes:
    """The bytes of a handshake. What is changed may be there several times."""
    names = {name for name, _ in changed}
    headers = [each for each in USUAL.items() if each[0] not in names] + [*changed]
    headers += [("Authorization", f"Bearer {token}")] if token else []
    lines = [
        name.encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        for name, value in headers
    ]
    return b"\r\n".join([f"GET /feed HTTP/{version}".encode(), *lines, b"", b""])


async def status_of(there: Live, sent: bytes) -> int:
    async with connected(there.client.port or 0) as connection:
        connection.send(sent)
        head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 30)
    return int(head.split()[1])


WITH_A_TOKEN: list[tuple[int, tuple[tuple[str, str | bytes], ...]]] = [
    (101, ()),
    (101, (("Connection", "keep-alive, UPGRADE"),)),
    (101, (("Upgrade", "WebSocket"),)),
    (400, (("Upgrade", b"\xff"),)),
    (400, (("Upgrade", "h2c"),)),
    (400, (("Connection", b"\xff"),)),
    (400, (("Connection", "close"),)),
    (400, (("Sec-WebSocket-Version", "8"),)),
    (400, (("Sec-WebSocket-Version", b"\xff"),)),
    (400, (("Sec-WebSocket-Key", ""),)),
    (400, (("Sec-WebSocket-Key", b"\xff" * 24),)),
    (400, (("Sec-WebSocket-Key", "A" * 21 + "=="),)),
    (400, (("Sec-WebSocket-Key", USUAL["Sec-WebSocket-Key"]),) * 2),
    (400, (("Sec-WebSocket-Version", "13"),) * 2),
    (101, (("Sec-WebSocket-Extensions", b"\xff; x=\xff"),)),
    (101, (("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=99"),)),
    (400, ((PROTOCOL, b"\xff"),)),
    (400, ((PROTOCOL, "x, " * 2000 + "x"),)),
    (101, ((PROTOCOL, "x, " * 2000 + "v1"),)),
    (101, ((PROTOCOL, " , ,, v1,"),)),
    (400, ((PROTOCOL, "v1"), (PROTOCOL, "v1"))),
    (400, ((PROTOCOL, "x"), (PROTOCOL, "v1"))),
    (400, ((PROTOCOL, ""),)),
    (403, (("Origin", b"\xff"),)),
    (403, (("Origin", "http://a"), ("Origin", "http://a"))),
]


@pytest.mark.parametrize(("status", "changed"), WITH_A_TOKEN)
async def test_a_strange_handshake_is_answered(
    live: Start, caplog: pytest.LogCaptureFixture, status: int, changed: Any
) -> None:
    for also_from in ((), {"subprotocol", "message"}):
        there = await live(also_from, protocols=["v1"])
        assert await status_of(there, handshake(*changed, token=there.mint())) == status
    assert not faults(caplog)
    assert "protocols" not in caplog.text  # aiohttp would log what the client offers


@pytest.mark.parametrize(
    "value",
    [
        b"bearer, \xff",
        b"bearer, \xc3\xa4",
        "bearer, " + "x" * 7000,
        "bearer," * 1000,
        "base64url.bearer.authorization.k8s.io.\u00e4, v1",
        "base64url.bearer.authorization.k8s.io." + "A" * 7000 + ", v1",
    ],
)
async def test_a_strange_token_in_a_sub_protocol_is_refused(
    live: Start, caplog: pytest.LogCaptureFixture, value: str | bytes
) -> None:
    there = await live({"subprotocol"})
    assert await status_of(there, handshake((PROTOCOL, value))) == 401
    assert not faults(caplog)


@pytest.mark.parametrize(
    ("changed", "status", "told"),
    [
        (("Upgrade", "h2c"), 401, ["401 no_credentials"]),
        (("Sec-WebSocket-Key", "AAAA"), 401, ["401 no_credentials"]),
        (("Sec-WebSocket-Version", "12"), 400, []),
    ],
)
async def test_a_token_in_a_sub_protocol_counts_only_in_a_handshake(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    changed: tuple[str, str],
    status: int,
    told: list[str],
) -> None:
    there = await live({"subprotocol"})
    protocols = (PROTOCOL, f"bearer, {there.mint()}")
    assert await status_of(there, handshake(protocols)) == 101
    assert await status_of(there, handshake(protocols, changed)) == status
    assert reasons(caplog) == told


async def test_a_handshake_of_http_1_0_opens_nothing(live: Start) -> None:
    there = await live()
    assert await status_of(there, handshake(token=there.mint(), version="1.0")) == 400


def frame(opcode: int, data: bytes = b"", *, first: int = 0x80, length: int | None = None) -> bytes:
    """A frame of a client, masked with zeros (RFC 6455 §5.2)."""
    size = len(data) if length is None else length
    head = struct.pack("!BBQ", first | opcode, 0x80 | 127, size)
    return head + bytes(4) + data


FRAMES = {
    "half a frame": frame(1, b"abc")[:5],
    "a frame without its data": frame(1, length=60_000),
    "a frame of exabytes": frame(1, length=2**63),
    "no UTF-8": frame(1, b"\xff\xfe"),
    "a reserved bit": frame(1, b"x", first=0xF0),
    "an unknown opcode": frame(11),
    "a ping too long": frame(9, b"x" * 200),
    "a continuation of nothing": frame(0, b"x"),
    "a close with a bad code": frame(8, b"\x00\x01"),
    "a close with half a code": frame(8, b"\x03"),
    "no mask": b"\x81\x01x",
    "a fragment without an end": frame(1, b"x", first=0),
    "a pong": frame(10, b"x"),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("sent", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_strange_first_frame_leaves_nothing_behind(
    live: Start, caplog: pytest.LogCaptureFixture, sent: bytes, *, half_closed: bool
) -> None:
    there = await live({"message"}, first_message_timeout=0.1, timeout=60)

    async def send(connection: Connection) -> None:
        connection.send(handshake())
        await connection.reader.readuntil(b"\r\n\r\n")
        connection.send(sent)
        if half_closed:
            connection.writer.write_eof()

    async with connected(there.client.port or 0) as connection:
        await send(connection)
        assert isinstance(await there.has_left(), auth.UnauthorizedError)
    assert not faults(caplog)
    assert not watch.watch()._watched


async def test_a_token_does_not_get_into_the_log_of_aiohttp(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"subprotocol"})
    token = there.mint()
    assert await there.status(protocols=["bearer", token]) == 101
    assert await there.status(protocols=["v1", "bearer", token]) == 101
    assert token not in caplog.text
