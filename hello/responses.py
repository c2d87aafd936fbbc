"""How does every answer leave: errors as JSON, security headers, CORS?"""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp_cors
from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

from .auth import json_error

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_logger = logging.getLogger("hello")

HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-DNS-Prefetch-Control": "off",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cross-Origin-Resource-Policy": "same-site",
}
"""On every answer."""

_EXPOSED = ("WWW-Authenticate", "Retry-After")
_CORS = aiohttp_cors.ResourceOptions(
    allow_methods=("GET", "HEAD"),
    allow_headers=("Authorization", "Content-Type"),
    expose_headers=_EXPOSED,
    max_age=86400,
)


@web.middleware
async def errors_as_json(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Answer every error, planned or not, in JSON that says no more than its status does."""
    try:
        if request.method == hdrs.METH_OPTIONS:
            _check_preflight(request)
        answer: object = await handler(request)
        if isinstance(answer, web.StreamResponse):
            return answer
        raise TypeError(f"a handler returned {type(answer).__name__} for an answer")  # noqa: TRY301
    except web.HTTPException as error:
        failure = error if error.status < HTTPStatus.BAD_REQUEST else http_error(error)
    except Exception:
        _logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        failure = json_error(500, HTTPStatus.INTERNAL_SERVER_ERROR.phrase)
    if request.writer.output_size:
        # Only the connection's end can still tell the client.
        raise ConnectionError("half an answer is on its way")
    if isinstance(failure, web.HTTPException):
        raise failure  # a redirect
    return failure


def http_error(error: web.HTTPException) -> web.Response:
    """Return what answers an aiohttp error: its status and `Allow`, and none of its text."""
    allow = error.headers.get(hdrs.ALLOW)
    headers = None if allow is None else {"Allow": allow}
    return json_error(error.status, phrase(error.status), headers)


def phrase(status: int) -> str:
    """Return what a status is called, if it has a name (RFC 9110 §15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _check_preflight(request: web.Request) -> None:
    # aiohttp-cors quotes these in its refusal, and what is not ASCII breaks its answer.
    for name in (
        hdrs.ORIGIN,
        hdrs.ACCESS_CONTROL_REQUEST_METHOD,
        hdrs.ACCESS_CONTROL_REQUEST_HEADERS,
    ):
        if not request.headers.get(name, "").isascii():
            raise web.HTTPForbidden


def allow_client(app: web.Application, origin: str) -> None:
    """Let pages of one origin read this API, and set the headers that every answer has.

    To be called when all routes are there: each gets its own preflight.
    """
    cors = aiohttp_cors.setup(app, defaults={origin: _CORS})
    for route in list(app.router.routes()):
        cors.add(route)
    # aiohttp-cors answers preflights. Its signal for all other answers knows nothing of 404 and
    # 405, so ours takes its place: else the work would be done twice, on every request.
    signals = app.on_response_prepare
    for receiver in [each for each in signals if each.__module__.startswith("aiohttp_cors.")]:
        signals.remove(receiver)
    app.on_response_prepare.append(_headers_for(origin))


def _headers_for(
    origin: str,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    exposed = ", ".join(_EXPOSED)
    always = CIMultiDict({istr(name): value for name, value in HEADERS.items()})
    always[hdrs.VARY] = hdrs.ORIGIN

    async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        varies = headers.getall(hdrs.VARY, None)  # the handler's own
        headers.update(always)
        headers.popall(hdrs.SERVER, None)
        if varies is not None:
            headers[hdrs.VARY] = _with_origin(varies)
        if request.headers.get(hdrs.ORIGIN) == origin:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = exposed

    return set_headers


def _with_origin(varies: list[str]) -> str:
    """Return one `Vary` that says what these say, and `Origin` once (RFC 9110 §12.5.5)."""
    names = [name.strip() for line in varies for name in line.split(",")]
    others = [name for name in names if name and name.lower() != "origin"]
    return ", ".join([*others, hdrs.ORIGIN])
