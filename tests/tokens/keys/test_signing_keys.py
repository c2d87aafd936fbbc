"""When is the issuer asked for its keys, and who waits for the answer?"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from joserfc.jwk import Key

from hello.app import create_app
from hello.auth import (
    AccessToken,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    TokenValidator,
)
from hello.sandbox.issuer import base64url
from support.api import AUDIENCE, ApiServer, Client, bearer, config_for
from support.clock import FakeClock
from support.failing_issuer import (
    JWKS,
    FailingIssuer,
    at_once,
    settled,
    validating,
)
from support.validators import signing_keys

# Fractions of a second are eighths, which a float holds exactly.


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
async def validator(issuer: FailingIssuer, clock: FakeClock) -> AsyncIterator[TokenValidator]:
    async with validating(issuer, clock) as validator:
        yield validator


@pytest.fixture
async def good(issuer: FailingIssuer, validator: TokenValidator) -> str:
    """A valid token, for whose sake the keys were fetched a moment ago."""
    token = issuer.mint()
    await validator.validate(token)
    return token


def renamed(token: str) -> str:
    """The token with a kid that nobody knows, so that nobody gets to see its bad signature."""
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": uuid4().hex}).encode()
    return f"{base64url(header)}.{token.partition('.')[2]}"


async def reason_for(token: str, validator: TokenValidator) -> Reason:
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(token)
    return refusal.value.reason


def in_background(token: str, validator: TokenValidator) -> asyncio.Task[AccessToken]:
    return asyncio.create_task(validator.validate(token))


async def test_the_server_starts_with_the_issuer_down(
    issuer: FailingIssuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    """Nothing is fetched at the start or for a public message, but once a token comes."""
    issuer.clock = time.time
    await issuer.stop()
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    async with api.get("/api/messages/public") as response:
        assert response.status == 200
    await issuer.start()
    assert issuer.asked == (0, 0)
    async with api.get("/api/messages/protected", headers=bearer(issuer.mint())) as response:
        assert response.status == 200
    assert issuer.asked == (1, 1)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "none"}, {}),
        ({"alg": "RS512"}, {}),
        ({"typ": "dpop+jwt"}, {}),
        ({"crit": ["x"]}, {}),
        ({}, {"iss": "https://elsewhere.example.com/"}),
    ],
)
async def test_a_token_that_no_key_could_make_good_fetches_none(
    issuer: FailingIssuer,
    validator: TokenValidator,
    header: dict[str, object],
    claims: dict[str, object],
) -> None:
    with pytest.raises(InvalidTokenError):
        at_once(validator.validate(issuer.mint(header=header, claims=claims)))
    assert not issuer.requests


async def test_however_many_wait_for_the_first_keys_there_is_one_fetch(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    await asyncio.gather(*map(validator.validate, [issuer.mint()] * 500))
    assert issuer.asked == (1, 1)
    assert issuer.requests.total() == 2


@pytest.mark.parametrize("age", [0, 1, 300, 479.875])
async def test_keys_are_used_without_a_request(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str, age: float
) -> None:
    clock.advance(age)
    at_once(validator.validate(good))
    await settled(validator)
    assert issuer.asked == (1, 1)


@pytest.mark.parametrize("age", [480, 599.875])
async def test_late_in_their_life_one_refresh_runs_while_tokens_go_on(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    good: str,
    age: float,
) -> None:
    held = issuer.hold(JWKS)
    clock.advance(age)
    at_once(validator.validate(good))
    await held.asked()
    for _ in range(100):
        at_once(validator.validate(good))
    held.release()
    await settled(validator)
    clock.advance(479.875)  # the next one is due 480 s after this one
    at_once(validator.validate(good))
    await settled(validator)
    assert issuer.asked == (2, 2)


async def test_past_their_life_keys_are_asked_for_again_before_a_token_is_accepted(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    held = issuer.hold(JWKS)
    clock.advance(600)
    waiting = [in_background(good, validator) for _ in range(100)]
    await held.asked()
    assert not any(task.done() for task in waiting)
    held.release()
    await asyncio.gather(*waiting)
    assert issuer.asked == (2, 2)


async def test_a_refresh_that_outlasts_the_keys_is_waited_for(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    held = issuer.hold(JWKS)
    clock.advance(599.875)
    at_once(validator.validate(good))
    await held.asked()
    clock.advance(0.125)
    waiting = in_background(good, validator)
    await asyncio.sleep(0)
    assert not waiting.done()
    held.release()
    await waiting
    assert issuer.asked == (2, 2)


async def test_a_withdrawn_key_is_good_for_no_longer_than_the_keys_life(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    issuer.rotate(keys[1])
    issuer.withdraw(keys[0])
    clock.advance(599.875)
    at_once(validator.validate(good))  # for the last time, since this asks for newer keys
    await settled(validator)
    assert await reason_for(good, validator) is Reason.UNKNOWN_KEY


async def test_a_withdrawn_key_is_refused_on_its_first_token_past_the_keys_life(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    issuer.rotate(keys[1])
    issuer.withdraw(keys[0])
    clock.advance(600)
    assert await reason_for(good, validator) is Reason.UNKNOWN_KEY


async def test_age_is_not_measured_with_a_clock_that_people_set(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    clock.epoch += 3600
    at_once(validator.validate(good))
    clock.epoch -= 3600
    at_once(validator.validate(good))
    await settled(validator)
    assert issuer.asked == (1, 1)


async def test_an_unknown_kid_forces_one_fetch_in_a_cooldown(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    for advance, fetches in [(0, 2), (0, 2), (9.875, 2), (0.125, 3), (9.875, 3), (0.125, 4)]:
        clock.advance(advance)
        tokens = [renamed(good) for _ in range(100)]
        reasons = await asyncio.gather(*(reason_for(token, validator) for token in tokens))
        assert set(reasons) == {Reason.UNKNOWN_KEY}
        assert issuer.asked == (fetches, fetches)
    with pytest.raises(InvalidTokenError):
        at_once(validator.validate(renamed(good)))


async def test_a_forced_fetch_that_outlasts_the_cooldown_answers_all_the_same(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    """The cooldown begins where the fetch ends, or one token could keep an issuer busy."""
    held = issuer.hold(JWKS)
    waiting = asyncio.create_task(reason_for(renamed(good), validator))
    await held.asked()
    clock.advance(15)
    held.release()
    assert await waiting is Reason.UNKNOWN_KEY
    clock.advance(9.875)
    assert await reason_for(renamed(good), validator) is Reason.UNKNOWN_KEY
    assert issuer.asked == (2, 2)


async def test_nobody_else_waits_for_what_an_unknown_kid_forces(
    issuer: FailingIssuer, validator: TokenValidator, good: str
) -> None:
    held = issuer.hold(JWKS)
    waiting = in_background(renamed(good), validator)
    await held.asked()
    at_once(validator.validate(good))
    held.release()
    with pytest.raises(InvalidTokenError):
        await waiting


@pytest.mark.parametrize("tokens", [1, 100])
@pytest.mark.parametrize("age", [0, 479, 480, 500, 599.875, 600, 700])
async def test_a_rotation_is_honoured_on_its_first_token(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    keys: list[Key],
    good: str,
    tokens: int,
    age: float,
) -> None:
    """Also right after a scheduled fetch, which does not use the allowance up."""
    clock.advance(age)
    await validator.validate(good)
    await settled(validator)
    before = issuer.asked[1]
    issuer.rotate(keys[1])
    await asyncio.gather(*map(validator.validate, [issuer.mint()] * tokens))
    assert issuer.asked == (before + 1, before + 1)
    at_once(validator.validate(good))


@pytest.mark.parametrize("tokens", [1, 100])
@pytest.mark.parametrize("age", [None, 480, 600])
async def test_a_rotation_while_older_keys_are_on_their_way_is_honoured_too(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    keys: list[Key],
    tokens: int,
    age: float | None,
) -> None:
    """The fetch under way, the first one or a scheduled one, cannot bring the new key."""
    old = issuer.mint()
    if age is not None:
        await validator.validate(old)
        clock.advance(age)
    held = issuer.hold(JWKS)
    first = in_background(old, validator)
    await held.asked()
    before = issuer.asked[1]
    issuer.rotate(keys[1])
    waiting = [in_background(issuer.mint(), validator) for _ in range(tokens)]
    await asyncio.sleep(0)
    held.release()
    await asyncio.gather(first, *waiting)
    assert issuer.asked == (before + 1, before + 1)


async def test_a_flood_of_unknown_kids_costs_a_fetch_in_a_cooldown_and_no_valid_token(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    for number in range(5000):
        clock.advance(0.012)
        assert await reason_for(renamed(good), validator) is Reason.UNKNOWN_KEY
        if number % 10 == 0:
            at_once(validator.validate(good))
    assert issuer.asked[1] <= 7


@pytest.mark.parametrize("calm", [0, 3, 9.5])
async def test_a_rotation_in_a_flood_is_honoured_once_the_cooldown_is_over(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    keys: list[Key],
    good: str,
    calm: float,
) -> None:
    await reason_for(renamed(good), validator)
    clock.advance(calm)
    issuer.rotate(keys[1])
    new = issuer.mint()
    for _ in range(round((10 - calm) * 8)):
        assert await reason_for(renamed(good), validator) is Reason.UNKNOWN_KEY
        assert await reason_for(new, validator) is Reason.UNKNOWN_KEY
        clock.advance(0.125)
    await validator.validate(new)


async def test_times_are_the_validators_own(issuer: FailingIssuer, clock: FakeClock) -> None:
    token = issuer.mint()
    async with validating(
        issuer, clock, jwks_max_age=100, jwks_max_stale=200, jwks_cooldown=2
    ) as validator:
        for advance, fetches in [(0, 1), (79, 1), (1, 2), (100, 3)]:
            clock.advance(advance)
            await validator.validate(token)
            await settled(validator)
            assert issuer.asked == (fetches, fetches)
        for advance, fetches in [(0, 4), (1, 4), (1, 5)]:
            clock.advance(advance)
            await reason_for(renamed(token), validator)
            assert issuer.asked == (fetches, fetches)


@pytest.mark.parametrize("others", [0, 1])
async def test_a_client_that_goes_away_takes_the_fetch_from_nobody(
    issuer: FailingIssuer, validator: TokenValidator, others: int
) -> None:
    held = issuer.hold(JWKS)
    gone = in_background(issuer.mint(), validator)
    waiting = [in_background(issuer.mint(), validator) for _ in range(others)]
    await held.asked()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    held.release()
    await asyncio.gather(*waiting)
    await settled(validator)
    at_once(validator.validate(issuer.mint()))
    assert issuer.asked == (1, 1)


async def test_one_token_forces_one_fetch_however_short_the_cooldown_is(
    issuer: FailingIssuer,
) -> None:
    """The first one of all: what is fetched for it is the issuer's word of now."""
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, jwks_cooldown=1e-9)
    for fetches in (1, 2, 3):
        with pytest.raises(InvalidTokenError):
            await validator.validate(issuer.mint(header={"kid": "nobody's"}))
        assert issuer.asked == (fetches, fetches)


