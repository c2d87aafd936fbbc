"""What do all answers have in common: errors in JSON, security headers, CORS?"""

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

import aiohttp_cors
from aiohttp import hdrs, web
from aiohttp_cors.urldispatcher_router_adapter import ResourcesUrlDispatcherRouterAdapter
from multidict import CIMultiDict, istr

from .auth import json_error
from .auth.answers import check_nothing_sent, is_client_gone
from .auth.decisions.decision import route_of
from .auth.protected_app import refusal_log_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_logger = logging.getLogger("hello")

SECURITY_HEADERS = {
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

REQUEST_ID_HEADER = istr("X-Request-ID")

_PREPARED_HEADERS = CIMultiDict({istr(name): text for name, text in SECURITY_HEADERS.items()})

# What a client needs in order to act on an error (RFC 9110 §15.5 and §15.6, and for WebSockets
# RFC 6455 §4.4). All other headers are about the text, which is left out.
_KEPT_HEADERS = frozenset(
    {
        *("allow", "www-authenticate", "proxy-authenticate", "retry-after", "content-range"),
        *("accept", "accept-encoding", "accept-patch", "accept-post", "link"),
        *("upgrade", "connection", "sec-websocket-version"),
    }
)
_EXPOSED_HEADERS = ("WWW-Authenticate", "Retry-After", "DPoP-Nonce", REQUEST_ID_HEADER)
_CORS = aiohttp_cors.ResourceOptions(
    allow_methods=("GET", "HEAD"),
    allow_headers=("Authorization", "Content-Type", "DPoP"),
    expose_headers=_EXPOSED_HEADERS,
    max_age=86400,
)


@web.middleware
async def errors_as_json(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Turn every error into a JSON answer that tells the client the status and nothing more."""
    try:
        if request.method == hdrs.METH_OPTIONS:
            _check_preflight(request)
        answer: object = await handler(request)
        if isinstance(answer, web.StreamResponse):
            return answer
        raise TypeError(f"a handler returned {type(answer).__name__}, not a response")
    except web.HTTPException as error:
        failure = error if error.status < HTTPStatus.BAD_REQUEST else http_error(error)
    except web.RequestPayloadError as error:  # the body that a handler reads is not what it says
        _log_malformed_body(request, error)
        failure = json_error(400, HTTPStatus.BAD_REQUEST.phrase)
    except Exception as error:
        if isinstance(error, ConnectionError) and is_client_gone(request):
            raise  # it was not the application that failed
        _logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
        failure = json_error(500, HTTPStatus.INTERNAL_SERVER_ERROR.phrase)
    check_nothing_sent(request)
    if isinstance(failure, web.HTTPException):
        raise failure  # a redirect
    return failure


def _log_malformed_body(request: web.Request, error: Exception) -> None:
    kind, log = "malformed_body", refusal_log_of(request)
    if log is None or log.gets_own_line(request, kind, route=route_of(request), handled=True):
        extra = {"status": 400, "reason": kind}
        _logger.warning("refused 400 %s: %s", kind, type(error).__name__, extra=extra)


def http_error(error: web.HTTPException) -> web.Response:
    """Return the answer to an aiohttp error: the text is left out, because it may tell too much."""
    kept = [each for each in error.headers.items() if each[0].lower() in _KEPT_HEADERS]
    return json_error(error.status, status_phrase(error.status), CIMultiDict(kept))


def status_phrase(status: int) -> str:
    """Return the name of a status (RFC 9110 §15), or `Error` if it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def security_headers(app: web.Application) -> None:
    """Set the security headers on every answer, and remove `Server`."""
    app.on_response_prepare.append(_set_security_headers)


async def _set_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_PREPARED_HEADERS)
    response.headers.popall(hdrs.SERVER, None)


def allow_client(app: web.Application, origin: str) -> None:
    """Let the pages of one origin read the answers of an application (CORS).

    Call it after all routes were added: it adds a preflight to each of them.
    """
    router = ResourcesUrlDispatcherRouterAdapter(app.router, {origin: _CORS})
    # aiohttp-cors answers the preflights. It also adds a signal for all other answers; that one
    # sets nothing on a 404 or a 405, and drops the connection if a handler has set such a header.
    # So it is given to an application that serves nothing, and the signal below sets the headers.
    preflights = aiohttp_cors.CorsConfig(
        web.Application(), defaults={origin: _CORS}, router_adapter=router
    )
    app[aiohttp_cors.APP_CONFIG_KEY] = preflights  # where aiohttp_cors.CorsViewMixin looks for it
    for route in list(app.router.routes()):
        preflights.add(route)
    exposed = ", ".join(_EXPOSED_HEADERS)

    async def set_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        varies = headers.getall(hdrs.VARY, None)
        headers[hdrs.VARY] = hdrs.ORIGIN if varies is None else _with_origin(varies)
        if request.headers.get(hdrs.ORIGIN) == origin:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = exposed

    app.on_response_prepare.append(set_cors_headers)


def _with_origin(vary: list[str]) -> str:
    """Return one `Vary` for several that also names `Origin`, once (RFC 9110 §12.5.5)."""
    names = [name.strip() for line in vary for name in line.split(",")]
    others = [name for name in names if name and name.lower() != "origin"]
    return ", ".join([*others, hdrs.ORIGIN])


def _check_preflight(request: web.Request) -> None:
    # aiohttp-cors repeats these headers in its refusal, and cannot send them if they are not ASCII.
    for name in (
        hdrs.ORIGIN,
        hdrs.ACCESS_CONTROL_REQUEST_METHOD,
        hdrs.ACCESS_CONTROL_REQUEST_HEADERS,
    ):
        if not request.headers.get(name, "").isascii():
            raise web.HTTPForbidden
