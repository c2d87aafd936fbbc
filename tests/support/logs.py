"""What does the log say to a machine: who was refused, and what else went wrong?"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from hello.logs import JsonFormatter

_REFUSED = re.compile(
    r"refused (\d{3}) (\w+): (?:(\S+) (\S+) sub=(-|'.*'|\".*\")(?: from=.*)?|\w+)"
)
_COUNTED = re.compile(r"refused \d+ more: .*")  # more of them than are logged line by line
_CODE = re.compile(r"([a-z_]+): ")


class Refused(NamedTuple):
    """What an operator's tools read from the line of a refusal.

    The last three are None for what never came to be a request.
    """

    status: int
    reason: str
    method: str | None
    route: str | None
    subject: str | None


def refused(caplog: pytest.LogCaptureFixture) -> list[Refused]:
    """The refusals that were logged, each as a warning."""
    return [
        Refused(int(status), *rest) for status, *rest in filter(None, map(_parts, _ours(caplog)))
    ]


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The same in short: `401 expired`."""
    return [f"{each.status} {each.reason}" for each in refused(caplog)]


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged besides, from a warning up: something went wrong that is no client's."""
    return [
        record
        for record in _ours(caplog)
        if _parts(record) is None and not _COUNTED.fullmatch(record.getMessage())
    ]


def codes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The codes of these."""
    return [code(fault) for fault in faults(caplog)]


def code(fault: logging.LogRecord) -> str:
    """The code that a line begins with, or an empty text."""
    found = _CODE.match(fault.getMessage())
    return "" if found is None else found[1]


def why(record: logging.LogRecord) -> BaseException:
    """The error whose stack a record holds."""
    assert record.exc_info
    assert record.exc_info[1]
    return record.exc_info[1]


def _ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.split(".")[0] == "hello"
    ]


def _parts(record: logging.LogRecord) -> tuple[Any, ...] | None:
    found = _REFUSED.fullmatch(record.getMessage())
    if found is None:
        return None
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    return found.groups()


@contextmanager
def root_logger_restored() -> Iterator[None]:
    """Keep pytest's own handlers from being closed, and put them back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


class JsonLines(logging.Handler):
    """Keeps what a program would read: each entry as JsonFormatter writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.entries: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        assert line.isprintable()
        assert line.isascii()
        self.entries.append(json.loads(line))

    def of(self, logger: str) -> list[dict[str, Any]]:
        """The entries of one logger."""
        return [entry for entry in self.entries if entry["logger"] == logger]


@contextmanager
def json_lines() -> Iterator[JsonLines]:
    """Write all of the log as JSON."""
    root, lines = logging.getLogger(), JsonLines()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(lines)
        root.setLevel(level)
