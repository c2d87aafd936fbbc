"""What does a line of the log look like, and what if nobody reads it?

A line may hold text that a stranger chose. And whoever reads standard error may stop reading: then
lines are lost, and requests are answered all the same.
"""

import logging
import queue
import re
from copy import copy
from logging.handlers import QueueHandler
from threading import Thread

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from .auth.decisions.refusal_log import is_counted

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MAX_WAITING = 10_000  # lines that nobody has read yet
_FLUSH_SECONDS = 1

# A JWT, or what a header or a parameter of RFC 6749 or RFC 6750 holds.
_SECRET = re.compile(
    r"eyJ[\w-]{8,}[\w.~+/=-]*"
    r"|((?:bearer|dpop) +)[\w.~+/=-]+"
    r"|((?:token|secret|code)=)[^\s&;\"']+",
    re.IGNORECASE,
)
# A JWT whose header begins with white space. It is looked for in two steps, because one pattern for
# it would read a long text once for each place where a JWT could begin.
_WORDS = re.compile(r"[\w.~+/=-]{12,}")
_PART = re.compile(r"[\w-]+")
_SPACED = re.compile(r"e(?:yA|w[0ko])[\w-]{8}", re.IGNORECASE)
_HINTS = ("eyj", "eya", "ew0", "ewk", "ewo", "bearer", "dpop", "token=", "secret=", "code=")


UNLOGGED = web.RequestKey("UNLOGGED", bool)
"""The key for a request that has no line in the access log."""


class LineFormatter(logging.Formatter):
    """Escapes control characters, indents stacks, and leaves out whatever looks like a token.

    So no text in an entry, whoever wrote it, can look like an entry of its own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: D102, N802 - logging's name
        return _escape(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        # Another handler may have left its own text of the stack, which is not escaped.
        entry = copy(record)
        entry.exc_text = None
        return super().format(entry)

    def formatStack(self, stack_info: str) -> str:  # noqa: D102, N802 - logging's name
        return _indented(stack_info)

    def formatException(self, ei: object) -> str:  # noqa: D102, N802 - logging's name
        return _indented(super().formatException(ei))  # type: ignore[arg-type]


class AccessLog(AbstractAccessLogger):
    """Writes a line for each request: the client, the path, the status, and the time it took.

    The query is left out: some clients put a token there, although this API never reads it. A
    refused request that `hello.auth` only counts has no line here either.
    """

    @property
    def enabled(self) -> bool:  # noqa: D102
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log one request. `time` is in seconds; the clock of uvloop counts whole milliseconds."""
        if is_counted(request) or UNLOGGED in request:
            return
        self.logger.info(
            "%s %s %s %d %.0f ms",
            request.remote,
            request.method,
            request.rel_url.raw_path,
            response.status,
            time * 1000,
        )


class BackgroundHandler(QueueHandler):
    """Formats entries at once, and writes them to a handler in a thread of its own.

    If the handler does not keep up, entries are dropped, and a line says how many.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(_MAX_WAITING)
        super().__init__(self._waiting)
        self._handler = handler
        self._dropped = 0
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def enqueue(self, record: logging.LogRecord | None) -> None:
        """Hand an entry to the thread, or count it if the thread does not keep up."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1

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

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._handler.handle(record)
            if self._dropped and self._waiting.empty():
                dropped, self._dropped = self._dropped, 0
                self._handler.handle(
                    logging.makeLogRecord({"msg": f"... {dropped} lines of the log were dropped"})
                )
            self._waiting.task_done()
        self._waiting.task_done()


def log_to_stderr(level: str) -> None:
    """Write the log of this process to standard error, from a level (like `info`) upwards."""
    handler = BackgroundHandler(logging.StreamHandler())
    handler.setFormatter(LineFormatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def without_secrets(text: str) -> str:
    """Return a text without whatever looks like a token. Control characters are escaped."""
    return _escape(text)


def _indented(stack: str) -> str:
    return "\n".join(f"    | {_escape(line)}" for line in stack.split("\n"))


def _escape(text: str) -> str:
    lower = text.lower()
    if any(hint in lower for hint in _HINTS):  # looked for first, because the pattern is slow
        text = _SECRET.sub(lambda found: f"{found[1] or found[2] or ''}[...]", text)
        text = _WORDS.sub(_without_jwt, text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _without_jwt(found: re.Match[str]) -> str:
    words = found[0]
    for part in _PART.finditer(words):
        if words.startswith(".", part.end()):
            jwt = _SPACED.search(words, part.start(), part.end())
            if jwt is not None:
                return f"{words[: jwt.start()]}[...]"
    return words
