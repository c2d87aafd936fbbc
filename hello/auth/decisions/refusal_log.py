"""How is a refusal logged, so that a flood of refusals does not flood the log?

A refusal has a line of its own unless there were many of its kind shortly before. The others are
counted, and summed up in a line a second.
"""

import asyncio
import logging
import time
from collections import Counter
from contextvars import Context

from aiohttp import web

from hello.auth.reading.proxies import peer_of
from hello.tokens import AuthError, Clock
from hello.tokens.bounded import Allowance

from .decision import VALIDATED, route_of

_COUNTED = web.RequestKey("COUNTED", bool)

_logger = logging.getLogger("hello.auth")
_MAX_NAMES = 1000  # addresses, or routes, that are told apart in a second
_SHOWN = 3


def is_counted(request: web.BaseRequest) -> bool:
    """Return whether a request was refused, and only counted in the log: it gets no line."""
    return _COUNTED in request


class RefusalLog:
    """The log of one application's refusals, or of one server's."""

    def __init__(self, clock: Clock = time) -> None:
        self._lines = Allowance(clock.monotonic)
        self._counted = Counter[str]()
        self._routes, self._addresses = Counter[str](), Counter[str]()
        self._timer: asyncio.TimerHandle | None = None

    def gets_own_line(
        self,
        request: web.BaseRequest,
        kind: str,
        *,
        route: str | None = None,
        handled: bool = False,
    ) -> bool:
        """Count a refusal of a kind, and return whether it gets a line of its own.

        The others are summed up in one line, and have none in the access log either. If the handler
        was called (`handled`), it may have done something, so the access log keeps its line.
        """
        if self._lines.take(kind):
            return True
        self._counted[kind] += 1
        _count(self._routes, route or "-")
        _count(self._addresses, peer_of(request))
        if not handled:
            request[_COUNTED] = True
        if self._timer is None:
            # In a context of its own, because the line is not about the request of this one.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(1, self.sum_up, context=Context())
        return False

    def note(self, request: web.Request, refusal: AuthError, *, handled: bool = False) -> None:
        """Log a refusal, or count it. `handled`: it was the handler that refused the request."""
        kind, route = str(refusal.reason), route_of(request)
        if not self.gets_own_line(request, kind, route=route, handled=handled):
            return
        # A check or a handler may raise an AuthError that has no subject.
        validated = request.get(VALIDATED)
        subject = refusal.subject or (None if validated is None else validated.subject)
        peer = peer_of(request)
        _logger.warning(
            "refused %d %s: %s %s sub=%s from=%s%s",
            refusal.status,
            kind,
            request.method,
            route or "-",
            "-" if subject is None else ascii(subject),
            peer,
            "" if refusal.detail is None else f" {refusal.detail}",
            extra={
                "status": refusal.status,
                "reason": kind,
                "method": request.method,
                "route": route,
                "subject": subject,
                "peer": peer,
                "detail": refusal.detail,
            },
        )

    def sum_up(self) -> None:
        """Log what was counted since the last time, if anything."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._counted:
            return
        routes, addresses = self._routes.most_common(_SHOWN), self._addresses.most_common(_SHOWN)
        _logger.warning(
            "refused %d more: %s from %s%d addresses, most often on %s, and from %s",
            self._counted.total(),
            _listed(sorted(self._counted.items())),
            "at least " if len(self._addresses) >= _MAX_NAMES else "",
            len(self._addresses),
            _listed(routes),
            _listed(addresses),
            extra={
                "count": self._counted.total(),
                "reasons": dict(self._counted),
                "addresses": len(self._addresses),
                "routes": dict(routes),
                "peers": dict(addresses),
            },
        )
        for each in (self._counted, self._routes, self._addresses):
            each.clear()


def _count(names: Counter[str], name: str) -> None:
    if name in names or len(names) < _MAX_NAMES:
        names[name] += 1


def _listed(counts: list[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
