"""When is the issuer asked for its keys, and who waits for the answer?"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from joserfc.jwk import Key

from hello.app import create_app
from hello.auth import InvalidTokenError, Reason, TokenValidator
from support.api import ApiServer, Client, bearer, config_for
from support.clock import FakeClock
from support.failing_issuer import JWKS, FailingIssuer, at_once, settled, validating
from support.unknown_keys import in_background, renamed
from support.validators import presented, reason_for

# Fractions of a second are eighths, which a float holds exactly.


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
        at_once(validator.validate(presented(issuer.mint(header=header, claims=claims))))
    assert not issuer.requests


async def test_however_many_wait_for_the_first_keys_there_is_one_fetch(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    await asyncio.gather(*(validator.validate(presented(token)) for token in [issuer.mint()] * 500))
    assert issuer.asked == (1, 1)
    assert issuer.requests.total() == 2


@pytest.mark.parametrize("age", [0, 1, 300, 479.875])
async def test_keys_are_used_without_a_request(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str, age: float
) -> None:
    clock.advance(age)
    at_once(validator.validate(presented(good)))
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
    at_once(validator.validate(presented(good)))
    await held.asked()
    for _ in range(100):
        at_once(validator.validate(presented(good)))
    held.release()
    await settled(validator)
    clock.advance(479.875)  # the next one is due 480 s after this one
    at_once(validator.validate(presented(good)))
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
    at_once(validator.validate(presented(good)))
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
    at_once(
        validator.validate(presented(good))
    )  # for the last time, since this asks for newer keys
    await settled(validator)
    assert await reason_for(validator, good) is Reason.UNKNOWN_KEY


async def test_a_withdrawn_key_is_refused_on_its_first_token_past_the_keys_life(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    issuer.rotate(keys[1])
    issuer.withdraw(keys[0])
    clock.advance(600)
    assert await reason_for(validator, good) is Reason.UNKNOWN_KEY


async def test_age_is_not_measured_with_a_clock_that_people_set(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    clock.epoch += 3600
    at_once(validator.validate(presented(good)))
    clock.epoch -= 3600
    at_once(validator.validate(presented(good)))
    await settled(validator)
    assert issuer.asked == (1, 1)


async def test_times_are_the_validators_own(issuer: FailingIssuer, clock: FakeClock) -> None:
    token = issuer.mint()
    async with validating(
        issuer, clock, jwks_max_age=100, jwks_max_stale=200, jwks_cooldown=2
    ) as validator:
        for advance, fetches in [(0, 1), (79, 1), (1, 2), (100, 3)]:
            clock.advance(advance)
            await validator.validate(presented(token))
            await settled(validator)
            assert issuer.asked == (fetches, fetches)
        for advance, fetches in [(0, 4), (1, 4), (1, 5)]:
            clock.advance(advance)
            await reason_for(validator, renamed(token))
            assert issuer.asked == (fetches, fetches)
