"""How often is an issuer asked about tokens, whoever sends them, and what if it does not answer?"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.auth import Introspection, Reason, TokenValidator, TrustedIssuer, UnavailableError
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT
from hello.tokens.introspection.introspector import TOO_MANY
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.failing_issuer import METADATA, FailingIssuer, at_once, hang
from support.introspecting import INTROSPECT, asked, introspecting
from support.logs import codes
from support.protecting import new_handler
from support.validators import presented, reason_for

UNKNOWN = Reason.INTROSPECTION_UNAVAILABLE


async def test_a_yes_counts_for_a_minute(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """So that is how long a revoked token may be used."""
    text = issuer.opaque()
    await validator.validate(presented(text))
    issuer.revoke(text)
    clock.advance(59)
    at_once(validator.validate(presented(text)))
    clock.advance(1)
    assert await reason_for(validator, text) is Reason.INACTIVE
    assert asked(issuer) == 2


async def test_a_yes_never_counts_past_exp(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    text = issuer.opaque(claims={"exp": clock.time() + 30})
    await validator.validate(presented(text))
    clock.advance(34.9)  # the leeway is 5 s
    at_once(validator.validate(presented(text)))
    clock.advance(0.1)
    assert await reason_for(validator, text) is Reason.EXPIRED
    assert asked(issuer) == 1


async def test_a_no_counts_for_ten_seconds(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    for expected in (1, 2):
        for _ in range(3):
            assert await reason_for(validator, "nobodys") is Reason.INACTIVE
        assert asked(issuer) == expected
        clock.advance(9.9)
        assert await reason_for(validator, "nobodys") is Reason.INACTIVE
        assert asked(issuer) == expected
        clock.advance(0.1)
    assert validator.introspected is not None
    assert validator.introspected[1].counts == {"active": 0, "inactive": 2, "failed": 0}


async def test_a_refusal_by_our_own_rules_asks_nobody_again(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    """A stranger may have an active token, for another API."""
    text = issuer.opaque(claims={"aud": "another"})
    for _ in range(100):
        assert await reason_for(validator, text) is Reason.AUDIENCE
    assert asked(issuer) == 1


async def test_revocation_is_asked_for_on_every_request(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    revoked: list[str] = []
    async with introspecting(
        issuer, clock, revoked=lambda token: token.token in revoked
    ) as validator:
        text = issuer.opaque()
        await validator.validate(presented(text))
        revoked.append(text)
        assert await reason_for(validator, text) is Reason.REVOKED
    assert asked(issuer) == 1


@pytest.mark.parametrize("active", [True, False])
async def test_five_hundred_who_wait_cost_one_question(
    issuer: FailingIssuer, validator: TokenValidator, *, active: bool
) -> None:
    text = issuer.opaque() if active else "nobodys"
    answers = await asyncio.gather(*(reason_for(validator, text) for _ in range(500)))
    assert set(answers) == {None if active else Reason.INACTIVE}
    assert asked(issuer) == 1


async def test_one_who_goes_away_costs_nobody_else_the_answer(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    text = issuer.opaque()
    released = asyncio.Event()
    began = asyncio.Event()

    async def late(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
        began.set()
        await released.wait()
        return web.json_response(issuer.access_tokens.get(text).answer)  # type: ignore[union-attr]

    issuer.answers[INTROSPECT] = late
    first = asyncio.create_task(validator.validate(presented(text)))
    second = asyncio.create_task(validator.validate(presented(text)))
    await began.wait()
    first.cancel()
    released.set()
    assert (await second).token == text
    assert first.cancelled()
    assert asked(issuer) == 1


async def test_three_hundred_new_tokens_at_once_are_all_good(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    """As after a restart: nobody's token has been valid here so far."""
    texts = [issuer.opaque(claims={"sub": str(number)}) for number in range(300)]
    answers = await asyncio.gather(*(reason_for(validator, text) for text in texts))
    assert set(answers) == {None}
    assert asked(issuer) == 300


@pytest.mark.parametrize("at_a_time", [1, 100])
async def test_a_flood_of_made_up_tokens_neither_reaches_the_issuer_nor_starves_good_ones(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    at_a_time: int,
) -> None:
    good = [issuer.opaque(claims={"sub": str(number)}) for number in range(5)]
    for text in good:
        await validator.validate(presented(text))
    before = asked(issuer)
    number = 0
    for _second in range(10):
        for _ in range(0, 1000, at_a_time):
            made_up = [f"made-up-{number + more}" for more in range(at_a_time)]
            number += at_a_time
            answers = await asyncio.gather(*(reason_for(validator, text) for text in made_up))
            assert set(answers) <= {Reason.INACTIVE, UNKNOWN}
        clock.advance(1)
    assert asked(issuer) - before <= 50 + 10 * 5
    clock.advance(60)  # so that they have to be asked about again
    for _ in range(100):
        await reason_for(validator, f"made-up-{number}")
        number += 1
    for text in good:
        await validator.validate(presented(text))
    clock.advance(11)
    await validator.validate(presented(issuer.opaque()))  # a new one, some seconds later
    assert not codes(caplog)


