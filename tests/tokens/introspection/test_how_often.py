"""How often is an issuer asked about tokens, whoever sends them, and what if it does not answer?"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.auth import Introspection, Reason, TokenValidator, TrustedIssuer, UnavailableError
from hello.sandbox.issuer import OMIT
from hello.sandbox.issuer.oauth import CLIENT_ID, CLIENT_SECRET
from hello.tokens.introspection.introspector import TOO_MANY
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.failing_issuer import METADATA, FailingIssuer, at_once, hang, hang_up, members
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
    async with introspecting(issuer, clock, jwks_timeout=2) as validator:
        texts = [f"made-up-{number}" for number in range(1100)]
        answers = await asyncio.gather(*(reason_for(validator, text) for text in texts))
    assert set(answers) == {UNKNOWN}
    assert most == 16


async def test_a_small_cache_holds_few_answers(issuer: FailingIssuer, clock: FakeClock) -> None:
    async with introspecting(issuer, clock, token_cache_size=0) as validator:
        text = issuer.opaque()
        for _ in range(3):
            await validator.validate(presented(text))
        assert asked(issuer) == 3


async def not_json(_issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
    return web.Response(text="[]")


async def failing(_issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
    raise web.HTTPInternalServerError


@pytest.mark.parametrize("answer", [hang, hang_up, not_json, failing])
async def test_an_outage_is_no_refusal_and_is_tried_again_ever_more_rarely(
    issuer: FailingIssuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    answer: Callable[[FailingIssuer, web.Request], Awaitable[web.StreamResponse]],
) -> None:
    async with introspecting(issuer, clock, jwks_timeout=0.3) as validator:
        texts = [issuer.opaque(claims={"sub": str(number)}) for number in range(20)]
        for text in texts:
            await validator.validate(presented(text))
        clock.advance(60)
        issuer.answers[INTROSPECT] = answer
        before = asked(issuer)
        for delay in (1, 2, 4, 8, 10, 10):
            with pytest.raises(UnavailableError) as refusal:
                await validator.validate(presented(texts[0]))
            assert (refusal.value.reason, refusal.value.retry_after) == (UNKNOWN, delay)
            clock.advance(delay - 0.1)
            for text in (*texts, "made-up"):
                with pytest.raises(UnavailableError):
                    at_once(validator.validate(presented(text)))
            clock.advance(0.1)
        assert asked(issuer) - before == 6
        assert codes(caplog) == ["introspection_unavailable"] * 6
        del issuer.answers[INTROSPECT]
        # One at a time, until the first answer.
        first, *others = await asyncio.gather(*(reason_for(validator, text) for text in texts))
        assert (first, set(others)) == (None, {UNKNOWN})
        for text in texts:
            await validator.validate(presented(text))
        assert len(caplog.records) == 7


async def test_an_outage_that_many_notice_at_once_is_one(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    texts = [issuer.opaque(claims={"sub": str(number)}) for number in range(20)]
    for text in texts:
        await validator.validate(presented(text))
    clock.advance(60)
    issuer.answers[INTROSPECT] = failing
    await asyncio.gather(*(reason_for(validator, text) for text in texts))
    with pytest.raises(UnavailableError) as refusal:
        await validator.validate(presented(texts[0]))
    assert refusal.value.retry_after == 1


async def test_what_a_stranger_sends_causes_an_outage_for_strangers_only(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    good = issuer.opaque()
    await validator.validate(presented(good))
    clock.advance(60)
    issuer.answers[INTROSPECT] = failing
    assert await reason_for(validator, "crashes-the-issuer") is UNKNOWN
    with pytest.raises(UnavailableError):
        at_once(validator.validate(presented("another")))
    del issuer.answers[INTROSPECT]
    await validator.validate(presented(good))
    assert await reason_for(validator, "another") is Reason.INACTIVE  # the outage is over


async def test_an_error_that_nobody_planned_is_an_outage_with_a_stack_in_the_log(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def fetch(_url: str) -> bytes:
        raise ZeroDivisionError

    async with introspecting(issuer, clock, fetch=fetch) as validator:
        assert await reason_for(validator, issuer.opaque()) is UNKNOWN
    stack, warning = caplog.records
    assert stack.exc_info is not None
    assert "ZeroDivisionError" in warning.getMessage()


async def test_an_endpoint_that_has_moved_is_found_again(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    text = issuer.opaque()
    issuer.answers[METADATA] = members(introspection_endpoint=f"{issuer.url}old")
    assert await reason_for(validator, text) is UNKNOWN
    del issuer.answers[METADATA]
    clock.advance(1)
    await validator.validate(presented(text))


async def test_closing_ends_the_questions_under_way(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    began = asyncio.Event()

    async def late(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
        began.set()
        return await hang(issuer, request)

    issuer.answers[INTROSPECT] = late
    async with introspecting(issuer, clock) as validator:
        waiting = asyncio.create_task(reason_for(validator, issuer.opaque()))
        await began.wait()
        await validator.close()
        assert await waiting is UNKNOWN
        del issuer.answers[INTROSPECT]
        await validator.validate(presented(issuer.opaque()))  # it can be used again


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


async def test_a_stranger_takes_the_endpoint_from_nobody(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """The issuer fails because of what a stranger sends, while its metadata cannot be had."""
    text = issuer.opaque()
    await validator.validate(presented(text))
    clock.advance(60)

    async def fail_for_strangers(_: FailingIssuer, request: web.Request) -> web.Response:
        form = await request.post()
        known = issuer.access_tokens.get(str(form["token"]))
        return web.Response(status=500) if known is None else web.json_response(known.answer)

    issuer.answers |= {INTROSPECT: fail_for_strangers, METADATA: hang}
    assert await reason_for(validator, "strangers") is UNKNOWN
    await validator.validate(presented(text))


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


@pytest.mark.parametrize("code", [400, 403])
async def test_a_text_that_the_issuer_refuses_keeps_no_new_token_waiting(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    """As a firewall before it may do. It is asked about such a text once in ten seconds."""

    async def guarded(_: FailingIssuer, request: web.Request) -> web.Response:
        text = str((await request.post())["token"])
        known = issuer.access_tokens.get(text)
        if "/etc/passwd" in text or known is None:
            return web.Response(status=code)
        return web.json_response(known.answer)

    issuer.answers[INTROSPECT] = guarded
    for number in range(20):
        for _ in range(2):
            assert await reason_for(validator, f"../../etc/passwd{number}") is UNKNOWN
        await validator.validate(presented(issuer.opaque()))
        clock.advance(0.5)
    assert asked(issuer) == 40
    assert codes(caplog) == ["introspection_unavailable"]
