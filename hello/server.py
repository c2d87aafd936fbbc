"""How does a server start, listen and stop: for run.py, and under gunicorn?"""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from socket import gaierror
from typing import NamedTuple

from aiohttp import web

from .app import create_app
from .auth.reading.forwarded import ForwardedHeader
from .config import Config, ConfigError
from .connections import Runner
from .logs import log_to_stderr

__all__ = ["AddressError", "Runner", "Service", "production", "serve"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_APP_LOAD_ERROR = 4  # gunicorn's: at any other status it would start the worker again, forever


class Service(NamedTuple):
    """An application, its name, and the address where it listens.

    `access_log`: whether the log gets a line for each of its requests. `forwarded_from`: the
    proxies that say where a request comes from, in the `forwarded_header` if that is not None.
    """

    name: str
    app: web.Application
    host: str
    port: int
    access_log: bool = True
    forwarded_from: tuple[str, ...] = ()
    forwarded_header: ForwardedHeader | None = None


class AddressError(Exception):
    """A service cannot listen on its address.

    `service` is its name, `reason` the operating system's text. `taken`: another program listens on
    the port. `unknown_host`: the host has no address.
    """

    def __init__(self, service: Service, error: OSError) -> None:
        self.service = service.name
        self.host = service.host
        self.port = service.port
        self.reason = error.strerror or str(error)
        self.taken = error.errno == errno.EADDRINUSE
        self.unknown_host = isinstance(error, gaierror)
        super().__init__(f"{self.service}: {self.host}, port {self.port}: {self.reason}")


async def serve(services: Sequence[Service], ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let the requests that run finish.

    Calls `ready` once all services listen. Raises AddressError.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    with suppress(NotImplementedError):  # Windows: Ctrl+C arrives as KeyboardInterrupt
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop.set)
    runners = [
        Runner(
            service.app,
            access_log=service.access_log,
            forwarded_from=service.forwarded_from,
            forwarded_header=service.forwarded_header,
        )
        for service in services
    ]
    try:
        for runner, service in zip(runners, services, strict=True):
            await runner.setup()
            try:
                await web.TCPSite(runner, service.host, service.port).start()
            except OSError as error:
                raise AddressError(service, error) from error
        ready()
        await stop.wait()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        # A second signal ends the process at once. Python's own SIGINT would let handlers clean up.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    finally:
        await asyncio.gather(*(runner.cleanup() for runner in runners))
        if stop.is_set():
            signal.signal(signal.SIGINT, signal.default_int_handler)


async def production() -> web.AppRunner:
    """Return what a gunicorn worker runs: the API, configured by the environment alone.

    It reads no .env and never starts the sandbox. If the configuration is wrong, it prints one line
    for each mistake, and gunicorn ends.
    """
    try:
        config = Config.from_environ(os.environ)
        _check_metrics(config)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the operator: there is no log yet
        sys.exit(_APP_LOAD_ERROR)
    log_to_stderr(config.log_level, config.log_format)
    app = create_app(config)
    if config.metrics_port is not None:
        from .operating import metrics  # noqa: PLC0415 - its library is an extra

        metrics.serve(app, host=config.metrics_host, port=config.metrics_port)
    return Runner(
        app, forwarded_from=config.forwarded_from, forwarded_header=config.forwarded_header
    )


def _check_metrics(config: Config) -> None:
    """Raise ConfigError if there are metrics, and the workers cannot put their numbers together."""
    if config.metrics_port is not None and not Path(os.environ.get(_FOLDER) or "?").is_dir():
        problem = f"{_FOLDER} names no folder: METRICS_PORT needs one, which is empty at the start"
        raise ConfigError([problem])
