"""Is a stream counted that the server has ended?"""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from hello import auth, connections
from hello.operating import metrics
from support.api import ApiServer


@pytest.mark.parametrize(("kind", "counted"), [("text/event-stream", 1), ("text/plain", None)])
async def test_an_event_stream_is_counted_that_a_stop_has_completed_and_a_cut_download_is_not(
    validator: auth.TokenValidator,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    counted: float | None,
) -> None:
    monkeypatch.setattr(connections, "_DRAIN_SECONDS", 0.05)
    monkeypatch.setattr(connections, "_IN_FLIGHT_SECONDS", 0.1)

    @auth.public
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await asyncio.Event().wait()
        raise AssertionError

    app, registry = web.Application(), CollectorRegistry()
    auth.setup(app, validator)
    app.router.add_get("/", endless)
    metrics.setup(app, registry=registry)
    client = TestClient(ApiServer(app))
    await client.start_server()
    async with client.get("/") as response:
        assert response.status == 200
        await client.server.close()
    await client.close()
    labels = {"route": "/", "method": "GET", "status": "200"}
    assert registry.get_sample_value("hello_http_requests_total", labels) == counted
