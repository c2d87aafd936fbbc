"""How does an application treat a connection, from its first byte to its last?

aiohttp does most of it. The contract asks for more: an answer of our own to what is not HTTP, a log
that never holds what a client sent, and an end that loses no request. For that, these classes
override methods that aiohttp does not document. They are all here, in bodies.py, and in
auth/reading/body.py, and tests/api/test_connections.py checks each of them against the aiohttp that
is installed.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast, get_args

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from .auth import json_error
from .auth.answers import check_nothing_sent, is_client_gone, is_partly_answered
from .auth.decisions.decision import REQUEST_ID
from .auth.decisions.refusal_log import RefusalLog
from .auth.explaining import note_server
from .auth.reading.forwarded import ForwardedHeader
from .auth.reading.proxies import TrustedProxies
from .bodies import LazyBody
from .incoming import NewRequest
from .logs import AccessLog
from .logs.access import BEGUN
from .responses import REQUEST_ID_HEADER, SECURITY_HEADERS, http_error, status_phrase
from .streams import end_streams, ended_stream, note_stream

_logger = logging.getLogger("hello")
_access_logger = logging.getLogger("hello.access")

_KEEPALIVE_SECONDS = 75  # longer than the load balancers that reuse our connections
_DRAIN_SECONDS = 1
# Together with _DRAIN_SECONDS, less than the 30 s after which gunicorn and Kubernetes send SIGKILL.
_IN_FLIGHT_SECONDS = 24


class Runner(web.AppRunner):
    """Runs an application, and drains its connections before it ends.

    A client that reuses a connection may be sending its next request at this moment. So for a short
    time every request is still answered, and every answer asks the client to close the connection
    (RFC 9112 §9.6). Event streams and WebSockets are ended, because they would not end by
    themselves. Each request has an id, which is in the log and in the answer.

    `max_field_size` limits the value of a header, in bytes; aiohttp's own limit is 8,190. Raise it
    for tokens that are longer. `max_field_size` in an application's handler_args is stronger.
    `forwarded_from` are proxies: IP addresses, networks, or `unix` for a Unix socket. From them,
    `Forwarded` (RFC 7239) and `X-Forwarded-For` say what `request.remote` is. If the proxies write
    only one of the two, `forwarded_header` is its name; then a client cannot hide its address by
    writing the other one. Raises ValueError for other addresses and names.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        access_log: bool = True,
        max_field_size: int | None = None,
        forwarded_from: Collection[str] = (),
        forwarded_header: ForwardedHeader | None = None,
    ) -> None:
        self._proxies = TrustedProxies(forwarded_from) if forwarded_from else None
        if forwarded_header not in (None, *get_args(ForwardedHeader)):
            names = " or ".join(get_args(ForwardedHeader))
            raise ValueError(f"forwarded_header is {names}, not {forwarded_header!r}")
        self._forwarded_header = forwarded_header
        limit: dict[str, Any] = {}
        if max_field_size is not None:
            limit = {"max_field_size": max_field_size}
        super().__init__(
            app,
            # aiohttp waits this long twice: once for the requests that run, and once more after it
            # has told their handlers that no more of the body comes.
            shutdown_timeout=_IN_FLIGHT_SECONDS / 2,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            logger=_logger,
            access_log=_access_logger if access_log else None,
            access_log_class=AccessLog,
            **limit,
        )
        note_server(self)

    async def _make_server(self) -> web.Server:
        if _note_answer not in self.app.on_response_prepare:
            self.app.on_response_prepare.append(_note_answer)
        server = await super()._make_server()
        # The options above, and the application's handler_args.
        options = server._kwargs  # noqa: SLF001
        ours = _Server(
            server.request_handler,
            request_factory=NewRequest(
                server.request_factory,
                # Unless the application says otherwise, a body is decompressed when it is read.
                lazy_bodies="auto_decompress" not in options,
                proxies=self._proxies,
                forwarded_header=self._forwarded_header,
            ),
            handler_cancellation=server.handler_cancellation,
            **{"auto_decompress": False, **options},
        )
        ours()  # raises TypeError now, not at the first connection, if an option is unknown
        return ours

    async def cleanup(self) -> None:
        """Stop listening, drain the connections, and let the requests that run finish."""
        server = self.server
        if isinstance(server, _Server):
            for site in self.sites:
                await site.stop()
            server.draining = True
            ending = asyncio.create_task(end_streams(server))
            try:
                await self._drain(server)
                await super().cleanup()
            finally:
                ending.cancel()
                with suppress(asyncio.CancelledError):
                    await ending
        else:
            await super().cleanup()

    async def _drain(self, server: "_Server") -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while server.connections:  # noqa: ASYNC110 - aiohttp has no event for it
                    await asyncio.sleep(_DRAIN_SECONDS / 100)
        server.refusal_log.sum_up()


async def _note_answer(request: web.Request, response: web.StreamResponse) -> None:
    """Tell the client the id of its request, and note what may be cut off or has to be ended."""
    response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]
    if type(response) is not web.Response:  # nearly all are, and to look at streams is slow
        request[BEGUN] = response.status
        note_stream(request, response)


