"""By what can Prometheus tell a clock that is off from clients that send wrong times?"""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from joserfc.jwk import Key
from prometheus_client import CollectorRegistry

from hello import auth
from hello.auth import TokenValidator
from hello.operating import metrics
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.protecting import new_handler

HOUR, DAY = 3600, 86_400


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


class Machine:
    """An API with a clock of its own."""

    def __init__(self, issuer: FailingIssuer, clock: FakeClock) -> None:
        self.app, self.registry = web.Application(), CollectorRegistry()
        auth.setup(self.app, TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock))
        self.app.router.add_get("/", new_handler())
        metrics.setup(self.app, registry=self.registry)
        self._source = issuer.url

    def refused(self) -> set[str]:
        """The reasons for which requests were refused."""
        samples = (sample for family in self.registry.collect() for sample in family.samples)
        return {
            sample.labels["reason"]
            for sample in samples
            if sample.name == "hello_auth_refusals_total" and sample.value
        }

    def number(self, name: str, **labels: str) -> float:
        self.app[metrics.METRICS].copy()
        number = self.registry.get_sample_value(name, {"source": self._source, **labels})
        assert number is not None
        return number

    def failed_fetches(self) -> float:
        return self.number("hello_auth_key_fetch_duration_seconds_count", result="failure")

    def keys_ahead(self, now: float) -> float:
        """How long after a time the keys seem to have been fetched, in seconds."""
        return self.number("hello_auth_keys_fetched_timestamp_seconds") - now


@pytest.fixture
def ask(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> Callable[..., Awaitable[None]]:
    async def ask(machine: Machine, *tokens: str, status: int) -> None:
        client = await aiohttp_client(ApiServer(machine.app))
        for token in tokens:
            async with client.get("/", headers=bearer(token)) as response:
                assert response.status == status

    return ask


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-HOUR, "issued_at"), (2 * DAY, "expired"), (0, None)]
)
async def test_the_time_of_the_keys_tells_that_a_clock_is_ahead(
    issuer: FailingIssuer,
    clock: FakeClock,
    ask: Callable[..., Awaitable[None]],
    seconds: int,
    reason: str | None,
) -> None:
    own = FakeClock()
    machine = Machine(issuer, own)
    own.epoch += seconds
    await ask(machine, issuer.mint(), status=401 if reason else 200)
    assert machine.refused() == ({reason} if reason else set())
    assert machine.keys_ahead(clock.time()) == seconds
    own.epoch -= seconds  # somebody mends it, and no keys are fetched
    assert machine.keys_ahead(clock.time()) == 0


async def test_old_tokens_change_nothing_but_the_refusals(
    issuer: FailingIssuer, clock: FakeClock, ask: Callable[..., Awaitable[None]]
) -> None:
    machine, old = Machine(issuer, clock), issuer.mint()
    clock.advance(2 * DAY)
    await ask(machine, old, old, status=401)
    assert machine.refused() == {"expired"}
    assert machine.keys_ahead(clock.time()) == 0


async def test_forged_times_count_only_while_fetches_of_keys_fail(
    issuer: FailingIssuer, keys: list[Key], clock: FakeClock, ask: Callable[..., Awaitable[None]]
) -> None:
    future = {"iat": int(clock.time()) + HOUR, "exp": int(clock.time()) + 2 * HOUR}
    forged = issuer.mint(key=keys[1], header={"kid": keys[0].kid}, claims=future)
    machine = Machine(issuer, clock)
    await ask(machine, forged, status=401)
    assert machine.refused() == {"signature"}
    assert machine.failed_fetches() == 0
    await issuer.stop()
    machine = Machine(issuer, clock)
    await ask(machine, forged, status=401)
    assert machine.refused() == {"issued_at"}
    assert machine.failed_fetches() == 1
