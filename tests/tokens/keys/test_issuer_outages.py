"""What becomes of tokens while the issuer fails, in whichever way?"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import uuid4

import pytest
from joserfc.jwk import Key

from hello.app import create_app
from hello.auth import InvalidTokenError, KeysUnavailableError, Reason, TokenValidator
from support.api import ORIGIN, ApiServer, Client, bearer, config_for
from support.clock import FakeClock
from support.failing_issuer import (
    FAILURES,
    JWKS,
    METADATA,
    OAUTH_METADATA,
    PATIENCE,
    FailingIssuer,
    at_once,
    hang,
    settled,
    status,
    validating,
    waits,
)
from support.logs import code, faults
from support.naming import naming
from support.validators import presented, signing_keys

BACKOFF = (1, 2, 4, 8, 10, 10, 10)


def unknown(issuer: FailingIssuer) -> str:
    """A token whose kid nobody knows."""
    return issuer.mint(header={"kid": uuid4().hex})


class Attempt(NamedTuple):
    """What the log says of a failed attempt to fetch keys."""

    source: str
    keeping: str
    next_in: int
    why: str


def failed(caplog: pytest.LogCaptureFixture) -> list[Attempt]:
    """The failed attempts, each a warning; in no other way does the log speak of them."""
    records = [record for record in faults(caplog) if code(record) == "keys_unavailable"]
    assert {(record.levelno, record.exc_info) for record in records} <= {(logging.WARNING, None)}
    return [Attempt(*record.args) for record in records if isinstance(record.args, tuple)]  # type: ignore[arg-type]


async def retry_after(token: str, validator: TokenValidator) -> int:
    with pytest.raises(KeysUnavailableError) as refusal:
        await validator.validate(presented(token))
    return refusal.value.retry_after


def retry_after_at_once(token: str, validator: TokenValidator) -> int:
    with pytest.raises(KeysUnavailableError) as refusal:
        at_once(validator.validate(presented(token)))
    return refusal.value.retry_after


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failing_issuer_costs_no_valid_token_once_there_are_keys(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    failure = FAILURES[name]
    token = issuer.mint()
    async with validating(issuer, clock) as validator:
        await validator.validate(presented(token))
        await failure.begin(issuer)
        waits(validator, failure.timeout)
        clock.advance(600)
        await validator.validate(presented(token))
        at_once(validator.validate(presented(token)))
    (attempt,) = failed(caplog)
    assert attempt.next_in == 1
    assert re.search(naming(*failure.named), attempt.why)
    assert issuer.trapped == 0


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failing_issuer_is_to_blame_where_there_are_no_keys(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    failure = FAILURES[name]
    token = issuer.mint()
    async with validating(issuer, clock, jwks_timeout=failure.timeout) as validator:
        await failure.begin(issuer)
        assert await retry_after(token, validator) == 1
        await issuer.start()
        waits(validator, PATIENCE)
        assert retry_after_at_once(token, validator) == 1
        clock.advance(1)
        await validator.validate(presented(token))
    (attempt,) = failed(caplog)
    assert attempt.next_in == 1
    assert re.search(naming(*failure.named), attempt.why)
    assert issuer.trapped == 0


async def test_without_keys_attempts_back_off_and_nobody_waits_in_between(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    issuer.answers[METADATA] = status(500)
    token = issuer.mint()
    for attempts, seconds in enumerate(BACKOFF, start=1):
        assert await retry_after(token, validator) == seconds
        clock.advance(seconds - 0.125)
        assert retry_after_at_once(token, validator) == 1
        assert issuer.requests[METADATA] == attempts
        assert failed(caplog)[-1].next_in == seconds
        clock.advance(0.125)
    assert len(failed(caplog)) == len(BACKOFF)


async def test_retry_after_is_in_whole_seconds_and_never_too_early(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    await issuer.stop()
    for seconds in BACKOFF[:-1]:
        await retry_after(issuer.mint(), validator)
        clock.advance(seconds)
    assert await retry_after(issuer.mint(), validator) == 10
    for advance, left in [(0.125, 10), (0.75, 10), (0.125, 9), (7.875, 2), (0.125, 1), (0.75, 1)]:
        clock.advance(advance)
        assert retry_after_at_once(issuer.mint(), validator) == left


async def test_who_hears_late_of_a_failure_is_told_to_come_back_in_a_second(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """Not at once, nor in less than no time, though the next attempt is due by then."""
    await issuer.stop()
    waiting = asyncio.create_task(retry_after(issuer.mint(), validator))
    await asyncio.sleep(0)
    attempt = signing_keys(validator)._pending
    assert attempt is not None
    attempt.add_done_callback(lambda _: clock.advance(60))
    assert await waiting == 1


async def test_all_who_wait_for_a_failing_issuer_share_one_attempt_and_one_warning(
    issuer: FailingIssuer, validator: TokenValidator, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.answers[METADATA] = status(500)
    token = issuer.mint()
    waits = await asyncio.gather(*(retry_after(token, validator) for _ in range(100)))
    assert set(waits) == {1}
    assert issuer.requests == {METADATA: 1, OAUTH_METADATA: 1}
    assert len(failed(caplog)) == 1


async def test_the_timeout_is_for_all_of_a_fetch(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody waits once for one address and again for the next."""
    issuer.answers[METADATA] = hang
    async with validating(issuer, clock, jwks_timeout=1) as validator:  # and the request arrives
        waits = await asyncio.gather(*(retry_after(issuer.mint(), validator) for _ in range(10)))
        assert set(waits) == {1}
        assert retry_after_at_once(issuer.mint(), validator) == 1
    assert issuer.requests == {METADATA: 1}
    (attempt,) = failed(caplog)
    assert attempt.next_in == 1
    assert re.search(naming("1 s"), attempt.why)


