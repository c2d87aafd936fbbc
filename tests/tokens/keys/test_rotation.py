"""When does a key that nobody knows make somebody ask the issuer anew?"""

import asyncio

import pytest
from joserfc.jwk import Key

from hello.auth import InvalidTokenError, Reason, TokenValidator
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import JWKS, FailingIssuer, at_once, settled, validating
from support.unknown_keys import in_background, renamed
from support.validators import presented, reason_for


async def test_an_unknown_kid_forces_one_fetch_in_a_cooldown(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    for advance, fetches in [(0, 2), (0, 2), (9.875, 2), (0.125, 3), (9.875, 3), (0.125, 4)]:
        clock.advance(advance)
        tokens = [renamed(good) for _ in range(100)]
        reasons = await asyncio.gather(*(reason_for(validator, token) for token in tokens))
        assert set(reasons) == {Reason.UNKNOWN_KEY}
        assert issuer.asked == (fetches, fetches)
    with pytest.raises(InvalidTokenError):
        at_once(validator.validate(presented(renamed(good))))


async def test_a_forced_fetch_that_outlasts_the_cooldown_answers_all_the_same(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    """The cooldown begins where the fetch ends, or one token could keep an issuer busy."""
    held = issuer.hold(JWKS)
    waiting = asyncio.create_task(reason_for(validator, renamed(good)))
    await held.asked()
    clock.advance(15)
    held.release()
    assert await waiting is Reason.UNKNOWN_KEY
    clock.advance(9.875)
    assert await reason_for(validator, renamed(good)) is Reason.UNKNOWN_KEY
    assert issuer.asked == (2, 2)


async def test_nobody_else_waits_for_what_an_unknown_kid_forces(
    issuer: FailingIssuer, validator: TokenValidator, good: str
) -> None:
    held = issuer.hold(JWKS)
    waiting = in_background(renamed(good), validator)
    await held.asked()
    at_once(validator.validate(presented(good)))
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
    await validator.validate(presented(good))
    await settled(validator)
    before = issuer.asked[1]
    issuer.rotate(keys[1])
    await asyncio.gather(*(validator.validate(presented(issuer.mint())) for _ in range(tokens)))
    assert issuer.asked == (before + 1, before + 1)
    at_once(validator.validate(presented(good)))


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
        await validator.validate(presented(old))
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
        assert await reason_for(validator, renamed(good)) is Reason.UNKNOWN_KEY
        if number % 10 == 0:
            at_once(validator.validate(presented(good)))
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
    await reason_for(validator, renamed(good))
    clock.advance(calm)
    issuer.rotate(keys[1])
    new = issuer.mint()
    for _ in range(round((10 - calm) * 8)):
        assert await reason_for(validator, renamed(good)) is Reason.UNKNOWN_KEY
        assert await reason_for(validator, new) is Reason.UNKNOWN_KEY
        clock.advance(0.125)
    await validator.validate(presented(new))


async def test_one_token_forces_one_fetch_however_short_the_cooldown_is(
    issuer: FailingIssuer,
) -> None:
    """The first one of all: what is fetched for it is the issuer's word of now."""
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, jwks_cooldown=1e-9)
    for fetches in (1, 2, 3):
        with pytest.raises(InvalidTokenError):
            await validator.validate(presented(issuer.mint(header={"kid": "nobody's"})))
        assert issuer.asked == (fetches, fetches)


async def test_one_unknown_key_makes_one_fetch_of_keys_that_are_due(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    async with validating(issuer, clock, jwks_cooldown=1e-9) as validator:
        token = issuer.mint()
        await validator.validate(presented(token))
        clock.advance(480)
        assert await reason_for(validator, renamed(token)) is Reason.UNKNOWN_KEY
        assert issuer.asked == (2, 2)
