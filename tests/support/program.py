"""How is the program started in a process of its own, and how is it asked?"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from support.api import AUDIENCE
from support.pages import PROJECT

PUBLIC = "/api/messages/public"
PROTECTED = "/api/messages/protected"
API_PORT, ISSUER_PORT, CLIENT_PORT = 6060, 6061, 4040

PATIENCE = 60  # seconds; nothing takes that long unless it fails, on a busy machine either


DOWN = "http://localhost:9/"
ISSUER = {
    "ISSUER_BASE_URL": DOWN,
    "AUTH0_AUDIENCE": AUDIENCE,
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
}
"""An issuer that does not answer: what these tests ask about needs none."""


# uvloop forgets a signal that comes before its loop runs, and gunicorn says only when it forks.
READY = """
def post_worker_init(worker):
    worker.loop.call_soon(worker.log.info, "Ready: %s", worker.pid)
"""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any


class Program:
    """A program in a process of its own. It prints to files, so that no pipe can fill up."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # so that it can be ended with its children
            )

    @property
    def out(self) -> str:
        return self._stdout.read_text("utf-8")

    @property
    def err(self) -> str:
        return self._stderr.read_text("utf-8")

    def until(self, fact: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for a fact that the program, while it runs, brings about."""
        deadline = time.monotonic() + seconds
        while not fact():
            ended = self._process.poll()
            assert ended is None, f"it ended with {ended}:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"nothing happened:\n{self.out}\n{self.err}"
            time.sleep(0.01)

    def says(self, text: str, seconds: float = PATIENCE) -> None:
        self.until(lambda: text in self.out + self.err, seconds)

    def listens(self, port: int) -> None:
        self.until(lambda: is_listening(port))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ends(self, seconds: float = PATIENCE) -> int:
        """Wait for its end, and return its exit status."""
        return self._process.wait(seconds)

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)


@contextmanager
def running(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> Iterator[Program]:
    with closing(Program(arguments, folder, environ)) as program:
        yield program


# Each is given once. No client's connection gets one of them by chance meanwhile.
_PORTS = iter(random.SystemRandom().sample(range(20_000, 30_000), 10_000))


def free_port() -> int:
    """A port that nobody listens on, and that nobody was given before."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def is_listening(port: int) -> bool:
    """Say whether somebody listens on a port.

    A port that is closed during the handshake resets the connection, and does not refuse it.
    """
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError:
        return False
    return True


def ask(connection: HTTPConnection, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    connection.request("GET", path, headers=headers or {})
    with connection.getresponse() as response:
        body = response.read()
        head = dict(response.getheaders())
        is_json = "json" in head["Content-Type"]
        return Answer(response.status, head, json.loads(body) if is_json else body)


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        return ask(connection, path, headers)


def copy_project(folder: Path) -> Path:
    """Copy what runs, and no .env that somebody may have."""
    shutil.copytree(
        PROJECT / "hello", folder / "hello", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(PROJECT / "run.py", folder)
    return folder
