"""What do /livez and /readyz say, to whom, and what do they cause?"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.connections import Runner, _Server
from hello.operating import health
from hello.sandbox.issuer import Issuer
from hello.tokens.jwt.compact import KeyName
from hello.tokens.keys.fetched import FetchedKeys
from support.api import AUDIENCE, ORIGIN, SECURITY_HEADERS, ApiServer, Client
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, settled
from support.protecting import new_handler
from support.sockets import connected
from support.validators import OwnValidator, presented, reason_for, signing_keys

Start = Callable[[web.Application], Awaitable[Client]]
UNAVAILABLE = Reason.KEYS_UNAVAILABLE
UNKNOWN = TrustedIssuer(issuer="http://127.0.0.1:9/", audience=AUDIENCE)


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
def start(aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Start:
    async def start(app: web.Application) -> Client:
        return await aiohttp_client(ApiServer(app))

    return start


def app_for(*validators: Any) -> web.Application:
    """An application with health, and with a sub-application for each validator but the first."""
    app = web.Application()
    health.setup(app)
    for number, validator in enumerate(validators):
        part = web.Application() if number else app
        auth.setup(part, validator)
        part.router.add_get("/", new_handler())
        if number:
            app.add_subapp(f"/{number}", part)
    return app


async def ready(client: Client) -> tuple[int, Any]:
    async with client.get("/readyz") as response:
        return response.status, await response.json()


async def test_ready_says_what_becomes_of_tokens_and_asks_nobody(
    issuer: FailingIssuer, clock: FakeClock, start: Start
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    client, token = await start(app_for(validator)), issuer.mint()

    def said(status: str, **keys: str) -> Any:
        return {"status": status, "keys": [keys]}

    assert await ready(client) == (200, said("ready", state="not_asked"))
    assert not issuer.requests
    await validator.validate(presented(token))
    assert await ready(client) == (200, said("ready", state="fresh"))
    before = issuer.asked
    clock.advance(600)
    stale = said("ready", state="stale", usable_until="2027-01-15T09:00:00Z")
    assert await ready(client) == (200, stale)
    await issuer.stop()
    await validator.validate(presented(token))
    assert await ready(client) == (200, stale), "an outage alone makes nothing unready"
    clock.advance(3000)
    for _ in range(20):
        assert await ready(client) == (503, said("not_ready", state="missing"))
    assert issuer.asked == before

    await issuer.start()
    keys = signing_keys(validator)
    clock.advance(10)
    keys._retry()  # what its timer does, without any token
    await settled(validator)
    assert await ready(client) == (200, said("ready", state="fresh"))
    issuer.url = "gone"
    async with client.get("/livez") as response:
        assert (response.status, await response.json()) == (200, {"status": "live"})


async def test_who_has_health_tries_again_without_a_token(start: Start) -> None:
    """And who has not, does not; tenants are not tried again either."""

    async def resolver(_iss: str, _host: str) -> TrustedIssuer:
        return UNKNOWN

    for validator, with_health, tries in [
        (TokenValidator(issuers=[UNKNOWN]), True, True),
        (TokenValidator(issuers=[UNKNOWN]), False, False),
        (TokenValidator(issuers=resolver), True, False),
    ]:
        app = app_for(validator) if with_health else web.Application()
        if not with_health:
            auth.setup(app, validator)
        keys = validator.issuers.keys_of(UNKNOWN, "RS256")
        await start(app)
        assert isinstance(keys, FetchedKeys)
        with pytest.raises(auth.KeysUnavailableError):
            await keys.find(KeyName("any"), "RS256")
        assert (keys._timer is not None) is tries


def missing() -> TokenValidator:
    """A validator of an issuer that is down."""
    return TokenValidator(issuers=[UNKNOWN])


def with_secret() -> TokenValidator:
    options: Any = {"secret": "x" * 32, "algorithms": ["HS256", "RS256"]}
    return TokenValidator(
        issuers=[TrustedIssuer(issuer=UNKNOWN.issuer, audience=AUDIENCE, **options)]
    )


def with_introspection() -> TokenValidator:
    asked = auth.Introspection(client_id="a", client_secret="b")
    return TokenValidator(
        issuers=[TrustedIssuer(issuer=UNKNOWN.issuer, audience=AUDIENCE, introspection=asked)]
    )


def with_another() -> TokenValidator:
    another = TrustedIssuer(issuer="http://127.0.0.1:10/", audience=AUDIENCE)
    return TokenValidator(issuers=[UNKNOWN, another])


def of_tenants() -> TokenValidator:
    async def resolver(_iss: str, _host: str) -> TrustedIssuer:
        return UNKNOWN

    return TokenValidator(issuers=resolver)


@pytest.mark.parametrize(
    ("make", "status", "states"),
    [
        ([missing], 503, ["missing"]),
        ([missing, missing], 503, ["missing", "missing"]),
        ([missing, with_another], 200, ["missing", "missing", "not_asked"]),
        ([with_another], 200, ["missing", "not_asked"]),
        ([with_secret], 200, ["missing"]),
        ([with_introspection], 200, ["missing"]),
        ([of_tenants], 200, []),
        ([OwnValidator], 200, []),
        ([missing, OwnValidator], 200, ["missing"]),
        ([], 200, []),
    ],
)
async def test_it_is_ready_while_tokens_of_one_issuer_can_be_verified(
    start: Start, make: list[Callable[[], Any]], status: int, states: list[str], keys: list[Key]
) -> None:
    validators = [each() for each in make]
    client = await start(app_for(*validators))
    unreachable = Issuer(audience=AUDIENCE, key=keys[0])
    unreachable.url = UNKNOWN.issuer
    token = unreachable.mint()
    for validator in validators:
        if isinstance(validator, TokenValidator):
            assert await reason_for(validator, token) is UNAVAILABLE
    code, said = await ready(client)
    assert (code, [each["state"] for each in said["keys"]]) == (status, states)
    assert "127.0.0.1" not in str(said)


async def test_they_are_answers_of_this_api_like_all_others(
    api: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/livez", "/readyz"):
        for method, headers, status in [
            ("GET", {}, 200),
            ("GET", {"Authorization": "Bearer nonsense"}, 200),
            ("HEAD", {}, 200),
            ("POST", {}, 405),
        ]:
            async with api.request(method, path, headers={"Origin": ORIGIN, **headers}) as response:
                assert response.status == status
                assert {
                    name: response.headers[name] for name in SECURITY_HEADERS
                } == SECURITY_HEADERS
                assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
                assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    await api.close()  # a line is written after its answer is sent
    lines = [record.getMessage() for record in caplog.records if record.name == "hello.access"]
    assert [line.split()[1:4] for line in lines] == [
        ["POST", "/livez", "405"],
        ["POST", "/readyz", "405"],
    ]


@pytest.mark.parametrize("ours", [True, False])
async def test_a_server_that_ends_is_not_ready_and_lives(*, ours: bool) -> None:
    """Ours says so before the application hears of it; another one when it does."""
    app = app_for()
    runner = Runner(app, access_log=False) if ours else web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with connected(port) as first, connected(port) as second:
        for connection in (first, second):
            assert (await connection.get("/readyz")).status == 200
        if ours:
            assert isinstance(runner.server, _Server)
            runner.server.draining = True
        else:
            await app.shutdown()
        answer = await first.get("/readyz")
        assert (answer.status, answer.body) == (503, b'{"status": "draining"}')
        assert (await second.get("/livez")).status == 200
    await runner.cleanup()