async def refused_by_closing(
    issuer: FailingIssuer, validator: TokenValidator, token: str
) -> KeysUnavailableError:
    """What a token gets that waits for keys when the validator is closed."""
    held = issuer.hold(JWKS)
    waiting = in_background(token, validator)
    await held.asked()
    fetching = signing_keys(validator)._pending
    await validator.close()
    assert fetching is not None
    assert fetching.done()
    with pytest.raises(KeysUnavailableError) as refusal:  # its client is there still
        await waiting
    await held.abandoned()
    held.release()
    return refusal.value


@pytest.mark.parametrize("had_keys", [False, True])
async def test_closing_ends_the_fetch_under_way_and_is_no_failed_attempt(
    issuer: FailingIssuer,
    validator: TokenValidator,
    caplog: pytest.LogCaptureFixture,
    *,
    had_keys: bool,
) -> None:
    token = issuer.mint()
    if had_keys:  # and an unknown one is looked for
        await validator.validate(token)
        refusal = await refused_by_closing(issuer, validator, renamed(token))
    else:
        refusal = await refused_by_closing(issuer, validator, token)
    assert refusal.headers["Retry-After"] == "1"
    await validator.validate(token)
    assert not caplog.records


async def test_an_attempt_that_ended_before_it_began_is_begun_anew(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    """A loop that ends cancels what it has; a second one may go on with the validator."""
    for token, age in ((good, 600), (renamed(good), 600), (renamed(good), 11)):
        clock.advance(age)
        task = signing_keys(validator)._begin()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        before = issuer.asked[1]
        if token is good:
            await validator.validate(token)
        else:
            assert await reason_for(token, validator) is Reason.UNKNOWN_KEY
        assert issuer.asked == (before + 1, before + 1)


async def test_one_unknown_key_makes_one_fetch_of_keys_that_are_due(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    async with validating(issuer, clock, jwks_cooldown=1e-9) as validator:
        token = issuer.mint()
        await validator.validate(token)
        clock.advance(480)
        assert await reason_for(renamed(token), validator) is Reason.UNKNOWN_KEY
        assert issuer.asked == (2, 2)


@pytest.mark.parametrize("after_a_group_failed", [False, True])
async def test_a_fetch_that_is_cancelled_from_within_has_failed(
    issuer: FailingIssuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    *,
    after_a_group_failed: bool,
) -> None:
    async def fetch(_url: str) -> bytes:
        if after_a_group_failed:
            with suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(fetch_from_a_mirror())
        raise asyncio.CancelledError

    async def fetch_from_a_mirror() -> None:
        raise ConnectionError

    async with validating(issuer, clock, fetch=fetch) as validator:
        with pytest.raises(KeysUnavailableError):
            await validator.validate(issuer.mint())
        with pytest.raises(KeysUnavailableError):  # and is not tried again at once
            at_once(validator.validate(issuer.mint()))
    assert "next attempt in 1 s: something that the fetch waited for was cancelled" in caplog.text


async def test_who_waits_for_keys_and_is_cancelled_is_cancelled(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    held = issuer.hold(JWKS)
    waiting = in_background(issuer.mint(), validator)
    await held.asked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.release()
    await settled(validator)
    at_once(validator.validate(issuer.mint()))


async def test_what_was_closed_before_its_fetch_began_can_begin_anew(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    waiting = in_background(issuer.mint(), validator)
    await asyncio.sleep(0)
    await validator.close()
    with pytest.raises(KeysUnavailableError):
        await waiting
    await validator.validate(issuer.mint())
    assert issuer.asked == (1, 1)


async def test_closing_with_nothing_under_way_waits_for_nothing(
    validator: TokenValidator, good: str
) -> None:
    at_once(validator.close())
