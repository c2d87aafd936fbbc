"""Does a handler answer without the `auth.live` that it needs, or beside it?"""

from http import HTTPStatus

from aiohttp import web

from .marks import POLICY
from .reading.awaiting import awaiting

NOT_ENTERED = (
    "auth.live was called, and nothing is guarded before its block begins: write "
    "`async with auth.live(...)` in the place of the call"
)
"""Why a call of `auth.live` alone is an error."""

_NOT_ASKED = (
    "the token of this request comes with its first message, and only auth.live reads that: write "
    "`async with auth.live(request) as socket`"
)
_OF_ITS_OWN = (
    "the mark of this handler has also_from, so that pages of other sites may try to open its "
    "WebSocket, and only auth.live compares their Origin and ends the WebSocket with its token: "
    "write `async with auth.live(request) as socket` in the place of web.WebSocketResponse"
)


ONLY_CALLED = web.RequestKey("ONLY_CALLED", bool)
"""The key for whether `auth.live` was called for a request, and its block has not begun."""


class GuardedSocket(web.WebSocketResponse):
    """A WebSocket that `auth.live` has made. Its class tells it from every other one."""


def check_guarded(request: web.Request, response: object) -> None:
    """Raise RuntimeError for an answer that needs `auth.live` and does not come from it.

    An error may leave, and a redirect.
    """
    if (
        not isinstance(response, web.StreamResponse)  # aiohttp itself will say so
        or response.status >= HTTPStatus.MULTIPLE_CHOICES
    ):
        return
    if ONLY_CALLED in request:
        raise RuntimeError(NOT_ENTERED)
    waiting = awaiting(request)
    if waiting is not None and waiting.live is not response:
        raise RuntimeError(_NOT_ASKED)
    if isinstance(response, web.WebSocketResponse) and not isinstance(response, GuardedSocket):
        policy = request.get(POLICY)
        if policy is not None and policy.also_from:
            raise RuntimeError(_OF_ITS_OWN)


async def check_leaving(request: web.Request, response: web.StreamResponse) -> None:
    """Do the same before the headers of an answer are sent."""
    check_guarded(request, response)
