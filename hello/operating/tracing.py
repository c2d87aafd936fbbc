"""What does a trace of a request show: which route, what was decided, and what the issuer took?

OpenTelemetry's own instrumentation makes the spans. It is shown a copy of each request without what
must not get into a trace, and without what would make it fail.
"""

import warnings
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, cast

from aiohttp import hdrs, web

from hello import auth
from hello.auth.protection import arguments_of, observe
from hello.auth.reading.proxies import TrustedProxies
from hello.logs.cleaning import cleaned
from hello.logs.requests import rename_request

from .extras import needs
from .watched import protected_applications

with needs("opentelemetry-instrumentation-aiohttp-server"):
    from opentelemetry import propagate, trace
    from opentelemetry.instrumentation.aiohttp_server import (
        AioHttpServerInstrumentor,
        create_aiohttp_middleware,
    )

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

_SECRET_HEADERS = {
    *(hdrs.AUTHORIZATION, hdrs.PROXY_AUTHORIZATION, hdrs.COOKIE, "DPoP"),
    hdrs.SEC_WEBSOCKET_PROTOCOL,  # it may hold a token
}
_TRACE_HEADERS = {"traceparent", "tracestate", "baggage", "b3"}
_NO_HOST = "host.invalid"  # RFC 6761 §6.4


def trace_requests(
    app: web.Application, *, user_id: bool = False, traceparent_from: Collection[str] = ()
) -> None:
    """Make a span of each request of an application, and note what `auth` decided.

    The span gets `hello.auth.outcome`, `hello.auth.reason` and `hello.auth.duration` (seconds), and
    `user.id` if `user_id` is set: the `sub`, which identifies a person. Applications within this
    one are traced, too. Call it before the application starts. The span has no query, no token, and
    nothing that looks like a token. Its trace id is the id of the request in the log.

    `traceparent_from` are proxies: IP addresses, networks, or `unix` for a Unix socket. Only they
    may say which trace a request belongs to, and whether it is recorded. All other requests begin a
    trace. Raises ValueError for other addresses.
    """
    if auth.TOKEN_VALIDATOR not in app:
        raise RuntimeError("call auth.setup first, and then trace_requests")
    for each in [*app.middlewares]:
        if getattr(each, "__module__", None) == create_aiohttp_middleware.__module__:
            # It is at work already, and has put itself first into each application.
            app.middlewares.remove(each)
    hidden, traced_by = {*_SECRET_HEADERS}, {*_TRACE_HEADERS}
    believed = TrustedProxies(traceparent_from) if traceparent_from else None

    async def watch(app: web.Application) -> None:
        for part in protected_applications(app):
            observe(part, partial(_note, user_id=user_id))
            hidden.add(arguments_of(part).header)
        traced_by.update(propagate.get_global_textmap().fields)

    app.on_startup.append(watch)
    instrumented = _instrumentation()

    @web.middleware
    async def traced(request: web.Request, handler: "Handler") -> web.StreamResponse:
        async def handle(_shown: web.Request) -> web.StreamResponse:
            span = trace.get_current_span().get_span_context()
            if span.is_valid:
                rename_request(request, f"{span.trace_id:032x}")
            return await handler(request)

        is_believed = believed is not None and believed.sent(request)
        shown = _shown(request, hidden if is_believed else hidden | traced_by)
        answer: web.StreamResponse = await instrumented(shown, handle)
        return answer

    app.middlewares.insert(0, traced)


def _note(decision: auth.Decision, *, user_id: bool) -> None:
    span = trace.get_current_span()
    span.set_attribute("hello.auth.outcome", "allowed" if not decision.refusal else "refused")
    span.set_attribute("hello.auth.duration", decision.seconds)
    if decision.refusal is not None:
        span.set_attribute("hello.auth.reason", decision.outcome)
    if user_id and decision.subject is not None:
        span.set_attribute("user.id", cleaned(decision.subject))


def _instrumentation() -> "Middleware":
    instrumentor = AioHttpServerInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        with warnings.catch_warnings():
            # It derives a class from web.Application, which aiohttp discourages, and puts it in the
            # place of web.Application. Neither is needed here, and the latter is undone.
            warnings.simplefilter("ignore", DeprecationWarning)
            instrumentor.instrument(raise_exception_on_conflict=True)
        instrumentor.uninstrument()
    return cast("Middleware", create_aiohttp_middleware())


def _shown(request: web.Request, hidden: Collection[str]) -> web.Request:
    """Return a copy of a request for a trace."""
    headers = request.headers.copy()
    for name in hidden:
        headers.popall(name, None)
    for name in {*headers}:
        values = headers.popall(name)
        headers.extend((cleaned(name), cleaned(value)) for value in values)
    path = cleaned(request.rel_url.raw_path)
    shown = request.clone(
        rel_url=request.rel_url.with_path(path, encoded=True),
        headers=headers,
        host=cleaned(request.host),
    )
    try:
        _ = shown.url.host
    except ValueError:  # `authenticate` refuses such a host
        return shown.clone(host=_NO_HOST)
    return shown