async def test_a_request_that_may_not_ask_is_told_apart_from_an_outage_in_the_log(
    issuer: FailingIssuer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(51):
        async with client.get("/", headers=bearer(f"made-up-{number}")) as response:
            assert response.status == (401 if number < 50 else 503)
    assert TOO_MANY in caplog.messages[-1]


async def test_the_allowance_grows_again_but_never_beyond_its_size(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    clock.advance(3600)
    for number in range(60):
        await reason_for(validator, f"a-{number}")
    assert asked(issuer) == 50
    clock.advance(1)
    for number in range(60):
        await reason_for(validator, f"b-{number}")
    assert asked(issuer) == 55


async def test_few_strangers_are_asked_about_at_a_time(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    """The others wait for their turn, and not for ever."""
    under_way = most = 0

    async def slow(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return await hang(issuer, request)

    issuer.answers[INTROSPECT] = slow
    async with introspecting(issuer, clock, jwks_timeout=8) as validator:
        texts = [f"made-up-{number}" for number in range(1100)]
        answers = await asyncio.gather(*(reason_for(validator, text) for text in texts))
    assert set(answers) == {UNKNOWN}
    assert most == 16


async def test_who_gets_no_turn_is_told_so(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    arrived = asyncio.Queue[None]()

    async def late(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
        arrived.put_nowait(None)
        return await hang(issuer, request)

    issuer.answers[INTROSPECT] = late
    first = [asyncio.create_task(reason_for(validator, f"made-up-{n}")) for n in range(16)]
    for _ in first:
        await asyncio.wait_for(arrived.get(), 30)
    assert validator.introspected is not None
    introspector = validator.introspected[1]
    introspector._policy = replace(introspector._policy, timeout=0.01)
    with pytest.raises(UnavailableError) as refusal:
        await validator.validate(presented("another"))
    assert (refusal.value.reason, refusal.value.detail) == (UNKNOWN, TOO_MANY)
    assert asked(issuer) == 16
    await validator.close()
    assert set(await asyncio.gather(*first)) == {UNKNOWN}


async def test_a_small_cache_holds_few_answers(issuer: FailingIssuer, clock: FakeClock) -> None:
    async with introspecting(issuer, clock, token_cache_size=0) as validator:
        text = issuer.opaque()
        for _ in range(3):
            await validator.validate(presented(text))
        assert asked(issuer) == 3


@pytest.fixture
async def client(
    validator: TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> Client:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    return await aiohttp_client(ApiServer(app))


@pytest.mark.parametrize(
    ("claims", "status"),
    [({}, 200), ({"aud": "x"}, 401), ({"active": False}, 401), ({"active": OMIT}, 503)],
)
async def test_a_request_with_an_opaque_token(
    issuer: FailingIssuer,
    client: Client,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, object],
    status: int,
) -> None:
    text = issuer.opaque(claims=claims)
    async with client.get("/", headers=bearer(text)) as response:
        assert response.status == status
        assert ("Retry-After" in response.headers) is (status == 503)
    assert text not in caplog.text


async def test_a_token_that_ended_is_a_strangers_again(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """Whoever once had many valid tokens cannot use them for a flood."""
    texts = [issuer.opaque() for _ in range(200)]
    for text in texts:
        await validator.validate(presented(text))
        issuer.revoke(text)
    clock.advance(60)
    for _ in range(2):
        await asyncio.gather(*(reason_for(validator, text) for text in texts))
        clock.advance(10)
    assert asked(issuer) <= 3 * 200 - 100


async def test_the_endpoint_is_looked_for_once(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    texts = [issuer.opaque() for _ in range(20)]
    await asyncio.gather(*(validator.validate(presented(text)) for text in texts))
    assert issuer.requests[METADATA] == 1


def test_another_event_loop_may_follow(keys: list[Key], clock: FakeClock) -> None:
    """Even if questions had to wait for their turn in the first one."""

    async def ask(validator: TokenValidator, text: str) -> set[Reason | None]:
        texts = [f"{text}{number}" for number in range(40)]
        reasons = await asyncio.gather(*(reason_for(validator, text) for text in texts))
        await validator.close()
        return set(reasons)

    async def first() -> TokenValidator:
        async with FailingIssuer.serving(keys[0], clock) as issuer:
            asking = Introspection(
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                endpoint=f"{issuer.url}{INTROSPECT[1:]}",
            )
            trusted = TrustedIssuer(issuer=issuer.url, audience="api", introspection=asking)
            validator = TokenValidator(issuers=[trusted], clock=clock)
            assert await ask(validator, "first") == {Reason.INACTIVE}
            return validator

    validator = asyncio.run(first())
    clock.advance(60)
    assert asyncio.run(ask(validator, "second")) == {UNKNOWN}  # nobody listens any more
