"""How is a refusal logged, so that a flood of refusals does not flood the log?

The first few of a kind are logged in full. The rest are counted, and summed up in a line a second.
"""

import asyncio
import logging
from collections import Counter
from contextvars import Context

from aiohttp import web

from hello.auth.reading.proxies import peer_of
from hello.tokens import AccessToken, AuthError

VALIDATED = web.RequestKey("VALIDATED", AccessToken)
"""The key for the valid token of a request, whether or not it meets the requirements."""

_COUNTED = web.RequestKey("COUNTED", bool)

_logger = logging.getLogger("hello.auth")
_IN_FULL = 5  # lines of a kind, until it has been quiet
_QUIET_SECONDS = 10
_MAX_ADDRESSES = 1000


def is_counted(request: web.BaseRequest) -> bool:
    """Return whether a request was refused and only counted, so that it needs no other line."""
    return _COUNTED in request


class RefusalLog:
    """The log of one application's refusals."""

    def __init__(self) -> None:
        self._in_full = Counter[str]()
        self._counted = Counter[str]()
        self._addresses: set[str | None] = set()
        self._quiet = 0  # seconds
        self._timer: asyncio.TimerHandle | None = None

    def gets_own_line(self, request: web.BaseRequest, kind: str) -> bool:
        """Count a refusal of a kind, and return whether it gets a line of its own.

        The other refusals of that kind are summed up in one line.
        """
        if self._in_full[kind] >= _IN_FULL:
            self._counted[kind] += 1
            request[_COUNTED] = True
            if len(self._addresses) < _MAX_ADDRESSES:
                self._addresses.add(request.remote)
            return False
        self._in_full[kind] += 1
        if self._timer is None:
            self._sum_up_later()
        return True

    def note(self, request: web.Request, refusal: AuthError) -> None:
        """Log a refusal, or count it."""
        kind = str(refusal.reason)
        if not self.gets_own_line(request, kind):
            return
        # A check or a handler may raise an AuthError that has no subject.
        validated = request.get(VALIDATED)
        subject = refusal.subject or (None if validated is None else validated.subject)
        resource = request.match_info.route.resource
        route = None if resource is None else resource.canonical
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

    def sum_up(self, *, last: bool = False) -> None:
        """Log what was counted since the last time, if anything. `last` ends the timer, too."""
        self._quiet = 0 if self._counted else self._quiet + 1
        if self._counted:
            _logger.warning(
                "refused %d more: %s from %d addresses",
                self._counted.total(),
                ", ".join(f"{kind} {count}" for kind, count in sorted(self._counted.items())),
                len(self._addresses),
                extra={
                    "count": self._counted.total(),
                    "reasons": dict(self._counted),
                    "addresses": len(self._addresses),
                },
            )
            self._counted.clear()
            self._addresses.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not last and self._quiet < _QUIET_SECONDS:
            self._sum_up_later()
        else:
            self._in_full.clear()

    def _sum_up_later(self) -> None:
        # In a context of its own, because the line is not about the request of this one.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(1, self.sum_up, context=Context())
