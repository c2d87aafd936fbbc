"""What does a line of the log look like, whoever had a hand in what it says?"""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Keeps an entry to its own line: control characters are escaped, a stack is set in.

    So nobody who gets a text into the log can make it look like an entry of its own.
    """

    _second: tuple[int | None, str] = (None, "")  # the last one that was formatted, and how

    def formatTime(  # noqa: D102, N802 - logging's name
        self, record: logging.LogRecord, _datefmt: str | None = None
    ) -> str:
        # Many entries fall into one second, and strftime is what takes longest about an entry.
        second, text = self._second
        if int(record.created) != second:
            second, text = int(record.created), super().formatTime(record, self.default_time_format)
            self._second = second, text
        return f"{text},{int(record.msecs):03}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: D102, N802 - logging's name
        return _escape(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: D102, N802 - logging's name
        stack = super().formatException(ei)  # type: ignore[arg-type]
        return "\n".join(f"    | {_escape(line)}" for line in stack.split("\n"))


class AccessLog(AbstractAccessLogger):
    """Who asked for what, what the answer was, and how long it took.

    Without the query: somebody will put a token there, however little we read it.
    """

    @property
    def enabled(self) -> bool:  # noqa: D102
        return self.logger.isEnabledFor(logging.INFO)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log one request; `time` is seconds, of a clock that counts in milliseconds (uvloop's)."""
        self.logger.info(
            "%s %s %s %d %.0f ms",
            request.remote,
            request.method,
            request.rel_url.raw_path,
            response.status,
            time * 1000,
        )


def log_to_stderr(level: str) -> None:
    """Send this process' log to standard error, from a level (`info`, `warning`, ...) up."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
