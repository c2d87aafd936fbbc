"""What does an operator see of a server: its log, its health, its metrics, what clients get?"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPConnection
from typing import NamedTuple

import aiohttp

from support.api import bearer
from support.program import PROTECTED, Program, ask

_WAIT_SECONDS = 40

# Durations and sizes differ each time, and the probes of this script would hide everything else.
_UNSEEN = re.compile(
    r"#|process_|python_|hello_auth_token_cache_|hello_http_request_duration_|\w+_(bucket|sum|created)\b"
    r'|.*route="/(livez|readyz)"'
)
_GAUGES = ("hello_auth_key_sets", "hello_auth_ready")
_FETCHES = "hello_auth_key_fetch_duration_seconds_count"
_TIME = "hello_auth_keys_fetched_timestamp_seconds"

# What differs each time, and what stands in its place.
_PLACEHOLDERS = (
    (r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\]", "[<time>]"),  # gunicorn's
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "<time>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\b\d+ ms\b", "<n> ms"),
    (r"\b\d+ s\b", "<n> s"),
    (r"\b\d+ (failed attempts|failures|lines)\b", r"<n> \1"),
    (r"\b(refused|signature|unknown_key) \d+(?= more|,| from)", r"\1 <n>"),
    (r"(most often on \S+ )\d+(, and from \S+ )\d+$", r"\1<n>\2<n>"),
    (r"(Retry-After: )\d+", r"\1<n>"),
    (r"version=\S+", "version=<version>"),
)
# `READY` writes the first. The second appears only if somebody asks while a worker starts.
_NOT_EACH_TIME = ("] Ready: ", "metrics_unreadable: ")
_COUNT = re.compile(r"(?<= )\+\d+$")
_STACK = re.compile(r"(    \| Traceback.*\n)(?:    \|  .*\n)*(    \| \w)")
_PID = re.compile(r"(?<=\[)\d+(?=\] )|(?<=pid:)\d+|(?<=pid: )\d+")


class Answer(NamedTuple):
    """What a client got, and the id of its request if there is one."""

    shown: str
    request_id: str | None = None


class Watch:
    """Looks at one server, and writes down what has changed since the last look.

    `names` are texts that differ each time, such as the URL of the issuer, by what stands in their
    place.
    """

    def __init__(
        self,
        program: Program,
        session: aiohttp.ClientSession,
        *,
        port: int,
        metrics_port: int,
        names: Mapping[str, str],
    ) -> None:
        self.program = program
        self.session = session
        self.names = dict(names)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._log_read = 0  # characters
        self._numbers: dict[str, float] = {}
        self._pids: list[str] = []
        self._answers: list[Answer] = []
        self._blocks: list[str] = []

    @property
    def text(self) -> str:
        """Everything that was seen."""
        return "\n".join(self._blocks)

    @property
    def protected(self) -> str:
        """The URL of a route that wants a token."""
        return self.url + PROTECTED

    async def ask(
        self,
        who: str,
        headers: Mapping[str, str] | None = None,
        path: str = PROTECTED,
    ) -> str:
        """Send a request, and write down what the client got. `who` says what it sends."""
        try:
            async with self.session.get(self.url + path, headers=headers) as answer:
                retry = answer.headers.get("Retry-After")
                more = "" if retry is None else f" Retry-After: {retry}"
                shown = f"{answer.status} {(await answer.text()).strip()}{more}"
                request_id = answer.headers.get("X-Request-ID")
        except aiohttp.ClientConnectionError:
            shown, request_id = "the connection is refused", None
        self.note(who, shown, request_id)
        return shown

    async def ask_again(self, who: str, connection: HTTPConnection, token: str) -> None:
        """Send a request on an open connection, as a client that does not repeat it by itself."""
        try:
            answer = await asyncio.to_thread(ask, connection, PROTECTED, bearer(token))
        except ConnectionError:
            self.note(who, "the connection is closed")
        else:
            shown = f"{answer.status} {json.dumps(answer.body)}"
            self.note(who, shown, answer.headers["X-Request-ID"])

    def note(self, who: str, shown: str, request_id: str | None = None) -> None:
        """Write down what a client got."""
        self._answers.append(Answer(f"{who}: {shown}", request_id))

    async def look(
        self, what: str | None, *, says: str = "", logs: bool = True, counts: bool = True
    ) -> None:
        """Write down what has changed. `what` has happened since the last look.

        Before that, wait until the log `says` something, and has all requests unless it `logs` not.
        If `what` is None, nothing is written down. `counts`: how many requests there were is the
        same each time.
        """
        if logs:
            ids = [answer.request_id for answer in self._answers if answer.request_id]
            for each in ids:
                await self.until(partial(self._has_answered, each))
        await self.until(lambda: says in self.program.err[self._log_read :])
        health = [f"{name:8} {await self._health(name)}" for name in ("livez", "readyz")]
        changes = await self._changes()
        seen = [
            f"--- {what}",
            *(f"client   {answer.shown}" for answer in self._answers),
            *(f"log      {line}" for line in self._log()),
            *health,
            *(f"metrics  {change if counts else _COUNT.sub('+<n>', change)}" for change in changes),
        ]
        self._answers.clear()
        # What is the same but for what differs each time is shown once.
        if what is not None:
            self._blocks.append("\n".join(dict.fromkeys(map(self._stable, seen))) + "\n")

    def last_pid(self) -> int:
        """The process that has answered the last request in the access log."""
        return int(re.findall(r"\[(\d+)\] INFO hello.access:", self.program.err)[-1])

    async def pause(self, seconds: float) -> None:
        """Let the server's time pass."""
        await asyncio.sleep(seconds)

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait for a fact that the server brings about."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while not fact():  # noqa: ASYNC110 - a file and a process are what it waits for
                await asyncio.sleep(0.02)

    async def until_ready_says(
        self, text: str, session: aiohttp.ClientSession | None = None
    ) -> None:
        """Wait for an answer of /readyz with this text."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while text not in await self._health("readyz", session):  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.05)

    async def until_counted(self, *changes: str) -> None:
        """Wait for lines of the metrics, such as those that several processes put together."""
        async with asyncio.timeout(_WAIT_SECONDS):
            while not {*changes} <= {*await self.metric_lines()}:  # noqa: ASYNC110 - a server
                await asyncio.sleep(0.1)

    def _has_answered(self, request_id: str) -> bool:
        lines = self.program.err.splitlines()
        return any(" hello.access: " in line and request_id in line for line in lines)

    async def _health(self, name: str, session: aiohttp.ClientSession | None = None) -> str:
        try:
            async with (session or self.session).get(f"{self.url}/{name}") as answer:
                return f"{answer.status} {await answer.text()}"
        except aiohttp.ClientConnectionError:
            return "the connection is refused"

    def _log(self) -> list[str]:
        text = self.program.err
        new, self._log_read = text[self._log_read :], len(text)
        lines = _STACK.sub(r"\1    | ...\n\2", new).splitlines()
        return [line for line in lines if not any(each in line for each in _NOT_EACH_TIME)]

    async def metric_lines(self) -> list[str]:
        try:
            async with self.session.get(self._metrics_url) as answer:
                text = await answer.text() if answer.status == 200 else ""
        except aiohttp.ClientConnectionError:
            text = ""
        return [line for line in text.splitlines() if not _UNSEEN.match(line)]

    async def _changes(self) -> list[str]:
        """What is different in the metrics: counters by how much, and others from what to what."""
        lines = await self.metric_lines()
        if not lines:
            return ["cannot be read"]
        before = self._numbers
        self._numbers = {
            name: float(value) for name, _, value in (x.rpartition(" ") for x in lines)
        }
        changed = {
            name: (before.get(name, 0), value)
            for name, value in sorted(self._numbers.items())
            if value != before.get(name, 0)
        }
        # Without a fetch, its time differs by the time that it takes to look.
        fetched = any(name.startswith(_FETCHES) and "success" in name for name in changed)
        return [
            _change(name, *values)
            for name, values in changed.items()
            if fetched or not name.startswith(_TIME)
        ]

    def _stable(self, line: str) -> str:
        for text, name in self.names.items():
            line = line.replace(text, name)
        for pattern, name in _PLACEHOLDERS:
            line = re.sub(pattern, name, line)
        return _PID.sub(lambda found: self._pid(found[0]), line)

    def _pid(self, pid: str) -> str:
        if pid not in self._pids:
            self._pids.append(pid)
        return f"<pid {self._pids.index(pid) + 1}>"


def _change(name: str, before: float, now: float) -> str:
    if name.startswith(_TIME):
        return f"{name} <time>"
    if name.startswith(_GAUGES):
        return f"{name} {before:g} -> {now:g}"
    # How often keys are fetched depends on how long the rest takes.
    return f"{name} +<n>" if name.startswith(_FETCHES) else f"{name} +{now - before:g}"