async def test_a_failure_after_a_recovery_is_the_first_again(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key]
) -> None:
    """The keys too are as fresh as ever: the next request is 480 s away."""
    await issuer.stop()
    for seconds in (1, 2, 4):
        assert await retry_after(issuer.mint(), validator) == seconds
        clock.advance(seconds)
    await issuer.start()
    issuer.rotate(keys[1])
    await validator.validate(presented(issuer.mint()))
    clock.advance(479.875)
    at_once(validator.validate(presented(issuer.mint())))
    await settled(validator)
    assert issuer.asked == (1, 1)

    await issuer.stop()
    clock.advance(3600)
    assert await retry_after(issuer.mint(), validator) == 1


@pytest.mark.parametrize("asked_at", [[], [480], [600], [3000], range(1000, 3600, 100)])
async def test_old_keys_stay_in_use_up_to_their_last_second(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    good: str,
    caplog: pytest.LogCaptureFixture,
    asked_at: Sequence[int],
) -> None:
    """3,600 s after they were fetched, whenever the issuer was asked in vain since then."""
    await issuer.stop()
    age = 0.0
    for seconds in (*asked_at, 3599.875):
        clock.advance(seconds - age)
        age = seconds
        await validator.validate(presented(good))
        await settled(validator)
    assert len(failed(caplog)) == len(asked_at) + 1
    [keeping] = {attempt.keeping for attempt in failed(caplog)}

    clock.advance(0.125)
    assert retry_after_at_once(good, validator) > 0
    clock.advance(10)
    assert await retry_after(good, validator) > 0
    assert failed(caplog)[-1].keeping != keeping, "the log says so, too"
    await issuer.start()
    clock.advance(10)
    await validator.validate(presented(good))


