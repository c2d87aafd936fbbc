"""What was decided about a request, and what is told to those who watch?"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from hello.auth.marks import POLICY
from hello.tokens import AccessToken, AuthError, Clock, Requirement

from .refusal_log import VALIDATED

CHECK_SECONDS = web.RequestKey("CHECK_SECONDS", float)
"""The key for how long the check of a request took."""

_logger = logging.getLogger("hello.auth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a request for a handler that is not public.

    `refusal` is None if the request was let through. A handler that refuses it later makes a second
    decision. `route` is the path as the application wrote it, such as /users/{id}, and empty if
    there is none. `remote` is the address of the client. `requirements` are those of the route.
    `token` is the valid token of the request, or None; a token may be valid and lack something.
    `seconds` is how long the check took, and `at` is when it ended, in seconds since the epoch.
    """

    method: str
    route: str
    remote: str | None
    requirements: tuple[Requirement, ...]
    token: AccessToken | None
    refusal: AuthError | None
    seconds: float
    at: float

    @property
    def outcome(self) -> str:
        """The reason of the refusal, or `allowed`."""
        return "allowed" if self.refusal is None else str(self.refusal.reason)

    @property
    def subject(self) -> str | None:
        """The `sub` of the token, if its signature was verified."""
        if self.token is not None:
            return self.token.subject
        return None if self.refusal is None else self.refusal.subject


Observer = Callable[[Decision], None]
"""A function that is called with each decision, before the request goes on. It has to be quick."""


class Observers(list[Observer]):
    """Those who watch the decisions of one application."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._failing: list[Observer] = []

    def tell(self, request: web.Request, refusal: AuthError | None) -> None:
        """Tell all what was decided. If one of them fails, the request goes on all the same."""
        if not self:
            return
        decision = self._decision(request, refusal)
        for observer in self:
            try:
                observer(decision)
            except Exception:
                if observer not in self._failing:  # once, until it works again
                    self._failing.append(observer)
                    _logger.exception("an observer of decisions failed")
            else:
                if observer in self._failing:
                    self._failing.remove(observer)

    def _decision(self, request: web.Request, refusal: AuthError | None) -> Decision:
        policy, resource = request.get(POLICY), request.match_info.route.resource
        return Decision(
            method=request.method,
            route="" if resource is None else resource.canonical,
            remote=request.remote,
            requirements=() if policy is None else policy.requirements,
            token=request.get(VALIDATED),
            refusal=None if refusal is None else refusal.without_traceback(),
            seconds=request.get(CHECK_SECONDS, 0.0),
            at=self._clock.time(),
        )