class _Server(web.Server):
    draining = False  # the server is about to stop

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(self._answer, **options)
        self._application = handler
        self.refusal_log = RefusalLog()

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(self, loop=asyncio.get_running_loop(), **self._kwargs)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Have the application answer a request, unless it is refused already."""
        if not isinstance(request, web.Request):
            return await cast("_RequestHandler", request.protocol).refuse(request)
        try:
            return await self._application(request)  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            stream = ended_stream(request)
            if stream is None:
                raise
            return stream  # so that aiohttp completes it


def is_draining(request: web.BaseRequest) -> bool:
    """Return whether the server that got a request is a Runner's and about to stop."""
    protocol = request.protocol
    return isinstance(protocol, _RequestHandler) and protocol.draining


class _RequestHandler(web.RequestHandler):
    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    @property
    def draining(self) -> bool:
        """The server is about to stop."""
        return self._server.draining

    async def refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request that no application sees."""
        self._log_malformed(request, HTTPStatus.BAD_REQUEST, "target")
        return self._error(request, HTTPStatus.BAD_REQUEST)

    def _log_malformed(self, request: web.BaseRequest, status: int, what: str) -> None:
        if self._server.refusal_log.gets_own_line(request, "malformed_request"):
            _logger.warning(
                "refused %d malformed_request: %s",
                status,
                what,
                extra={"status": status, "reason": "malformed_request"},
            )

    async def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Any
    ) -> tuple[web.StreamResponse, bool]:
        """Have a request answered. Log those that end with no answer, or with a part of it."""
        try:
            return await super()._handle_request(request, start_time, request_handler)
        except BaseException:  # the client or the server ends the connection, or a handler has to
            if start_time is not None and isinstance(self.access_logger, AccessLog):
                self.access_logger.log_cut_off(request, self._loop.time() - start_time)
            raise

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer."""
        if type(resp) is not web.Response:  # nearly all are, and the checks of other types are slow
            answer: object = resp
            if not isinstance(answer, web.StreamResponse):  # aiohttp logs it and answers 500
                return await super().finish_response(request, resp, start_time)
            if isinstance(resp, web.HTTPException):  # one that no middleware has seen
                check_nothing_sent(request)
                if resp.status >= HTTPStatus.BAD_REQUEST:
                    resp = http_error(resp)
        if self.draining:
            resp.force_close()
        is_unasked = isinstance(request.content, LazyBody) and request.content.unasked
        if is_unasked or resp.status == HTTPStatus.REQUEST_TIMEOUT:
            # The client may send the body or not, so what comes next cannot be told from a request.
            # A body that is late may never come.
            resp.force_close()
            self._lingering_time = 1.0
        if hdrs.UPGRADE in request.headers and resp.status != HTTPStatus.SWITCHING_PROTOCOLS:
            # aiohttp has stopped reading requests, and may not start again.
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        except Exception as error:
            # A signal of the application failed, or a header holds what no header can.
            _logger.exception("an answer could not be sent")
            if is_partly_answered(request):
                raise ConnectionError("a part of the answer was sent already") from error
            failure = self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR)
            # Without it aiohttp calls no signal.
            request._match_info = None  # type: ignore[attr-defined]  # noqa: SLF001
            return await super().finish_response(request, failure, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an error that no handler raised. A body that cannot be decoded is only a warning."""
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError):
            _logger.warning("a request's body could not be read: %s", type(error).__name__)
        else:
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it would repeat what the client sent
    ) -> web.StreamResponse:
        """Answer a request that is not HTTP, or that failed outside of every middleware."""
        if isinstance(exc, HttpProcessingError):
            # Its text and its stack hold the bytes that were sent, perhaps with a token in them.
            self._log_malformed(request, status, type(exc).__name__)
        elif isinstance(exc, web.RequestPayloadError):
            status = HTTPStatus.BAD_REQUEST
            self._log_malformed(request, status, type(exc).__name__)
        elif not (
            isinstance(exc, ConnectionError)
            and (is_partly_answered(request) or is_client_gone(request))
        ):
            # Otherwise the client is gone, or check_nothing_sent raised and the cause is logged.
            _logger.error("a request failed outside of the application", exc_info=exc)
        check_nothing_sent(request)
        return self._error(request, status)

    def _error(self, request: web.BaseRequest, status: int) -> web.StreamResponse:
        response = _ErrorResponse(status, request[REQUEST_ID])
        response.force_close()
        return response


class _ErrorResponse(web.Response):
    """An error from outside of the application, so none of its signals sets these headers."""

    def __init__(self, status: int, request_id: str) -> None:
        error = json_error(status, status_phrase(status))
        headers = {
            **SECURITY_HEADERS,
            REQUEST_ID_HEADER: request_id,
            hdrs.VARY: hdrs.ORIGIN,
            hdrs.CONTENT_TYPE: error.headers["Content-Type"],
        }
        super().__init__(status=status, body=error.body, headers=headers)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)
