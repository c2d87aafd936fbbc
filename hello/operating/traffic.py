"""What is counted of each request, and of what was decided about it?"""

import asyncio
from contextvars import ContextVar
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import hdrs, web
from prometheus_client import Counter, Histogram

from hello.auth import Decision, Reason
from hello.auth.answers import is_client_gone
from hello.auth.decisions.decision import route_of
from hello.streams import ended_stream

from .series import OTHER, Series

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

_DECIDED: ContextVar[list[Decision]] = ContextVar("decided")
"""The last decision about the request that this code runs for, if there was one."""


class _Answers(NamedTuple):
    """The metrics of all requests with the same labels."""

    number: Counter
    seconds: Histogram


class Traffic:
    """Counts requests when they are answered, and refusals when they are decided."""

    def __init__(self, series: Series) -> None:
        self._series = series
        # Kept by their labels, because the library takes longer to find them.
        self._answers: dict[tuple[web.AbstractResource | None, str, int], _Answers] = {}
        self._checks = {
            outcome: series.check_seconds.labels(outcome)
            for outcome in ("allowed", "refused", "unavailable")
        }
        self._refusals = {reason: series.refusals.labels(reason) for reason in Reason}
        self._other = series.refusals.labels(OTHER)

    def middleware(self) -> "Middleware":
        """Return the middleware that counts. It has to be the outermost one."""

        @web.middleware
        async def count(request: web.Request, handler: "Handler") -> web.StreamResponse:
            begun = perf_counter()
            _DECIDED.set([])
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                self._answered(request, error.status, begun)
                raise
            except asyncio.CancelledError:
                stream = ended_stream(request)
                if stream is not None:  # the server stops, and the answer is complete all the same
                    self._answered(request, stream.status, begun)
                raise
            except Exception as error:
                if not (isinstance(error, ConnectionError) and is_client_gone(request)):
                    self._answered(request, HTTPStatus.INTERNAL_SERVER_ERROR, begun)
                raise
            self._answered(request, answer.status, begun)
            return answer

        return count

    def decided(self, decision: Decision) -> None:
        """Count a refusal, and note the decision until the request is answered."""
        # The last one counts: a handler or an inner application may refuse what was allowed before.
        _DECIDED.get([])[:] = [decision]
        if decision.refusal is not None:
            self._refusals.get(decision.refusal.reason, self._other).inc()

    def _answered(self, request: web.Request, status: int, begun: float) -> None:
        """Count a request that was answered. It began at a time of `perf_counter`."""
        for decision in _DECIDED.get():
            self._checks[_outcome(decision)].observe(decision.seconds)
        resource, method = request.match_info.route.resource, request.method
        answers = self._answers.get((resource, method, status))
        if answers is None:
            known = method in hdrs.METH_ALL  # a client may invent any number of others
            answers = self._answers_of(request, method if known else OTHER, status)
            if known:
                self._answers[resource, method, status] = answers
        answers.number.inc()
        if status != HTTPStatus.SWITCHING_PROTOCOLS:  # which takes as long as the conversation
            answers.seconds.observe(perf_counter() - begun)

    def _answers_of(self, request: web.Request, method: str, status: int) -> "_Answers":
        route = route_of(request) or "-"
        return _Answers(
            self._series.requests.labels(route, method, status),
            self._series.request_seconds.labels(route, method),
        )


def _outcome(decision: Decision) -> str:
    if decision.refusal is None:
        return "allowed"
    is_outage = decision.refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return "unavailable" if is_outage else "refused"
