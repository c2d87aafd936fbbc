"""How does an application meet its clients, from the first byte to the last?

aiohttp does it; here is what the contract asks beyond that: an answer of our own to what is no
HTTP, a log that never holds what was sent, and an end that loses no request.
"""

import asyncio
import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from socket import gaierror
from typing import Any, NamedTuple

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from .app import create_app
from .auth import json_error
from .config import Config, ConfigError
from .logs import AccessLog, log_to_stderr
from .responses import HEADERS, http_error, phrase

_logger = logging.getLogger("hello")
_access_logger = logging.getLogger("hello.access")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KEEPALIVE_SECONDS = 75  # longer than the load balancers that reuse our connections
_DRAIN_SECONDS = 1
_APP_LOAD_ERROR = 4  # gunicorn's: with any other status it would start the worker again, for ever
# With _DRAIN_SECONDS less than the 30 s after which gunicorn and Kubernetes send SIGKILL.
_IN_FLIGHT_SECONDS = 24


class AddressError(Exception):
    """An address cannot be listened on. The message says which and why."""


class Service(NamedTuple):
    """An application and where it listens.

    `port_setting` is what decides the port, and `way_out` what else can be done where it is taken;
    `access_log` whether there is a line for each request.
    """

    app: web.Application
    host: str
    port: int
    port_setting: str = "PORT"
    way_out: str = ""
    access_log: bool = True


class Runner(web.AppRunner):
    """Runs an application; on its end, lets its connections drain.

    A client that reuses its connection may be sending the next request just now: so for a moment
    each answer still goes out, and asks the client to close (RFC 9112 §9.6).
    """

    def __init__(self, app: web.Application, *, access_log: bool = True) -> None:
        self._access_log = access_log
        # aiohttp waits that long twice: again after telling who reads a body that no more comes.
        super().__init__(app, shutdown_timeout=_IN_FLIGHT_SECONDS / 2)

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        drained = _Server(server.request_handler, request_factory=server.request_factory)
        drained.access_log = self._access_log
        return drained

    async def cleanup(self) -> None:
        """Stop listening, let connections drain, finish what is in flight."""
        server = self.server
        if isinstance(server, _Server):
            for site in self.sites:
                await site.stop()
            server.draining = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    while server.connections:  # noqa: ASYNC110 - aiohttp tells nobody
                        await asyncio.sleep(_DRAIN_SECONDS / 100)
        await super().cleanup()


class _Server(web.Server):
    draining = False
    access_log = True

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_KEEPALIVE_SECONDS,
            logger=_logger,
            access_log=_access_logger if self.access_log else None,
            access_log_class=AccessLog,
        )


class _RequestHandler(web.RequestHandler):
    def __init__(self, server: _Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer."""
        if isinstance(resp, web.HTTPException):
            if request.writer.output_size:
                raise ConnectionError("half an answer is on its way")
            # One that no middleware has seen: aiohttp itself refuses an Expect that it cannot meet.
            if resp.status >= HTTPStatus.BAD_REQUEST:
                resp = http_error(resp)
        if self._server.draining:
            resp.force_close()
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what failed outside of every handler; a body that is not what it says is no error."""
        error = options.get("exc_info")
        if isinstance(error, web.RequestPayloadError):
            _logger.warning("a request's body could not be read: %s", type(error).__name__)
        else:
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it would echo what was sent
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what failed outside of every middleware."""
        half_sent = request.writer.output_size > 0
        if isinstance(exc, HttpProcessingError):
            # Its text, and its stack's, hold the bytes that were sent: a token may be among them.
            _logger.warning("refused %d malformed_request: %s", status, type(exc).__name__)
        elif not (half_sent and isinstance(exc, ConnectionError)):  # else the client went away
            _logger.error("a request failed outside of the application", exc_info=exc)
        if half_sent:
            raise ConnectionError("half an answer is on its way")
        response = _Unrouted(status)
        response.force_close()
        return response


class _Unrouted(web.Response):
    """An answer that no application's signals will see, so that it brings its headers itself."""

    def __init__(self, status: int) -> None:
        error = json_error(status, phrase(status))
        headers = {
            **HEADERS,
            hdrs.VARY: hdrs.ORIGIN,
            hdrs.CONTENT_TYPE: error.headers["Content-Type"],
        }
        super().__init__(status=status, body=error.body, headers=headers)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.SERVER, None)


async def serve(services: Sequence[Service], ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, and finish what is in flight. Calls `ready` once listening.

    Raises AddressError.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    with suppress(NotImplementedError):  # Windows: Ctrl+C arrives as KeyboardInterrupt
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop.set)
    runners = [Runner(service.app, access_log=service.access_log) for service in services]
    try:
        for runner, service in zip(runners, services, strict=True):
            await runner.setup()
            await _listen(runner, service)
        ready()
        await stop.wait()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)  # who says it twice does not want to wait
    finally:
        await asyncio.gather(*(runner.cleanup() for runner in runners))


async def _listen(runner: Runner, service: Service) -> None:
    try:
        await web.TCPSite(runner, service.host, service.port).start()
    except gaierror as error:
        raise AddressError(f"HOST {service.host} cannot be found: {error.strerror}") from error
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        hint = f"; stop what listens there first{service.way_out}" if taken else ""
        raise AddressError(
            f"{service.port_setting} {service.port} on {service.host} cannot be listened on: "
            f"{error.strerror or error}{hint}"
        ) from error


async def production() -> web.AppRunner:
    """Return what a gunicorn worker runs, configured by the environment alone: no .env, no sandbox.

    A configuration that cannot work ends gunicorn, each mistake on a line.
    """
    try:
        config = Config.from_environ(os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the operator's answer, before there is a log
        sys.exit(_APP_LOAD_ERROR)
    log_to_stderr(config.log_level)
    return Runner(create_app(config))
