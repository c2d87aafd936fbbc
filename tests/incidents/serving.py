"""What is run, so that something can happen to it: the API, its workers, the issuer?"""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp import web

from hello.sandbox.issuer import Issuer, issuer_app
from incidents.watching import Watch
from support.api import AUDIENCE, ORIGIN, bearer
from support.machine import GUNICORN, command
from support.pages import PROJECT, run_py
from support.program import READY, free_port, running

WORKER = ("--worker-class", "aiohttp.GunicornUVLoopWebWorker", "--no-control-socket")


class Provider(Issuer):
    """The sandbox's issuer on a port of its own, which can be stopped and started again."""

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        """An issuer that runs."""
        port = free_port()
        provider = cls(audience=AUDIENCE, url=f"http://127.0.0.1:{port}/", lifetime=300)
        runner = web.AppRunner(issuer_app(provider), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        provider._runner, provider.port = runner, port
        try:
            await provider.start()
            yield provider
        finally:
            await runner.cleanup()

    _runner: web.AppRunner
    port: int

    async def start(self) -> None:
        """Listen."""
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """Refuse connections."""
        for site in list(self._runner.sites):
            await site.stop()

    def token(self) -> dict[str, str]:
        """The header of a request with a new token."""
        return bearer(self.mint())


def names_of(provider: Provider, *ports: int) -> dict[str, str]:
    """What stands in the place of texts that differ each time."""
    return {provider.url: "<issuer>", **{str(port): "<port>" for port in (provider.port, *ports)}}


def settings(provider: Provider, port: int, metrics_port: int) -> dict[str, str]:
    """The variables of the API."""
    return {
        "ISSUER_BASE_URL": provider.url,
        "AUTH0_AUDIENCE": AUDIENCE,
        "CLIENT_ORIGIN_URL": ORIGIN,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "METRICS_PORT": str(metrics_port),
        "PYTHONPATH": str(PROJECT),
    }


@asynccontextmanager
async def api(
    folder: Path,
    provider: Provider,
    environ: Mapping[str, str] | None = None,
    names: dict[str, str] | None = None,
    *,
    stderr: str | None = None,
) -> AsyncIterator[Watch]:
    """The API as run.py serves it. `stderr` is where its log goes, in place of the watch."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nobody waits meanwhile
    port, metrics_port = free_port(), free_port()
    start = [str(run_py(folder))]
    if stderr is not None:
        start = command("sh", "-c", f'exec "$0" run.py 2>{stderr}', sys.executable)
    variables = {**settings(provider, port, metrics_port), **(environ or {})}
    with running(start, folder, variables) as program:
        program.listens(port)
        program.listens(metrics_port)
        async with aiohttp.ClientSession() as session:
            yield Watch(
                program,
                session,
                port=port,
                metrics_port=metrics_port,
                names=names_of(provider, metrics_port) | (names or {}),
            )


@asynccontextmanager
async def workers(
    folder: Path,
    provider: Provider,
    target: str = "hello.server:production",
    number: int = 2,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Watch]:
    """The API, or an application of one's own in the same folder, as gunicorn serves it."""
    port, metrics_port, numbers = free_port(), free_port(), folder / "numbers"
    numbers.mkdir(parents=True)
    hook = "from hello.operating.workers import child_exit\n"
    (folder / "ready.py").write_text(READY + hook)
    variables = {
        **settings(provider, port, metrics_port),
        "PYTHONPATH": f"{PROJECT}:{folder}",
        "PROMETHEUS_MULTIPROC_DIR": str(numbers),
        **(environ or {}),
    }
    start = command(
        *(GUNICORN, target, *WORKER, "--workers", str(number)),
        *("--bind", f"127.0.0.1:{port}", "--config", "ready.py"),
    )
    with running(start, folder, variables) as program:
        program.until(lambda: program.err.count("Ready: ") == number)
        async with aiohttp.ClientSession() as session:
            yield Watch(
                program,
                session,
                port=port,
                metrics_port=metrics_port,
                names=names_of(provider, port, metrics_port),
            )
