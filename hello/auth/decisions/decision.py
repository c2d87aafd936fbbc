"""What was decided about a request, and what is told to those who watch?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from hello.auth.marks import POLICY
from hello.auth.reading.proxies import peer_of
from hello.tokens import AccessToken, AuthError, Clock, Requirement

VALIDATED = web.RequestKey("VALIDATED", AccessToken)
"""The key for the valid token of a request, whether or not it meets the requirements."""

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
"""The key for the id of a request in the log. Whoever serves the request may set it."""

CHECK_SECONDS = web.RequestKey("CHECK_SECONDS", float)
"""The key for how long the checks of a request took, in all applications until now."""

_METHOD_LENGTH = 32  # the longest one that is registered has 17; a client may invent others


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a request for a handler that is not public.

    `at` is when, in seconds since the epoch, and `seconds` is how long the check took, with that of
    the applications around this one. `method` has 32 characters at most. `route` is the path as the
    application wrote it, such as /users/{id}, and empty if there is none. `remote` is the address
    of the client, `unix` for a Unix socket, and `-` if it is not known. `request_id` is the id of
    the request in the log, or None without a Runner. `requirements` are those of the route.
    `refusal` is None if the request was let through. A handler that refuses it later makes a second
    decision.

    `subject` is the `sub` of the token, if its signature was verified. `issuer`, `client_id` and
    `token_id` are known if the token is valid, even if it lacks something: the `iss`, the
    `client_id` or else the `azp`, and the `jti`. The token itself is left out.
    """

    at: float
    method: str
    route: str
    remote: str
    request_id: str | None
    requirements: tuple[Requirement, ...]
    refusal: AuthError | None
    seconds: float
    subject: str | None
    issuer: str | None
    client_id: str | None
    token_id: str | None

    @property
    def outcome(self) -> str:
        """The reason of the refusal, or `allowed`."""
        return "allowed" if self.refusal is None else str(self.refusal.reason)

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as JSON can hold it. `at` is a date and time in UTC (RFC 3339)."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return {
            "at": at.replace("+00:00", "Z"),
            "outcome": self.outcome,
            "method": self.method,
            "route": self.route,
            "subject": self.subject,
            "issuer": self.issuer,
            "client_id": self.client_id,
            "token_id": self.token_id,
            "remote": self.remote,
            "request_id": self.request_id,
            "requirements": [str(each) for each in self.requirements],
        }


Observer = Callable[[Decision], None]
"""A function that is called with each decision, before the request goes on. It has to be quick."""


def decision_on(request: web.Request, refusal: AuthError | None, clock: Clock) -> Decision:
    """Return what was decided about a request. `refusal` is None if it is let through."""
    policy, token = request.get(POLICY), request.get(VALIDATED)
    claims: Mapping[str, Any] = {} if token is None else token.claims
    subject = None if refusal is None else refusal.subject
    return Decision(
        at=clock.time(),
        method=request.method[:_METHOD_LENGTH],
        route=route_of(request) or "",
        remote=peer_of(request),
        request_id=request.get(REQUEST_ID),
        requirements=() if policy is None else policy.requirements,
        refusal=None if refusal is None else refusal.without_traceback(),
        seconds=request.get(CHECK_SECONDS, 0.0),
        subject=subject if token is None else token.subject,
        issuer=None if token is None else token.issuer,
        client_id=_text(claims.get("client_id")) or _text(claims.get("azp")),
        token_id=_text(claims.get("jti")),
    )


def route_of(request: web.Request) -> str | None:
    """Return the path of a request as the application wrote it, such as /users/{id}, or None."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _text(claim: object) -> str | None:
    return claim if isinstance(claim, str) else None
