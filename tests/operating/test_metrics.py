"""What does Prometheus learn of requests, decisions, keys and tokens, and what can no client do?"""

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientError, web
from joserfc.jwk import Key
from prometheus_client import CollectorRegistry

from hello import auth
from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.operating import metrics, series
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, settled
from support.introspecting import introspecting
from support.program import free_port
from support.proofs import bound_to, presenting, proof
from support.protecting import new_handler
from support.validators import OwnValidator, presented, reason_for

Start = Callable[[web.Application], Awaitable[Client]]
DOWN = "http://127.0.0.1:9/"
REQUESTS = "hello_http_requests_total"
REFUSALS = "hello_auth_refusals_total"


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
def validator(issuer: FailingIssuer, clock: FakeClock) -> TokenValidator:
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def start(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]], registry: CollectorRegistry
) -> Start:
    async def start(app: web.Application) -> Client:
        metrics.setup(app, registry=registry)
        return await aiohttp_client(ApiServer(app))

    return start


class Numbers:
    """What the metrics of an application are, by name and labels."""

    def __init__(self, app: web.Application | None, registry: CollectorRegistry) -> None:
        assert app is not None
        app[metrics.METRICS].copy()
        self._registry = registry

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(name, labels)

    def labels(self, name: str) -> set[tuple[str, ...]]:
        """The values of the labels of those that are not zero, by the labels' names."""
        return {
            tuple(value for _, value in sorted(sample.labels.items()))
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }


def protected(validator: auth.Validator) -> web.Application:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/users/{id}", new_handler())
    app.router.add_post("/users/{id}", new_handler())
    app.router.add_get("/open/{tail:.*}", auth.public(new_handler()))
    return app


async def ask(client: Client, path: str, token: str | None = None, method: str = "GET") -> int:
    headers = {} if token is None else bearer(token)
    async with client.request(method, path, headers=headers) as response:
        return response.status


async def test_a_request_is_counted_by_its_template_a_known_method_and_its_status(
    issuer: FailingIssuer, validator: TokenValidator, start: Start, registry: CollectorRegistry
) -> None:
    part = web.Application()
    part.router.add_get("/{name}", auth.public(new_handler()))
    app = protected(validator)
    app.add_subapp("/part", part)
    client, token = await start(app), issuer.mint()
    for path, method in [
        ("/users/7", "GET"),
        ("/users/8?token=secret", "GET"),
        ("/users/7", "HEAD"),
        ("/users/7", "PUT"),
        ("/users/7", "PROPFIND"),
        ("/nowhere/eyJhbGciOiJub25lIn0", "GET"),
        ("/open/any/thing", "GET"),
        ("/part/x", "GET"),
    ]:
        await ask(client, path, token, method)
    await ask(client, "/users/7")
    kept = app[metrics.METRICS].traffic._answers
    assert {method for _, method, _ in kept} == {"GET", "HEAD", "PUT"}, "or memory would grow"
    numbers = Numbers(client.app, registry)
    assert numbers.labels(REQUESTS) == {
        ("GET", "/users/{id}", "200"),
        ("GET", "/users/{id}", "401"),
        ("HEAD", "/users/{id}", "200"),
        ("PUT", "-", "405"),
        ("other", "-", "405"),
        ("GET", "-", "404"),
        ("GET", "/open/{tail}", "200"),
        ("GET", "/part/{name}", "200"),
    }
    assert numbers(REQUESTS, method="GET", route="/users/{id}", status="200") == 2
    name, route = "hello_http_request_duration_seconds", {"method": "GET", "route": "/users/{id}"}
    assert numbers(f"{name}_count", **route) == 3
    assert 0 < (numbers(f"{name}_sum", **route) or 0) < 5


