"""Where is the log written, and what if nobody reads it?

Whoever reads standard error may stop reading: then lines are lost, and requests are answered all
the same.
"""

import logging
import queue
from logging.handlers import QueueHandler
from sys import getsizeof
from threading import Thread
from typing import Literal, TextIO

from .json_lines import JsonFormatter
from .lines import TEXT_FORMAT, LineFormatter

LogFormat = Literal["text", "json"]
"""Whether a line is for people, or a JSON object for programs."""

_MAX_WAITING = 16 * 2**20  # bytes of lines that nobody has read yet
_RECORD_BYTES = 1_000  # of an entry besides its texts
_FLUSH_SECONDS = 1
_UNREAD = "they were not read in time"


class _Lines(queue.Queue[logging.LogRecord | None]):
    """A queue whose size is that of the entries in it, in bytes."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _qsize(self) -> int:
        return self._bytes

    def _put(self, item: logging.LogRecord | None) -> None:
        super()._put(item)
        self._bytes += _weight(item)

    def _get(self) -> logging.LogRecord | None:
        item: logging.LogRecord | None = super()._get()
        self._bytes -= _weight(item)
        return item


def _weight(record: logging.LogRecord | None) -> int:
    # Twice, because what a client chose may also be in an attribute of the entry.
    return _RECORD_BYTES if record is None else _RECORD_BYTES + 2 * getsizeof(record.msg)


class BackgroundHandler(QueueHandler):
    """Formats entries at once, and writes them to a handler in a thread of its own.

    If the handler does not keep up, or cannot write, entries are lost. They are counted, and a line
    says how many as soon as there can be one.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._waiting = _Lines(_MAX_WAITING)
        super().__init__(self._waiting)
        self._handler = handler
        self._lost = 0
        self._told = 0  # of these, what a line has said
        self._taken = 0  # and what `take_lost` has
        self._why = _UNREAD
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord | None) -> None:
        """Hand an entry to the thread, or count it if the thread does not keep up."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def take_lost(self) -> int:
        """Return how many entries were lost since this was called last."""
        before, self._taken = self._taken, self._lost
        return self._taken - before

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say where the entry was that cannot be formatted. What it says may hold a token."""
        place = f"{record.pathname}:{record.lineno}"
        self.enqueue(self._line(f"a line of the log cannot be formatted: {place}"))

    def flush(self) -> None:
        """Wait for what was logged until now, but not for long."""
        with self._waiting.all_tasks_done:
            self._waiting.all_tasks_done.wait_for(
                lambda: not self._waiting.unfinished_tasks, _FLUSH_SECONDS
            )

    def close(self) -> None:
        """End the thread when it has written what was logged until now, but not wait for long."""
        self.enqueue(None)
        self._thread.join(_FLUSH_SECONDS)
        super().close()

    def _line(self, message: str) -> logging.LogRecord:
        record = logging.LogRecord("hello", logging.WARNING, "", 0, message, None, None)
        return self.prepare(record)  # type: ignore[no-any-return]

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            if self._is_written(record) and self._lost > self._told and self._waiting.empty():
                lost, why = self._lost, self._why
                said = self._line(f"log_lost: {lost - self._told} lines were lost: {why}")
                if self._is_written(said):
                    self._told, self._why = lost, _UNREAD
            self._waiting.task_done()
        self._waiting.task_done()

    def _is_written(self, record: logging.LogRecord) -> bool:
        """Write an entry, or count it."""
        try:
            self._handler.handle(record)
        except (OSError, ValueError) as error:  # on a full disk, or when it is closed
            self._why = getattr(error, "strerror", None) or type(error).__name__
            self._lost += 1
            return False
        return True


class _RaisingHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error, and raises if it cannot. logging itself would be silent."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Raise what was raised."""
        raise  # noqa: PLE0704 - it is called where an error is handled


def newly_lost() -> int:
    """Return how many lines of this process' log were lost since this was asked last."""
    return sum(
        handler.take_lost()
        for handler in logging.getLogger().handlers
        if isinstance(handler, BackgroundHandler)
    )


def log_to_stderr(level: str, log_format: LogFormat = "text") -> None:
    """Write the log of this process to standard error, from a level (like `info`) upwards."""
    handler = BackgroundHandler(_RaisingHandler())
    handler.setFormatter(LineFormatter(TEXT_FORMAT) if log_format == "text" else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
