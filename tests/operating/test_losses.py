"""What do the metrics say about lines of the log and decisions of the audit that are lost?"""

import asyncio
import errno
import io
import logging
import os
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from hello import auth
from hello.auth.decisions import audit
from hello.logs import log_to_stderr
from hello.operating import metrics
from support.api import ApiServer, Client
from support.logs import root_logger_restored
from support.protecting import new_handler


def decisions(registry: CollectorRegistry) -> dict[str, float]:
    """What has become of the decisions, without what is zero."""
    return {
        sample.labels["result"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "hello_auth_audit_decisions_total" and sample.value
    }


def fail(_decision: auth.Decision) -> None:
    raise OSError


async def refuses_to_end(_decision: auth.Decision) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("on_decision", "counted"),
    [
        (print, {"recorded": 3.0}),
        (fail, {"failed": 3.0}),
        (refuses_to_end, {"lost": 3.0}),
        (None, {}),
    ],
)
async def test_what_becomes_of_each_decision_is_counted_up_to_the_end(
    validator: auth.TokenValidator,
    monkeypatch: pytest.MonkeyPatch,
    on_decision: auth.OnDecision | None,
    counted: dict[str, float],
) -> None:
    monkeypatch.setattr(audit, "_CLOSING_SECONDS", 0.1)
    app, registry = web.Application(), CollectorRegistry()
    auth.setup(app, validator, on_decision=on_decision)
    app.router.add_get("/", new_handler())
    metrics.setup(app, registry=registry)
    async with TestClient(ApiServer(app)) as client:
        for _ in range(3):
            async with client.get("/") as response:
                assert response.status == 401
    assert decisions(registry) == counted


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_lines_that_are_lost_are_counted_once_however_many_applications_there_are(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, outer = CollectorRegistry(), web.Application()
    for app in (outer, inner := web.Application()):
        auth.setup(app, validator)
        metrics.setup(app, registry=registry)
    await aiohttp_client(ApiServer(outer))
    monkeypatch.setattr("sys.stderr", Full())
    monkeypatch.setattr("hello.logs.writing._FLUSH_SECONDS", 30)  # until all is tried
    with root_logger_restored():
        log_to_stderr("info")
        for _ in range(4):
            logging.getLogger("hello").info("nowhere")
        [handler] = logging.getLogger().handlers
        handler.flush()
        for app in (outer, inner, outer):
            app[metrics.METRICS].copy()
        handler.close()
    assert registry.get_sample_value("hello_log_lost_lines_total") == 4
