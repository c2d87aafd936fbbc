"""What does the access log say about a request?"""

import logging

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from hello.auth.decisions.refusal_log import is_counted
from hello.auth.reading.proxies import peer_of

UNLOGGED = web.RequestKey("UNLOGGED", bool)
"""The key for a request that has no line in the access log."""

BEGUN = web.RequestKey("BEGUN", int)
"""The key for the status of an answer that has begun and may be cut off."""


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
        self._log(request, response.status, time)

    def log_cut_off(self, request: web.BaseRequest, time: float) -> None:
        """Log a request whose answer is not complete, or has not even begun."""
        self._log(request, request.get(BEGUN), time, cut_off=True)

    def _log(
        self, request: web.BaseRequest, status: int | None, time: float, *, cut_off: bool = False
    ) -> None:
        if is_counted(request) or UNLOGGED in request:
            return
        peer, path = peer_of(request), request.rel_url.raw_path
        milliseconds = round(time * 1000)
        self.logger.info(
            "%s %s %s %s %d ms%s",
            peer,
            request.method,
            path,
            "-" if status is None else status,
            milliseconds,
            " cut off" if cut_off else "",
            extra={
                "peer": peer,
                "method": request.method,
                "path": path,
                "status": status,
                "milliseconds": milliseconds,
                "cut_off": cut_off,
            },
        )