async def test_what_a_handler_raises_is_counted_by_the_answer(
    validator: TokenValidator, start: Start, registry: CollectorRegistry
) -> None:
    @auth.public
    async def fail(request: web.Request) -> web.Response:
        raise {"a": ValueError, "b": web.HTTPConflict, "c": ConnectionError}[
            request.match_info["x"]
        ]

    @auth.public
    async def talk(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.close()
        return answer

    @auth.public
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        raise ConnectionResetError

    app = protected(validator)
    app.router.add_get("/fail/{x}", fail)
    app.router.add_get("/talk", talk)
    app.router.add_get("/gone", hang_up)
    client = await start(app)
    assert [await ask(client, f"/fail/{each}") for each in "abc"] == [500, 409, 500]
    async with client.ws_connect("/talk"):
        pass
    with suppress(ClientError):
        await ask(client, "/gone")
    numbers = Numbers(client.app, registry)
    assert numbers.labels(REQUESTS) == {
        ("GET", "/fail/{x}", "409"),
        ("GET", "/fail/{x}", "500"),
        ("GET", "/talk", "101"),
    }
    assert numbers(REQUESTS, method="GET", route="/fail/{x}", status="500") == 2
    seconds = numbers.labels("hello_http_request_duration_seconds_count")
    assert seconds == {("GET", "/fail/{x}")}, "a conversation is no request that took long"


class OddError(auth.InvalidTokenError):
    """A refusal of an application with a reason of its own."""

    def __init__(self) -> None:
        super().__init__("what a client sent")  # type: ignore[arg-type]


async def test_refusals_are_counted_by_reason_and_seconds_by_outcome(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    start: Start,
    registry: CollectorRegistry,
) -> None:
    async def odd(_request: web.Request) -> web.Response:
        raise OddError

    app, part = web.Application(), protected(validator)
    part.router.add_get("/odd", odd)
    app.add_subapp("/a", part)
    down = TokenValidator(issuer=DOWN, audience=AUDIENCE, clock=clock)
    app.add_subapp("/b", protected(down))
    client, token = await start(app), issuer.mint()
    before = Numbers(client.app, registry)
    assert before(REFUSALS, reason="signature") == 0, "so its first increase shows"
    await ask(client, "/a/users/1", token)
    await ask(client, "/a/odd", token)
    await ask(client, "/a/users/1")
    await ask(client, "/a/users/1", "nonsense")
    await ask(client, "/a/open/x", "nonsense")
    await ask(client, "/b/users/1", issuer.mint(claims={"iss": DOWN}))
    numbers = Numbers(client.app, registry)
    assert numbers.labels(REFUSALS) == {
        ("no_credentials",),
        ("malformed",),
        ("keys_unavailable",),
        ("other",),
    }
    name = "hello_auth_check_duration_seconds_count"
    outcomes = [numbers(name, outcome=each) for each in ("allowed", "refused", "unavailable")]
    assert outcomes == [1, 3, 1]
    sets = numbers.labels("hello_auth_key_sets")
    assert sets == {(issuer.url, "fresh"), (DOWN, "missing")}
    assert numbers("hello_auth_ready") == 1


async def test_keys_are_shown_by_issuer_state_and_age(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    start: Start,
    registry: CollectorRegistry,
) -> None:
    client, token, url = await start(protected(validator)), issuer.mint(), issuer.url
    fetches = "hello_auth_key_fetch_duration_seconds_count"

    def states() -> set[tuple[str, ...]]:
        return Numbers(client.app, registry).labels("hello_auth_key_sets")

    assert states() == {(url, "not_asked")}
    assert Numbers(client.app, registry)(fetches, source=url, result="failure") == 0
    fetched_at = clock.epoch
    assert await ask(client, "/users/1", token) == 200
    assert states() == {(url, "fresh")}
    await issuer.stop()
    clock.advance(700)
    assert await ask(client, "/users/1", token) == 200
    assert states() == {(url, "stale")}
    numbers = Numbers(client.app, registry)
    assert numbers("hello_auth_keys_fetched_timestamp_seconds", source=url) == fetched_at
    assert numbers("hello_auth_ready") == 1
    clock.advance(3000)
    assert await ask(client, "/users/1", token) == 503
    await settled(validator)
    assert states() == {(url, "missing")}
    numbers = Numbers(client.app, registry)
    assert numbers("hello_auth_ready") == 0
    assert numbers("hello_auth_keys_fetched_timestamp_seconds", source=url) == fetched_at
    counts = [numbers(fetches, source=url, result=result) for result in ("success", "failure")]
    assert counts == [1, 2]


async def test_of_keys_with_one_name_the_oldest_are_shown(
    issuer: FailingIssuer, clock: FakeClock, start: Start, registry: CollectorRegistry
) -> None:
    app, fetched_at = web.Application(), clock.epoch
    validators = [
        TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock) for _ in range(2)
    ]
    for number, validator in enumerate(validators):
        app.add_subapp(f"/{number}", protected(validator))
    client = await start(app)
    for number in range(2):
        assert await ask(client, f"/{number}/users/1", issuer.mint()) == 200
        clock.advance(100)
    numbers = Numbers(client.app, registry)
    assert numbers("hello_auth_keys_fetched_timestamp_seconds", source=issuer.url) == fetched_at
    assert numbers("hello_auth_key_sets", source=issuer.url, state="fresh") == 2


