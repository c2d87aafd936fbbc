"""How is a refusal answered, and what if a part of an answer was sent already?"""

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict

from hello.tokens import AuthError, Challenges
from hello.tokens.hooks import HookError, ask, log_failure
from hello.tokens.timing import Timing

from .reading.request import is_by_dpop

JSON_HEADERS = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})
"""The headers of every answer in JSON."""

Refuse = Callable[[web.Request, AuthError], web.Response | Awaitable[web.Response]]
"""A function of the application, sync or async. It returns the answer to a refused request."""

_REFUSE_SECONDS = 5


def json_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error as JSON, in the form that all errors have."""
    # `json.dumps` writes a text several times as fast as an object with it.
    body = b'{"message": %s}' % json.dumps(message).encode()
    response = web.Response(body=body, status=status, headers=JSON_HEADERS)
    response.headers.update(headers or {})
    return response


def check_nothing_sent(request: web.BaseRequest) -> None:
    """Raise ConnectionError if a part of the answer was sent already.

    A client would read a second answer as the rest of the first. Only the end of the connection can
    still tell it about the failure.
    """
    if is_partly_answered(request):
        raise ConnectionError("a part of the answer was sent already")


def is_partly_answered(request: web.BaseRequest) -> bool:
    """Return whether at least a part of the answer was sent."""
    return request.writer.output_size > 0


def is_client_gone(request: web.BaseRequest) -> bool:
    """Return whether the client has closed the connection, so that nothing can be sent."""
    return request.transport is None or request.transport.is_closing()


async def refusal_answer(
    request: web.Request,
    refusal: AuthError,
    refuse: Refuse | None,
    challenges: Challenges,
    timing: Timing,
) -> web.Response:
    """Return the answer to a refused request.

    The status, the challenge and Retry-After are always the refusal's own. The body and its type
    come from `refuse`, if there is such a function and it does not fail. A 408 ends the connection,
    because the client may never send the rest of that request (RFC 9110 §15.5.9).
    """
    headers = refusal.headers_with(challenges)
    answer = await _own_answer(request, refusal, refuse, timing) if refuse is not None else None
    if answer is None:
        answer = json_error(refusal.status, refusal.message, headers)
    else:
        answer.set_status(refusal.status)
        answer.headers.update(headers)
    if refusal.status == HTTPStatus.REQUEST_TIMEOUT:
        answer.force_close()
    # An application may raise one object for many requests. It would keep the stacks of them all.
    refusal.__traceback__ = None
    return answer


async def _own_answer(
    request: web.Request, refusal: AuthError, refuse: Refuse, timing: Timing
) -> web.Response | None:
    """Return the answer of the application's function, or None if that fails."""
    try:
        answer: web.Response = await ask(
            refuse, request, refusal, timeout=_REFUSE_SECONDS, returns=(web.Response,)
        )
        if answer.prepared or isinstance(answer, web.HTTPException):
            raise HookError(f"it returned {type(answer).__name__}, no new web.Response")
    except (HookError, AuthError) as error:
        log_failure("refuse failed, so the usual answer is given", error, timing)
        check_nothing_sent(request)
        return None
    return answer


async def end_after_trailers(request: web.Request, response: web.StreamResponse) -> None:
    """End the connection after a request that may have trailers.

    aiohttp's parser takes the last of them for a header of the next request on the connection, even
    for its Authorization. A proxy may send the requests of several clients on one connection.
    """
    if hdrs.TRANSFER_ENCODING in request.headers:
        response.force_close()
        # aiohttp has already chosen the headers, and the client has to be told (RFC 9112 §9.6).
        response.headers.setdefault(hdrs.CONNECTION, "close")


def tell_nonce(
    next_nonce: Callable[[], str], header: str
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a signal that adds the nonce of the next proof to an answer (RFC 9449 §8.2)."""

    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        if is_by_dpop(request, header):
            response.headers.setdefault("DPoP-Nonce", next_nonce())  # a refusal has its own
            if "no-store" not in response.headers.get(hdrs.CACHE_CONTROL, ""):
                response.headers[hdrs.CACHE_CONTROL] = "no-store"

    return tell
