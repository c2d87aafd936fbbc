"""Several issuers, or a resolver's: whose tokens are good then?"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key, RSAKey

from hello import auth
from hello.auth import TokenValidator, TrustedIssuer, UnavailableError
from hello.sandbox.issuer import OMIT, Issuer, issuer_app
from hello.tokens.issuers.resolved import ResolvedIssuers
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.logs import codes, faults, reasons
from support.protecting import new_handler
from support.tenants import OURS, Tenants, trusted
from support.validators import presented, reason_for

OTHER_AUDIENCE = "https://other.example.com"
SECRET = b"0123456789abcdef" * 4


@pytest.fixture
async def other(
    keys: list[Key], aiohttp_server: Callable[[web.Application], Awaitable[TestServer]]
) -> Issuer:
    """A second issuer, for another audience."""
    issuer = Issuer(audience=OTHER_AUDIENCE, key=keys[1])
    issuer.url = str((await aiohttp_server(issuer_app(issuer))).make_url("/"))
    return issuer


def resolved(validator: TokenValidator) -> ResolvedIssuers:
    assert isinstance(validator.issuers, ResolvedIssuers)
    return validator.issuers


async def test_each_issuer_has_its_own_audience_and_keys(issuer: Issuer, other: Issuer) -> None:
    validator = TokenValidator(issuers=[trusted(issuer), trusted(other)])
    for one, another in ((issuer, other), (other, issuer)):
        token = await validator.validate(presented(one.mint()))
        assert (token.issuer, token.claims["aud"]) == (one.url, one.audience)
        assert await reason_for(validator, one.mint(claims={"aud": another.audience})) == "audience"
        assert await reason_for(validator, one.mint(key=another.key)) == "unknown_key"
        forged = one.mint(key=another.key, header={"kid": one.key.kid})
        assert await reason_for(validator, forged) == "signature"
    assert await reason_for(validator, issuer.mint(claims={"iss": OURS})) == "issuer"
    assert issuer.requests == other.requests


async def test_each_issuer_has_its_own_algorithms(issuer: Issuer, other: Issuer) -> None:
    validator = TokenValidator(
        issuers=[trusted(issuer), trusted(other, algorithms=["PS256", "RS256"])]
    )
    key = RSAKey.import_key({**other.key.as_dict(private=True), "kid": "any"} | {"alg": "PS256"})
    for one in (issuer, other):
        one.publish(key)
    assert (
        await validator.validate(presented(other.mint(key=key, header={"alg": "PS256"})))
    ).issuer
    assert await reason_for(validator, issuer.mint(key=key, header={"alg": "PS256"})) == "algorithm"


async def test_one_of_several_audiences_is_enough(issuer: Issuer) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=[OTHER_AUDIENCE, AUDIENCE])
    for audience in (AUDIENCE, OTHER_AUDIENCE, [AUDIENCE, "x"]):
        await validator.validate(presented(issuer.mint(claims={"aud": audience})))
    wrong: list[Any] = ["x", ["x"], [], [[AUDIENCE]], {AUDIENCE: 1}]
    for aud in wrong:
        assert await reason_for(validator, issuer.mint(claims={"aud": aud})) == "audience"


async def test_keys_can_be_said_to_be_elsewhere(issuer: Issuer) -> None:
    """No metadata is asked for then."""
    jwks_uri = f"{issuer.url}.well-known/jwks.json"
    validator = TokenValidator(issuers=[trusted(issuer, jwks_uri=jwks_uri)])
    await validator.validate(presented(issuer.mint()))
    assert dict(issuer.requests) == {"/.well-known/jwks.json": 1}


async def test_a_resolver_is_asked_with_the_issuer_and_the_host(
    issuer: Issuer, other: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    tenants = Tenants({(issuer.url, "a.localhost"): trusted(issuer)})
    app = web.Application()
    auth.setup(app, TokenValidator(issuers=tenants))
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for token, host, code in [
        (issuer.mint(), "a.localhost", 200),
        (issuer.mint(), "b.localhost", 401),
        (other.mint(), "a.localhost", 401),
        (issuer.mint(claims={"aud": "x"}), "a.localhost", 401),
    ]:
        async with client.get("/", headers={**bearer(token), "Host": host}) as response:
            assert response.status == code
    assert tenants.asked == [
        (issuer.url, "a.localhost"),
        (issuer.url, "b.localhost"),
        (other.url, "a.localhost"),
    ]
    assert not other.requests, "no request goes where only a token says"


async def test_a_resolvers_answers_are_remembered_for_a_while(
    issuer: Issuer, clock: FakeClock
) -> None:
    issuer.clock = clock.time
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants, clock=clock)
    unknown = issuer.mint(claims={"iss": OURS})

    async def asked() -> int:
        tenants.asked.clear()
        results = [
            validator.validate(presented(issuer.mint())),
            validator.validate(presented(unknown)),
        ] * 1
        await asyncio.gather(*results, return_exceptions=True)
        await asyncio.gather(
            validator.validate(presented(issuer.mint())), reason_for(validator, unknown)
        )
        return len(tenants.asked)

    assert await asked() == 2, "a yes and a no"
    clock.advance(9)
    assert await asked() == 0
    clock.advance(1)
    assert await asked() == 1, "a no holds for 10 s"
    clock.advance(50)
    assert await asked() == 2, "a yes holds for 60 s"
    assert issuer.requests["/.well-known/jwks.json"] == 1, "and its keys are kept as ever"
    tenants.known.clear()
    clock.advance(60)
    assert await reason_for(validator, issuer.mint()) == "issuer"
    assert await reason_for(validator, issuer.mint()) == "issuer"


async def test_a_burst_asks_the_resolver_once(issuer: Issuer) -> None:
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants)
    await asyncio.gather(*(validator.validate(presented(issuer.mint())) for _ in range(100)))
    assert len(tenants.asked) == 1
    assert issuer.requests["/.well-known/jwks.json"] == 1


async def test_what_is_remembered_of_a_resolver_is_bounded(issuer: Issuer) -> None:
    tenants = Tenants({(issuer.url, str(n)): trusted(issuer) for n in range(20)})
    validator = TokenValidator(issuers=tenants, max_issuers=5)
    for number in range(20):
        await validator.validate(presented(issuer.mint(), host=str(number)))
        await reason_for(validator, issuer.mint(claims={"iss": f"{OURS}{number}"}))
    assert len(tenants.asked) == 40
    assert issuer.requests["/.well-known/jwks.json"] == 1, "hosts do not multiply fetches"
    issuers = resolved(validator)
    assert (len(issuers._proven), len(issuers._unproven)) == (1, 5)
    assert (len(issuers._proven_sources), len(issuers._sources)) == (1, 0)
    assert not issuers._pending


@pytest.mark.parametrize(
    "iss", [OMIT, None, 7, [OURS], "", "a\x00b", "a b", "\u00fc", "a" * 2049, "\ud800"]
)
async def test_a_resolver_gets_to_see_no_nonsense(issuer: Issuer, iss: Any) -> None:
    tenants = Tenants({})
    validator = TokenValidator(issuers=tenants)
    token = issuer.mint(claims={"iss": iss})
    assert await reason_for(validator, token) == "issuer"
    assert not tenants.asked


@pytest.mark.parametrize("host", ["a\x00", "a" * 256, "a b", "\udcff", "a:b", "a,b"])
async def test_a_host_that_is_none_is_empty_to_a_resolver(issuer: Issuer, host: str) -> None:
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    await TokenValidator(issuers=tenants).validate(presented(issuer.mint(), host=host))
    assert tenants.asked == [(issuer.url, "")]


async def raises(_issuer: str, _host: str) -> TrustedIssuer | None:
    raise ZeroDivisionError("secret detail")


async def hangs(_issuer: str, _host: str) -> TrustedIssuer | None:
    await asyncio.Event().wait()
    return None


async def returns_another(_issuer: str, _host: str) -> TrustedIssuer | None:
    return TrustedIssuer(issuer=OURS, audience=AUDIENCE)


async def returns_nonsense(_issuer: str, _host: str) -> Any:
    return "yes"


@pytest.mark.parametrize("resolver", [raises, hangs, returns_another, returns_nonsense])
async def test_a_resolver_that_fails_lets_nobody_in_and_says_nothing(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    resolver: auth.Resolver,
) -> None:
    app = web.Application()
    auth.setup(app, TokenValidator(issuers=resolver, hook_timeout=0.05))
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert response.status == 503
        assert await response.json() == {"message": UnavailableError.message}
        assert response.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in response.headers
    assert [fault.levelno for fault in faults(caplog)] == [logging.ERROR]
    assert codes(caplog) == ["resolver_unavailable"]
    assert reasons(caplog) == ["503 resolver_unavailable"]
    assert not issuer.requests


async def test_closing_ends_a_question_to_the_resolver(issuer: Issuer) -> None:
    validator = TokenValidator(issuers=hangs)
    waiting = asyncio.create_task(validator.validate(presented(issuer.mint())))
    await asyncio.sleep(0)
    await validator.close()
    with pytest.raises(UnavailableError):  # the client is still there, and gets an answer
        await waiting
    assert not resolved(validator)._pending


async def test_a_client_that_goes_away_does_not_take_the_question_along(issuer: Issuer) -> None:
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants)
    gone, waiting = (
        asyncio.create_task(validator.validate(presented(issuer.mint()))) for _ in range(2)
    )
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert (await waiting).issuer == issuer.url
    assert len(tenants.asked) == 1


async def test_during_an_outage_of_the_resolver_its_last_yes_holds_for_an_hour(
    issuer: Issuer, clock: FakeClock
) -> None:
    """And it is asked once a second at most."""
    issuer.clock = clock.time
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants, clock=clock, jwks_max_age=9e5, jwks_max_stale=9e5)
    await validator.validate(presented(issuer.mint()))
    tenants.down = True
    clock.advance(60)
    tenants.asked.clear()
    for _ in range(10):
        await validator.validate(presented(issuer.mint()))
        assert (
            await reason_for(validator, issuer.mint(claims={"iss": OURS})) == "resolver_unavailable"
        )
    assert sorted(tenants.asked) == sorted([(issuer.url, ""), (OURS, "")])
    clock.advance(1)
    await validator.validate(presented(issuer.mint()))
    assert len(tenants.asked) == 3
    clock.advance(3600 - 61)
    assert await reason_for(validator, issuer.mint()) == "resolver_unavailable"
    tenants.down = False
    clock.advance(1)
    await validator.validate(presented(issuer.mint()))


async def test_forged_tokens_push_out_nobody_who_is_in_use(issuer: Issuer, keys: list[Key]) -> None:
    """Anybody can send an issuer that is trusted with a host of their own."""
    known: dict[tuple[str, str], TrustedIssuer | None] = {
        (issuer.url, host): trusted(issuer) for host in ("real", *map(str, range(20)))
    }
    tenants = Tenants(known)
    validator = TokenValidator(issuers=tenants, max_issuers=5)
    await validator.validate(presented(issuer.mint(), host="real"))
    forged = issuer.mint(key=keys[1], header={"kid": issuer.key.kid})
    for number in range(20):
        assert await reason_for(validator, forged, host=str(number)) == "signature"
    tenants.asked.clear()
    await validator.validate(presented(issuer.mint(), host="real"))
    assert not tenants.asked


async def test_not_too_many_questions_are_under_way_at_once(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    validator = TokenValidator(issuers=hangs, max_issuers=3)
    tokens = [issuer.mint(claims={"iss": f"{OURS}{number}"}) for number in range(5)]
    waiting = [asyncio.create_task(validator.validate(presented(token))) for token in tokens]
    await asyncio.sleep(0)
    assert len(resolved(validator)._pending) == 3
    assert await reason_for(validator, issuer.mint()) == "resolver_unavailable"
    assert not faults(caplog), "a flood of strangers writes nothing by itself"
    await validator.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, UnavailableError) for result in results)


async def test_a_yes_that_is_renewed_stays_in_use(issuer: Issuer, clock: FakeClock) -> None:
    issuer.clock = clock.time
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants, clock=clock)
    for _ in range(3):
        await validator.validate(presented(issuer.mint()))
        clock.advance(60)
    issuers = resolved(validator)
    assert (len(issuers._proven), len(issuers._unproven)) == (1, 0)


async def test_keys_that_were_forgotten_during_their_fetch_are_closed_too(issuer: Issuer) -> None:
    asked = asyncio.Event()

    async def fetch(_url: str) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    async def resolver(iss: str, _host: str) -> TrustedIssuer | None:
        return TrustedIssuer(issuer=iss, audience=AUDIENCE)

    before = asyncio.all_tasks()
    validator = TokenValidator(issuers=resolver, max_issuers=1, fetch=fetch)
    waiting = [
        asyncio.create_task(
            validator.validate(presented(issuer.mint(claims={"iss": f"{OURS}{number}"})))
        )
        for number in range(3)
    ]
    await asyncio.sleep(0)
    await asyncio.wait_for(asked.wait(), 30)
    await validator.close()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert asyncio.all_tasks() == before


async def test_closing_ends_the_fetch_of_keys_that_a_resolver_brought(issuer: Issuer) -> None:
    asked = asyncio.Event()

    async def fetch(_url: str) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    validator = TokenValidator(issuers=tenants, fetch=fetch)
    waiting = asyncio.create_task(reason_for(validator, issuer.mint()))
    await asyncio.wait_for(asked.wait(), 30)
    await validator.close()
    assert await asyncio.wait_for(waiting, 30) == "keys_unavailable"
