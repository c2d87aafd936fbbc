"""What becomes of a fetch whose client goes away, or that is closed or cancelled?"""

import asyncio
from contextlib import suppress

import pytest

from hello.auth import KeysUnavailableError, Reason, TokenValidator
from support.clock import FakeClock
from support.failing_issuer import JWKS, FailingIssuer, at_once, settled, validating
from support.logs import code, faults
from support.unknown_keys import in_background, renamed
from support.validators import presented, reason_for, signing_keys


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
    at_once(validator.validate(presented(issuer.mint())))
    assert issuer.asked == (1, 1)


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
        await validator.validate(presented(token))
        refusal = await refused_by_closing(issuer, validator, renamed(token))
    else:
        refusal = await refused_by_closing(issuer, validator, token)
    assert refusal.headers["Retry-After"] == "1"
    await validator.validate(presented(token))
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
            await validator.validate(presented(token))
        else:
            assert await reason_for(validator, token) is Reason.UNKNOWN_KEY
        assert issuer.asked == (before + 1, before + 1)


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
            await validator.validate(presented(issuer.mint()))
        with pytest.raises(KeysUnavailableError):  # and is not tried again at once
            at_once(validator.validate(presented(issuer.mint())))
    [fault] = faults(caplog)
    assert code(fault) == "keys_unavailable"
    assert isinstance(fault.args, tuple)
    assert fault.args[2] == 1, "seconds until the next attempt"


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
    at_once(validator.validate(presented(issuer.mint())))


async def test_what_was_closed_before_its_fetch_began_can_begin_anew(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    waiting = in_background(issuer.mint(), validator)
    await asyncio.sleep(0)
    await validator.close()
    with pytest.raises(KeysUnavailableError):
        await waiting
    await validator.validate(presented(issuer.mint()))
    assert issuer.asked == (1, 1)


async def test_closing_with_nothing_under_way_waits_for_nothing(
    validator: TokenValidator, good: str
) -> None:
    at_once(validator.close())
