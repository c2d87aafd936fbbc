"""What do the log, the state and the listeners say about fetches, and who tries again?"""

import asyncio
import logging
import math
import re
from contextvars import ContextVar

import pytest
from joserfc.jwk import Key

from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.tokens.keys.discovery import Place
from hello.tokens.keys.fetch_log import FetchLog
from hello.tokens.keys.key_set import KeySet
from hello.tokens.keys.state import KeyFetch, KeysState, State
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import JWKS, METADATA, FailingIssuer, settled, status, validating
from support.logs import code, codes, faults
from support.unknown_keys import in_background
from support.validators import presented, reason_for, signing_keys

UNAVAILABLE = Reason.KEYS_UNAVAILABLE
FIRST = FakeClock().epoch


def utc(seconds: float) -> str:
    """When this is, as the log writes it: FakeClock begins on 2027-01-15 at 08:00:00."""
    hours, rest = divmod(int(seconds - FIRST), 3600)
    return f"2027-01-15T{8 + hours:02d}:{rest // 60:02d}:{rest % 60:02d}Z"


async def test_the_state_is_what_becomes_of_the_next_token(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    keys, token = signing_keys(validator), issuer.mint()
    assert keys.state == KeysState(State.NOT_ASKED)
    await validator.validate(presented(token))
    until = clock.epoch + 3600
    assert keys.state == KeysState(State.FRESH, 0, until)
    clock.advance(599)
    assert keys.state == KeysState(State.FRESH, 599, until)
    clock.advance(1)
    assert keys.state == KeysState(State.STALE, 600, until)
    clock.advance(2999.5)
    assert keys.state == KeysState(State.STALE, 3599.5, until)
    clock.advance(0.5)
    assert keys.state == KeysState(State.NOT_ASKED), "nobody knows of an outage"
    await issuer.stop()
    assert await reason_for(validator, token) is UNAVAILABLE
    assert keys.state == KeysState(State.MISSING)
    await issuer.start()
    clock.advance(1)
    await validator.validate(presented(token))
    assert keys.state == KeysState(State.FRESH, 0, clock.epoch + 3600)


async def test_to_ask_for_the_state_fetches_nothing(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    for _ in range(100):
        assert signing_keys(validator).state.state is State.NOT_ASKED
        clock.advance(1000)
    assert not issuer.requests


async def test_a_failure_says_until_when_old_keys_are_used_and_the_end_how_long_it_lasted(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    good: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    until = utc(clock.epoch + 3600)
    await issuer.stop()
    clock.advance(480)
    for delay in (1, 2, 4):
        await validator.validate(presented(good))
        await settled(validator)
        clock.advance(delay)
    assert codes(caplog) == ["keys_unavailable"] * 3
    assert all(until in fault.getMessage() for fault in faults(caplog))
    await issuer.start()
    await validator.validate(presented(good))
    await settled(validator)
    *_, last = faults(caplog)
    assert (code(last), last.levelno) == ("keys_recovered", logging.WARNING)
    assert last.args == (ascii(issuer.url), 3, 7)
    clock.advance(480)
    await validator.validate(presented(good))
    await settled(validator)
    assert faults(caplog)[-1] is last, "it is told once"


async def test_without_keys_a_failure_names_no_time(
    issuer: FailingIssuer, validator: TokenValidator, caplog: pytest.LogCaptureFixture
) -> None:
    await issuer.stop()
    assert await reason_for(validator, issuer.mint()) is UNAVAILABLE
    [fault] = faults(caplog)
    assert not re.search(r"\d{4}-\d\d-\d\dT", fault.getMessage())
    assert ascii(issuer.url) in fault.getMessage()


async def test_new_and_gone_key_ids_are_told_once(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    keys: list[Key],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    old, new = (ascii(key.kid) for key in keys[:2])
    url = ascii(issuer.url)
    await validator.validate(presented(issuer.mint()))
    issuer.rotate(keys[1])
    clock.advance(600)
    await validator.validate(presented(issuer.mint()))
    issuer.withdraw(keys[0])
    for _ in range(2):
        clock.advance(600)
        await validator.validate(presented(issuer.mint()))
    changes = [record for record in caplog.records if code(record) == "keys_changed"]
    assert {change.levelno for change in changes} == {logging.INFO}
    assert [change.args for change in changes] == [
        (url, new, "none"),
        (url, "none", old),
    ]


@pytest.mark.parametrize(
    ("kids", "shown"),
    [
        ({"b", "a"}, "'a', 'b'"),
        ({None}, "(without a kid)"),
        ({"é"}, r"'\xe9'"),
        ({"a\nb\x1b"}, r"'a\nb\x1b'"),
        ({"\u202e"}, r"'\u202e'"),
        ({"x" * 1000}, f"'{'x' * 50}'"),
        ({str(number) for number in range(9)}, "'0', '1', '2', '3', '4' and 4 more"),
    ],
)
def test_an_issuer_may_name_its_keys_as_it_likes(
    kids: set[str | None], shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    FetchLog("https://a.example.com/").changed(frozenset({"old"}), frozenset(kids))
    [record] = caplog.records
    assert isinstance(record.args, tuple)
    assert record.args[1:] == (shown, "'old'")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ({"issuer": "https://a.example.com/", "jwks_uri": None}, "https://a.example.com/"),
        (
            {"issuer": None, "jwks_uri": "https://a.example.com/k?key=secret"},
            "https://a.example.com/k",
        ),
    ],
)
def test_a_place_is_named_without_what_may_be_secret(
    place: dict[str, str | None], name: str
) -> None:
    named = Place(issuer=place["issuer"], jwks_uri=place["jwks_uri"], allow_insecure_http=False)
    assert named.name == name


async def test_each_fetch_is_told_and_a_listener_that_fails_harms_nothing(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[KeyFetch] = []

    def fail(_fetch: KeyFetch) -> None:
        raise RuntimeError

    validator.fetch_listeners += [fail, told.append]
    await issuer.stop()
    assert await reason_for(validator, issuer.mint()) is UNAVAILABLE
    await issuer.start()
    clock.advance(1)
    held = issuer.hold(JWKS)
    waiting = in_background(issuer.mint(), validator)
    await held.asked()
    clock.advance(3)
    held.release()
    await waiting
    assert told == [
        KeyFetch(issuer.url, succeeded=False, seconds=0),
        KeyFetch(issuer.url, succeeded=True, seconds=3),
    ]
    assert codes(caplog) == ["keys_unavailable", "", "keys_recovered"], "it is logged once"


def due_in(validator: TokenValidator) -> float:
    """When the next attempt without a token is due, in seconds. Some of the first may be over."""
    timer = signing_keys(validator)._timer
    assert timer is not None
    assert not timer.cancelled()
    return math.ceil(round(timer.when() - asyncio.get_running_loop().time(), 3))


async def elapsed(validator: TokenValidator, clock: FakeClock) -> None:
    """Let the time pass that the timer waits for."""
    keys = signing_keys(validator)
    clock.advance(due_in(validator))
    keys._retry()
    await settled(validator)


async def test_who_is_sent_no_request_gets_keys_again_all_the_same(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """Without keys, as often as the policy says, and with no token. Then no more."""
    keys, token = signing_keys(validator), issuer.mint()
    keys.try_again()
    issuer.answers[METADATA] = status(500)
    assert await reason_for(validator, token) is UNAVAILABLE
    for attempts, delay in enumerate((1, 2, 4, 8, 10, 10), 1):
        keys._retry()  # too early
        await settled(validator)
        assert issuer.requests[METADATA] == attempts
        assert due_in(validator) == delay
        await elapsed(validator, clock)
    issuer.answers.clear()
    await elapsed(validator, clock)
    assert keys.state.state is State.FRESH
    before, timer = issuer.asked, keys._timer
    clock.advance(3600)
    keys._retry()
    assert issuer.asked == before, "without a failure, nothing is fetched that no token needs"
    assert keys._timer is timer


async def test_an_attempt_without_a_token_is_about_no_request(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock
) -> None:
    """Else its lines and its spans would be those of a request that ended long ago."""
    keys, request, seen = signing_keys(validator), ContextVar[str]("request"), list[str | None]()
    keys.try_again()
    load = keys._load

    async def note() -> KeySet:
        seen.append(request.get(None))
        return await load()

    keys._load = note
    request.set("of a client")
    issuer.answers[METADATA] = status(500)
    assert await reason_for(validator, issuer.mint()) is UNAVAILABLE
    for _ in range(2):
        clock.advance(due_in(validator))
        assert keys._timer is not None
        keys._timer._run()
        await settled(validator)
    assert seen == ["of a client", None, None]


async def test_while_there_are_keys_only_tokens_cause_attempts(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, good: str
) -> None:
    keys = signing_keys(validator)
    keys.try_again()
    issuer.answers[JWKS] = status(500)
    clock.advance(480)
    await validator.validate(presented(good))
    await settled(validator)
    assert due_in(validator) == 3600 - 480
    before = issuer.asked
    clock.advance(1000)
    keys._retry()  # a loop's clock may be ahead
    assert (issuer.asked, due_in(validator)) == (before, 3600 - 1480)
    await elapsed(validator, clock)
    assert keys.state.state is State.MISSING
    assert issuer.asked == (before[0] + 1, before[1] + 1)
    assert due_in(validator) == 2


async def test_nobody_tries_again_who_was_not_asked_to_or_is_closed(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    keys = signing_keys(validator)
    await issuer.stop()
    assert await reason_for(validator, issuer.mint()) is UNAVAILABLE
    assert not keys._timer
    keys.try_again()
    keys._set_timer()
    assert due_in(validator) == 1
    await validator.close()
    assert keys._timer
    assert keys._timer.cancelled()


@pytest.mark.parametrize("resolves", [False, True])
async def test_a_validator_knows_all_of_its_fetched_keys(
    issuer: FailingIssuer, clock: FakeClock, *, resolves: bool
) -> None:
    trusted = TrustedIssuer(issuer=issuer.url, audience=AUDIENCE)

    async def resolver(_iss: str, _host: str) -> TrustedIssuer:
        return trusted

    validator = TokenValidator(issuers=resolver if resolves else [trusted], clock=clock)
    await validator.validate(presented(issuer.mint()))
    [keys] = validator.issuers.fetched
    assert (keys.source, keys.state.state) == (issuer.url, State.FRESH)
    await validator.close()


async def test_the_cache_counts_what_it_knew_and_weighs_it(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    async with validating(issuer, clock) as validator:
        cache, token = validator.verified, issuer.mint()
        assert (cache.hits, cache.misses, cache.bytes) == (0, 0, 0)
        for _ in range(3):
            await validator.validate(presented(token))
        assert (cache.hits, cache.misses) == (2, 1)
        assert 1000 < cache.bytes < 10_000
        assert await reason_for(validator, "nonsense") is Reason.MALFORMED
        assert (cache.hits, cache.misses) == (2, 2)
        clock.advance(1_000_000)
        assert await reason_for(validator, token) is Reason.EXPIRED
        assert (cache.hits, cache.misses, cache.bytes) == (2, 3, 0)