async def test_tenants_of_a_resolver_are_one(
    issuer: FailingIssuer, clock: FakeClock, start: Start, registry: CollectorRegistry
) -> None:
    async def resolver(iss: str, _host: str) -> TrustedIssuer:
        return TrustedIssuer(issuer=iss, audience=AUDIENCE)

    client = await start(protected(TokenValidator(issuers=resolver, clock=clock)))
    assert await ask(client, "/users/1", issuer.mint()) == 200
    assert await ask(client, "/users/1", issuer.mint(claims={"iss": DOWN})) == 503
    numbers = Numbers(client.app, registry)
    sets = "hello_auth_key_sets"
    assert numbers.labels(sets) == {("resolver", "fresh"), ("resolver", "missing")}
    fetches = "hello_auth_key_fetch_duration_seconds_count"
    assert numbers.labels(fetches) == {("success", "resolver"), ("failure", "resolver")}
    at = numbers("hello_auth_keys_fetched_timestamp_seconds", source="resolver")
    assert at == clock.epoch


async def test_what_validators_count_is_copied_and_never_twice(
    issuer: FailingIssuer, clock: FakeClock, start: Start, registry: CollectorRegistry
) -> None:
    async with introspecting(issuer, clock) as validator:
        client = await start(protected(validator))
        token = issuer.mint()
        bound = issuer.mint(claims=bound_to())
        proved = presenting(bound, proof(bound, now=clock.time()))
        for _ in range(2):
            await validator.validate(presented(token))
        await validator.validate(presented(issuer.opaque()))
        await validator.validate(proved)
        with pytest.raises(auth.InvalidProofError):
            await validator.validate(proved)
        assert await reason_for(validator, "made-up") is Reason.INACTIVE
        for _ in range(3):
            numbers = Numbers(client.app, registry)
        lookups = "hello_auth_token_cache_lookups_total"
        assert [numbers(lookups, result=each) for each in ("hit", "miss")] == [2, 4]
        assert numbers("hello_auth_token_cache_bytes") == validator.verified.bytes > 0
        proofs, introspections = "hello_auth_proofs_total", "hello_auth_introspections_total"
        assert [numbers(proofs, result=each) for each in ("new", "replayed")] == [1, 1]
        asked = [numbers(introspections, result=each) for each in ("active", "inactive", "failed")]
        assert asked == [1, 1, 0]
        await validator.validate(presented(token))
        assert Numbers(client.app, registry)(lookups, result="hit") == 3


async def test_numbers_are_copied_from_time_to_time_and_at_the_end(
    issuer: FailingIssuer,
    validator: TokenValidator,
    start: Start,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For whoever shows the registry otherwise, and for the files of several processes."""
    lookups = "hello_auth_token_cache_lookups_total"

    def misses() -> float | None:
        return registry.get_sample_value(lookups, {"result": "miss"})

    monkeypatch.setattr(metrics, "_COPY_SECONDS", 0.01)
    client = await start(protected(validator))
    await validator.validate(presented(issuer.mint()))
    async with asyncio.timeout(30):
        while misses() != 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    monkeypatch.setattr(metrics, "_COPY_SECONDS", 1000)
    await asyncio.sleep(0.02)
    await validator.validate(presented(issuer.mint(claims={"sub": "another"})))
    await client.close()
    assert misses() == 2


async def test_an_applications_own_validator_has_no_numbers_but_its_refusals(
    start: Start, registry: CollectorRegistry
) -> None:
    client = await start(protected(OwnValidator()))
    await ask(client, "/users/1", "any")
    numbers = Numbers(client.app, registry)
    assert numbers.labels(REFUSALS) == {("malformed",)}
    assert not numbers.labels("hello_auth_key_sets")
    assert numbers("hello_auth_ready") == 1


async def test_they_are_served_on_a_port_of_their_own_while_the_application_runs(
    validator: TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    app, port, registry = protected(validator), free_port(), CollectorRegistry()
    metrics.setup(app, port=port, registry=registry)
    with pytest.raises(RuntimeError):
        metrics.setup(app, registry=registry)
    client = await aiohttp_client(ApiServer(app))
    assert await ask(client, "/metrics") == 404
    async with client.session.get(f"http://127.0.0.1:{port}/metrics") as response:
        text = await response.text()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert response.headers["Connection"] == "close"
        assert "Server" not in response.headers
    assert re.search(r'^hello_http_requests_total\{.*status="404"\} 1.0$', text, re.MULTILINE)
    for path, status in [("/", 404), ("/users/1", 404)]:
        async with client.session.get(f"http://127.0.0.1:{port}{path}") as response:
            assert response.status == status
    await client.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


async def test_an_application_does_not_start_without_its_port(validator: TokenValidator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = protected(validator)
        port = taken.getsockname()[1]
        metrics.setup(app, port=port, registry=CollectorRegistry())
        runner = web.AppRunner(app)
        with pytest.raises(RuntimeError, match=f"{port}.*{series.MULTIPROCESS}") as failure:
            await runner.setup()
        assert isinstance(failure.value.__cause__, OSError)
        assert failure.value.__cause__.errno == errno.EADDRINUSE
        await runner.cleanup()
