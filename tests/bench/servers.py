"""What is measured, and how is it started?

`python tests/bench/servers.py` is one server in a process of its own: this API as production runs
it, a bare aiohttp server to compare it with, or the issuer. `started` starts such a process, or
another command, on a core of its own.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from hello.auth import TrustedIssuer

PROJECT = Path(__file__).resolve().parents[2]
ORIGIN = "http://localhost:4040"
PUBLIC = "/api/messages/public"
PROTECTED = "/api/messages/protected"

_STARTED_SECONDS = 30
_ENDED_SECONDS = 10


class StartError(Exception):
    """A server did not begin to listen, or ended. The message holds what it said."""


def cores() -> tuple[int, int] | None:
    """Return the core for the server and the one for the load, or None where there are not two."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    available = sorted(_ALL_CORES)
    return (available[0], available[-1]) if len(available) > 1 else None


_ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def pin_to(core: int | None) -> None:
    """Keep this process, and what it starts from now on, on one core; None: on any."""
    if cores() is not None:
        os.sched_setaffinity(0, _ALL_CORES if core is None else {core})


def api(port: int, issuer: str, audience: str, **environ: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of this API, as production runs it."""
    return (
        [sys.executable, str(PROJECT / "tests/bench/servers.py"), "api", str(port)],
        {
            "CLIENT_ORIGIN_URL": ORIGIN,
            "ISSUER_BASE_URL": issuer,
            "AUTH0_AUDIENCE": audience,
            "LOG_LEVEL": "warning",
            "JWKS_MAX_AGE": "86400",  # what is measured is no refresh
            "JWKS_MAX_STALE": "86400",
            **environ,
        },
    )


def bare(port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command of a bare aiohttp server with this API's headers."""
    return [sys.executable, str(PROJECT / "tests/bench/servers.py"), "bare", str(port)], {}


@contextmanager
def started(
    command: Sequence[str],
    environ: Mapping[str, str],
    port: int,
    *,
    core: int | None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server; it listens on the port by then, and has ended afterwards.

    `log`: the file that takes its standard error, or None to throw it away. Raises StartError.
    """
    before = os.sched_getaffinity(0) if cores() is not None else None
    pin_to(core)  # inherited, so that no thread of it begins elsewhere
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED}
    output: IO[bytes] | int = subprocess.DEVNULL if log is None else log.open("wb")
    try:
        process = subprocess.Popen(
            command, env={**inherited, **environ}, stdout=subprocess.DEVNULL, stderr=output
        )
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
        if not isinstance(output, int):
            output.close()
    try:
        _wait_until_listening(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_ENDED_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "NODE_PATH")


def is_listening(port: int) -> bool:
    """Say whether somebody listens on a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path | None) -> None:
    deadline = time.monotonic() + _STARTED_SECONDS
    while not is_listening(port):
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log is not None else ""
            raise StartError(f"{process.args!r} does not listen on port {port}\n{said}")
        time.sleep(0.002)


def main() -> None:
    """Be a server, until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("api", "bare", "issuer"))
    parser.add_argument("port", type=int)
    parser.add_argument("--routes", type=int, default=0, help="more routes of the API")
    parser.add_argument("--issuers", type=int, default=1, help="that the API trusts")
    parser.add_argument("--jwks", type=Path, help="what the issuer publishes")
    parser.add_argument("--no-headers", action="store_true", help="of the API, on the bare server")
    arguments = parser.parse_args()
    sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]
    if arguments.kind == "api":
        _serve_api(arguments.port, arguments.routes, arguments.issuers)
    elif arguments.kind == "bare":
        _serve_bare(arguments.port, with_headers=not arguments.no_headers)
    else:
        _serve_issuer(arguments.port, json.loads(arguments.jwks.read_text()))


# What a server imports counts towards its start, so each imports its own, and where it is used.


def _serve_api(port: int, more_routes: int, issuers: int) -> None:
    from hello import auth
    from hello.app import create_app, token_validator
    from hello.config import Config
    from hello.logs import log_to_stderr
    from hello.messages import message_routes, protected_message
    from hello.responses import allow_client, errors_as_json, security_headers
    from hello.server import Service, serve
    from run import loop_factory

    config = Config.from_environ(os.environ)
    if more_routes or issuers > 1:  # create_app's lines, with more of either
        app = web.Application(middlewares=[errors_as_json])
        validator = token_validator(config)
        if issuers > 1:
            validator = auth.TokenValidator(
                issuers=_trusted(config.issuer, issuers),
                jwks_max_age=config.jwks_max_age,
                jwks_max_stale=config.jwks_max_stale,
            )
        auth.setup(app, validator)
        app.add_routes(message_routes(admin_permission=None))
        app.add_routes(web.get(f"/api/more/{n}", protected_message) for n in range(more_routes))
        security_headers(app)
        allow_client(app, config.client_origin)
    else:
        app = create_app(config)
    log_to_stderr(config.log_level, config.log_format)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve([Service("API", app, "127.0.0.1", port)], ready=lambda: None))


def _trusted(url: str, count: int) -> "list[TrustedIssuer]":
    """As many issuers, whose keys are all in one place."""
    from bench.token_sets import AUDIENCE, nth_issuer
    from hello.auth import TrustedIssuer

    return [
        TrustedIssuer(
            issuer=nth_issuer(url, number),
            audience=AUDIENCE,
            jwks_uri=f"{url}.well-known/jwks.json",
        )
        for number in range(count)
    ]


def _serve_bare(port: int, *, with_headers: bool) -> None:
    import uvloop

    headers = _HEADERS if with_headers else None

    async def public_message(_request: web.Request) -> web.Response:
        return web.json_response({"text": "This is a public message."}, headers=headers)

    async def protected_message(_request: web.Request) -> web.Response:
        return web.json_response({"text": "This is a protected message."}, headers=headers)

    app = web.Application()
    app.add_routes([web.get(PUBLIC, public_message), web.get(PROTECTED, protected_message)])
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


def _serve_issuer(port: int, published: list[dict[str, object]]) -> None:
    from bench.token_sets import AUDIENCE
    from hello.sandbox.issuer import Issuer, issuer_app

    issuer = Issuer(audience=AUDIENCE, url=f"http://localhost:{port}/")
    issuer.published = list(published)
    web.run_app(issuer_app(issuer), host="127.0.0.1", port=port, access_log=None, print=None)


# The API's own are not imported, so that the bare server's start is its own.
_HEADERS = {
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
    "Vary": "Origin",
}


if __name__ == "__main__":
    main()