async def test_a_long_outage_makes_no_valid_token_wait(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    """With steady traffic, since the outage is noticed while the keys are still fresh."""
    issuer.answers[METADATA] = status(500)
    for _ in range(3599):
        clock.advance(1)
        at_once(validator.validate(presented(good)))
        await settled(validator)
    attempts = issuer.requests[METADATA] - 1
    assert (3600 - 480) // 10 <= attempts <= (3600 - 480) // 10 + len(BACKOFF)

    await issuer.start()
    clock.advance(10)
    await validator.validate(presented(good))


async def test_an_issuer_that_hangs_makes_no_valid_token_wait(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with validating(issuer, clock) as validator:
        token = issuer.mint()
        await validator.validate(presented(token))
        issuer.answers[JWKS] = hang
        waits(validator, 0.1)
        clock.advance(480)
        for _ in range(3):
            at_once(validator.validate(presented(token)))
            at_once(validator.validate(presented(token)))  # the attempt is under way
            await settled(validator)
            at_once(validator.validate(presented(token)))  # it has failed
            clock.advance(59)
    assert len(failed(caplog)) == 3


async def test_past_the_keys_life_only_the_first_waits_to_hear_of_the_outage(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    async with validating(issuer, clock) as validator:
        token = issuer.mint()
        await validator.validate(presented(token))
        issuer.answers[JWKS] = hang
        waits(validator, 0.1)
        clock.advance(600)
        await validator.validate(presented(token))
        clock.advance(1)
        at_once(validator.validate(presented(token)))
        clock.advance(58)
        at_once(validator.validate(presented(token)))


async def test_an_outage_is_not_taken_for_granted_when_nobody_has_asked_for_long(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str, keys: list[Key]
) -> None:
    """The issuer may be up again, and have taken the key back that is past its life here."""
    issuer.answers[JWKS] = status(500)
    clock.advance(600)
    await validator.validate(presented(good))
    issuer.answers.clear()
    issuer.rotate(keys[1])
    issuer.withdraw(keys[0])
    clock.advance(60)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(good))
    assert refusal.value.reason is Reason.UNKNOWN_KEY


async def test_nobody_can_say_that_a_key_is_unknown_while_the_issuer_fails(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str, keys: list[Key]
) -> None:
    """Those who have a new key's token are told to come back, not that it is bad."""
    issuer.answers[JWKS] = status(500)
    issuer.rotate(keys[1])
    new = issuer.mint()
    assert await retry_after(new, validator) == 1
    assert issuer.asked == (2, 2)
    assert retry_after_at_once(new, validator) == 1
    assert retry_after_at_once(unknown(issuer), validator) == 1
    at_once(validator.validate(presented(good)))

    clock.advance(1)
    assert await retry_after(new, validator) == 2
    assert issuer.asked == (3, 3)

    await issuer.start()
    clock.advance(2)
    await validator.validate(presented(new))
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(unknown(issuer)))
    assert refusal.value.reason is Reason.UNKNOWN_KEY


async def test_a_flood_of_unknown_kids_does_not_keep_a_failing_issuer_busy(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    issuer.answers[METADATA] = status(500)
    token = unknown(issuer)
    for _ in range(480):
        assert await retry_after(token, validator) > 0
        at_once(validator.validate(presented(good)))
        clock.advance(0.125)
    assert issuer.requests[METADATA] - 1 == 9  # after 0, 1, 3, 7, 15, 25, 35, 45 and 55 s


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, Reason.EXPIRED),
        ({"aud": "https://elsewhere.example.com"}, Reason.AUDIENCE),
        ({"sub": 1}, Reason.CLAIM_TYPE),
    ],
)
@pytest.mark.parametrize("header", [{}, {"kid": "unknown"}])
async def test_what_is_bad_without_a_key_is_bad_in_an_outage_too(
    issuer: FailingIssuer,
    validator: TokenValidator,
    claims: dict[str, object],
    reason: Reason,
    header: dict[str, str],
) -> None:
    await issuer.stop()
    token = issuer.mint(claims=claims, header=header)
    for _ in range(2):
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token))
        assert refusal.value.reason is reason
        assert refusal.value.subject is None  # nobody has verified it


@pytest.mark.parametrize("origin", [ORIGIN, None])
@pytest.mark.parametrize("name", ["down", "500", "302", "HTML", "a gzip bomb"])
async def test_the_client_is_told_when_to_come_back(
    issuer: FailingIssuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    name: str,
    origin: str | None,
) -> None:
    """With the CORS headers, or a browser would tell it of a network error instead."""
    issuer.clock = time.time
    await FAILURES[name if name == "down" else f"{name} at {JWKS}"].begin(issuer)
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    headers = bearer(issuer.mint()) | ({} if origin is None else {"Origin": origin})
    async with api.get("/api/messages/protected", headers=headers) as response:
        assert response.status == 503
        assert await response.json() == {"message": KeysUnavailableError.message}
        assert response.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in response.headers
        assert response.headers.get("Access-Control-Allow-Origin") == origin
    async with api.get("/api/messages/public", headers=headers) as response:
        assert response.status == 200
    expired = bearer(issuer.mint(claims={"exp": 1}))
    async with api.get("/api/messages/protected", headers=expired) as response:
        assert response.status == 401
