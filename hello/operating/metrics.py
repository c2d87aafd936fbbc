"""How does Prometheus learn what an application does?

Requests and decisions are counted in traffic.py, when they happen. What the validators count by
themselves is copied from time to time, so it costs nothing on a request.
"""

import asyncio
import logging
import os
from collections import Counter as Numbers
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from hello.auth import TokenValidator, Validator, audit_counts
from hello.auth.protection import observe
from hello.connections import Runner
from hello.logs.writing import newly_lost
from hello.responses import errors_as_json, security_headers
from hello.tokens.keys.state import KeyFetch, State

from .extras import needs
from .health import is_ready
from .series import MULTIPROCESS, RESOLVED, of_all_processes, series_in
from .traffic import Traffic
from .watched import protected_applications, token_validators, validators

with needs("prometheus-client"):
    from prometheus_client import (
        CONTENT_TYPE_PLAIN_0_0_4,
        REGISTRY,
        CollectorRegistry,
        Counter,
        generate_latest,
    )

_logger = logging.getLogger("hello")
_COPY_SECONDS = 5


class Metrics:
    """Counts what one application does. `registry` takes the metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._series = series_in(registry)
        self.traffic = Traffic(self._series)
        self._all_validators: list[Validator] = []
        self._validators: list[TokenValidator] = []
        self._audited: list[web.Application] = []
        self._copied: dict[Counter, int] = {}  # so far

    def watch(self, app: web.Application) -> None:
        """Count what is decided in an application and its parts, and what their validators do."""
        self._audited = protected_applications(app)
        for part in self._audited:
            observe(part, self.traffic.decided)
        self._all_validators, self._validators = validators(app), token_validators(app)
        for validator in self._validators:
            validator.fetch_listeners.append(partial(self._fetched, validator))
            for keys in validator.issuers.fetched:
                for result in ("success", "failure"):  # so that the first one shows, too
                    self._series.fetch_seconds.labels(_source(validator, keys.source), result)

    def copy(self) -> None:
        """Copy the numbers of the validators."""
        series, caches = self._series, [each.verified for each in self._validators]
        self._copy_keys()
        series.ready.set(is_ready(self._all_validators))
        series.cache_bytes.set(sum(cache.bytes for cache in caches))
        lookups = Numbers(hit=sum(c.hits for c in caches), miss=sum(c.misses for c in caches))
        proofs, introspections, audited = Numbers[str](), Numbers[str](), Numbers[str]()
        for dpop in {each.dpop for each in self._validators if each.dpop is not None}:
            proofs.update(dpop.counts)
        for validator in self._validators:
            if validator.introspected is not None:
                introspections.update(validator.introspected[1].counts)
        for part in self._audited:
            audited.update(audit_counts(part)._asdict())
        del audited["waiting"]  # nothing has become of them yet
        for counter, numbers in (
            (series.cache_lookups, lookups),
            (series.proofs, proofs),
            (series.introspections, introspections),
            (series.audited, audited),
        ):
            for result, number in numbers.items():
                child = counter.labels(result)
                child.inc(number - self._copied.get(child, 0))
                self._copied[child] = number
        series.log_lost.inc(newly_lost())

    def _copy_keys(self) -> None:
        sets, fetched_at = Numbers[tuple[str, State]](), dict[str, float]()
        for validator in self._validators:
            now = validator.timing.clock.time()
            for keys in validator.issuers.fetched:
                source, state = _source(validator, keys.source), keys.state
                sets.update({(source, each): int(each is state.state) for each in State})
                if state.age is not None:
                    at = now - state.age
                    fetched_at[source] = min(at, fetched_at.get(source, at))
        for (source, each), number in sets.items():
            self._series.key_sets.labels(source, each).set(number)
        for source, at in fetched_at.items():
            self._series.fetched_at.labels(source).set(at)

    def _fetched(self, validator: TokenValidator, fetch: KeyFetch) -> None:
        result = "success" if fetch.succeeded else "failure"
        source = _source(validator, fetch.source)
        self._series.fetch_seconds.labels(source, result).observe(fetch.seconds)

    async def page(self, _request: web.Request) -> web.Response:
        """Answer with all metrics, in the text format of Prometheus."""
        self.copy()
        if MULTIPROCESS in os.environ:
            try:
                body = await asyncio.to_thread(of_all_processes)
            except Exception as error:  # noqa: BLE001 - whatever the library makes of a bad file
                # A worker that has just started may not have written its file yet.
                _logger.warning("metrics_unreadable: %s: %s", type(error).__name__, error)
                raise web.HTTPServiceUnavailable from None
        else:
            body = generate_latest(self._registry)
        answer = web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
        answer.force_close()  # so that no open connection delays the end of the process
        return answer


METRICS = web.AppKey("METRICS", Metrics)
"""The key for what is counted of an application."""


def setup(
    app: web.Application,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    registry: CollectorRegistry = REGISTRY,
) -> None:
    """Count what an application does, and serve the metrics on a port of their own.

    Without `port`, they are not served: `page` returns an application that serves them, and
    whatever else shows the `registry` shows them, too. If several processes listen on one port, the
    environment variable PROMETHEUS_MULTIPROC_DIR names a folder for them, which is empty at the
    start. Call it before the application starts.

    Raises RuntimeError if it was called for this application before. If the port cannot be used,
    the application does not start.
    """
    if METRICS in app:
        raise RuntimeError("the metrics of this application are counted already")
    metrics = app[METRICS] = Metrics(registry)
    app.middlewares.insert(0, metrics.traffic.middleware())
    app.cleanup_ctx.append(_counting)
    app.on_cleanup.append(_copy_last)
    if port is not None:
        serve(app, host=host, port=port)


def serve(app: web.Application, *, host: str, port: int) -> None:
    """Serve the metrics of an application with `setup` while that application runs."""

    @asynccontextmanager
    async def serving(app: web.Application) -> AsyncIterator[None]:
        runner = Runner(page(app), access_log=False)
        await runner.setup()
        try:
            # Each worker answers for all of them.
            site = web.TCPSite(runner, host, port, reuse_port=(MULTIPROCESS in os.environ) or None)
            try:
                await site.start()
            except OSError as error:
                raise RuntimeError(
                    f"the metrics cannot be served on {host}, port {port}: {error.strerror}. If "
                    f"there are several processes, set {MULTIPROCESS}"
                ) from error
            yield
        finally:
            await runner.cleanup()

    app.cleanup_ctx.append(serving)


def page(app: web.Application) -> web.Application:
    """Return an application that shows the metrics of another one, with `setup`, at /metrics."""
    metrics_app = web.Application(middlewares=[errors_as_json])
    metrics_app.router.add_get("/metrics", app[METRICS].page)
    security_headers(metrics_app)
    return metrics_app


@asynccontextmanager
async def _counting(app: web.Application) -> AsyncIterator[None]:
    metrics = app[METRICS]
    metrics.watch(app)
    copying = asyncio.create_task(_copy(metrics))
    try:
        yield
    finally:
        copying.cancel()


async def _copy_last(app: web.Application) -> None:
    """Copy what the end itself has changed, too: the audit has given up what was waiting."""
    app[METRICS].copy()


async def _copy(metrics: Metrics) -> None:
    while True:
        metrics.copy()
        await asyncio.sleep(_COPY_SECONDS)


def _source(validator: TokenValidator, source: str) -> str:
    return source if validator.issuers.listed else RESOLVED
