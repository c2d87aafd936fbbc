"""How fast does a server answer, and how soon?

A load generator small enough to read: keep-alive connections, requests made of bytes beforehand,
and every answer's status checked. `saturate` asks "how many a second" in a closed loop, `paced`
asks "how soon" in an open one.
"""

import asyncio
import gc
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

CONNECTIONS = 32
"""That are open at once: enough for a server never to be idle, few enough for none to wait long."""

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_GRACE_SECONDS = 20  # until a server that does not answer any more is given up
_BROKEN = 0  # the "status" of a connection that ended, or of an answer that cannot be read


@dataclass(slots=True)
class Round:
    """What came back: `answers` within `seconds`, and how many had another status than expected."""

    answers: int = 0
    seconds: float = 0.0
    unexpected: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds if self.seconds else 0.0


def request(path: str, token: str | None = None, port: int = 80) -> bytes:
    """Return a request's bytes."""
    credentials = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{credentials}\r\n".encode("ascii")


async def saturate(
    port: int,
    requests: Iterable[bytes],
    *,
    status: int,
    seconds: float,
    connections: int = CONNECTIONS,
    awake: bool = False,
) -> Round:
    """Send the next request as soon as a connection has its answer: a closed loop.

    Ends after so many seconds and the first answer, or with the last of the requests. `awake`:
    never sleep, for where there is a core to spare. Else the server pays for waking this process
    up, on a virtual machine some 15 µs for each answer, and the more often the slower it is: no
    network asks for that.
    """
    result = Round()
    source, first = iter(requests), 0.0
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    running = connections

    def answered(connection: "_Connection", got: int) -> None:
        nonlocal running
        now = time.perf_counter()
        if now < first + seconds or not result.answers:
            result.answers += 1
            result.seconds = now - first
            if got != status:
                result.unexpected[got] += 1
            following = next(source, None)
            if following is not None and got != _BROKEN:
                connection.send(following)
                return
        running -= 1
        if not running:
            ended.set()

    async with asyncio.timeout(seconds + _GRACE_SECONDS):
        pool = await _connect(loop, port, connections, answered)
        if awake:
            _stay_awake(loop, ended)
        with _no_pauses():
            first = time.perf_counter()
            for connection in pool:
                following = next(source, None)
                if following is None:
                    running -= 1
                else:
                    connection.send(following)
            if running:
                await ended.wait()
        ended.set()
        _close(pool)
    return result


async def paced(
    port: int,
    requests: Iterable[tuple[bytes, int, bool]],
    *,
    rate: float,
    seconds: float,
    connections: int = CONNECTIONS,
) -> Round:
    """Send requests when they are due, `rate` a second, however slow the answers: an open loop.

    A latency counts from when its request was due, so waiting for a free connection counts too; a
    closed loop would send less just when the server is slow, and measure only what it still sent.
    `requests`: bytes, the status expected, and whether its latency is wanted.
    """
    result = Round()
    source = iter(requests)
    loop = asyncio.get_running_loop()
    waiting: deque[tuple[float, bytes, int, bool]] = deque()
    asked: dict[_Connection, tuple[float, int, bool]] = {}

    def answered(connection: "_Connection", got: int) -> None:
        due, status, wanted = asked.pop(connection)
        now = time.perf_counter()
        result.answers += 1
        if got != status:
            result.unexpected[got] += 1
        elif wanted:
            result.latencies.append(now - due)
        if got != _BROKEN:
            free.append(connection)

    def send() -> None:
        while waiting and free:
            due, content, status, wanted = waiting.popleft()
            connection = free.pop()
            asked[connection] = due, status, wanted
            connection.send(content)

    async with asyncio.timeout(seconds + _GRACE_SECONDS):
        pool = await _connect(loop, port, connections, answered)
        free = list(pool)
        with _no_pauses():
            first = time.perf_counter()
            planned = max(1, int(rate * seconds))
            begun = 0
            while begun < planned or waiting or asked:
                now = time.perf_counter()
                while begun < planned and first + begun / rate <= now:
                    waiting.append((first + begun / rate, *next(source)))
                    begun += 1
                send()
                if not free and len(asked) == 0:
                    break  # every connection broke
                # Not asleep until the next is due: a timer is good to a millisecond only.
                await asyncio.sleep(0)
            result.seconds = time.perf_counter() - first
        _close(pool)
    return result


class _Connection(asyncio.Protocol):
    def __init__(self, answered: Callable[["_Connection", int], None]) -> None:
        self._answered = answered
        self._received = b""
        self._busy = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def send(self, content: bytes) -> None:
        assert self._transport is not None
        self._busy = True
        self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(b"\r\n\r\n")
        if end >= 0:
            length = _LENGTH.search(received, 0, end)
            if length is None:  # of no answer that is asked for here
                self._done(_BROKEN)
                return
            if len(received) >= end + 4 + int(length[1]):
                self._received = b""
                self._done(int(received[9:12]))
                return
        self._received = received

    def connection_lost(self, _error: Exception | None) -> None:
        self._done(_BROKEN)

    def close(self) -> None:
        self._busy = False
        if self._transport is not None:
            self._transport.close()

    def _done(self, status: int) -> None:
        if self._busy:
            self._busy = False
            self._answered(self, status)


async def _connect(
    loop: asyncio.AbstractEventLoop,
    port: int,
    connections: int,
    answered: Callable[[_Connection, int], None],
) -> list[_Connection]:
    pool = []
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: _Connection(answered), "127.0.0.1", port
        )
        pool.append(connection)
    return pool


def _close(pool: list[_Connection]) -> None:
    for connection in pool:
        connection.close()


def _stay_awake(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    if not ended.is_set():
        loop.call_soon(_stay_awake, loop, ended)


@contextmanager
def _no_pauses() -> Iterator[None]:
    """Keep the garbage collector out of what is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
