"""What do the metrics say of a request that several applications check?"""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from hello import auth
from hello.auth import TokenValidator
from hello.auth.protection import observe
from hello.operating import metrics
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.protecting import new_handler


@pytest.mark.parametrize(
    ("is_trusted", "is_refused", "outcome", "reasons"),
    [
        (True, False, "allowed", set()),
        (True, True, "refused", {"permissions"}),
        (False, False, "refused", {"issuer"}),
    ],
)
async def test_a_request_is_counted_once_by_the_last_decision(
    issuer: Issuer,
    validator: TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    *,
    is_trusted: bool,
    is_refused: bool,
    outcome: str,
    reasons: set[str],
) -> None:
    async def refuses(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.PERMISSIONS)

    app, part, registry = web.Application(), web.Application(), CollectorRegistry()
    other = TokenValidator(issuer="http://127.0.0.1:9/", audience=AUDIENCE)
    auth.setup(part, validator if is_trusted else other)
    part.router.add_get("/", refuses if is_refused else new_handler())
    auth.setup(app, validator)
    app.add_subapp("/part", part)
    seconds: list[float] = []
    observe(app, lambda decision: seconds.append(decision.seconds))
    observe(part, lambda decision: seconds.append(decision.seconds))
    metrics.setup(app, registry=registry)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/part/", headers=bearer(issuer.mint())) as response:
        assert response.ok is (outcome == "allowed")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.value
    }
    name = "hello_auth_check_duration_seconds"
    assert {key: samples[key] for key in samples if key[0] == f"{name}_count"} == {
        (f"{name}_count", outcome): 1
    }
    assert samples[f"{name}_sum", outcome] == pytest.approx(seconds[-1])
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[1]
    refused = "hello_auth_refusals_total"
    assert {key for key in samples if key[0] == refused} == {(refused, each) for each in reasons}
