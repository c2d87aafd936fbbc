"""What if an issuer makes a new key under the old name, as development servers do at a restart?"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, JWKRegistry, Key

from hello.auth import Reason, TokenValidator
from hello.sandbox.issuer import OMIT
from support.clock import FakeClock
from support.failing_issuer import JWKS, FailingIssuer, at_once, settled, validating
from support.unknown_keys import renamed
from support.validators import presented, reason_for


def under_the_name_of(old: Key, new: Key) -> Key:
    return JWKRegistry.import_key({**new.as_dict(private=True), "kid": str(old.kid)})


def replace_key(issuer: FailingIssuer, new: Key) -> None:
    """Sign with another key under the old name, and publish that alone."""
    issuer.key = under_the_name_of(issuer.key, new)
    issuer.published = [issuer.key.as_dict(private=False)]


def drop_name(issuer: FailingIssuer, new: Key) -> None:
    """Sign with another key, and neither name it nor the old one."""
    issuer.key = new
    issuer.published = [{k: v for k, v in new.as_dict(private=False).items() if k != "kid"}]


@pytest.mark.parametrize("tokens", [1, 50])
@pytest.mark.parametrize("change", [replace_key, drop_name])
@pytest.mark.parametrize("age", [10, 60, 479])
async def test_the_first_token_of_the_new_key_is_good(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    keys: list[Key],
    good: str,
    change: Callable[[FailingIssuer, Key], None],
    tokens: int,
    age: float,
) -> None:
    clock.advance(age)
    change(issuer, keys[1])
    header: dict[str, Any] = {} if change is replace_key else {"kid": OMIT}
    minted = [issuer.mint(header=header) for _ in range(tokens)]
    await asyncio.gather(*(validator.validate(presented(token)) for token in minted))
    assert issuer.asked == (2, 2)
    assert await reason_for(validator, good) in (Reason.SIGNATURE, Reason.UNKNOWN_KEY)


async def test_forged_tokens_force_one_fetch_in_a_cooldown(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    """And none while the keys are younger than that."""
    forged = issuer.mint(key=keys[1], header={"kid": issuer.key.kid})
    for advance, fetches in [(0, 1), (9.875, 1), (0.125, 2), (0, 2), (9.875, 2), (0.125, 3)]:
        clock.advance(advance)
        reasons = await asyncio.gather(*(reason_for(validator, forged) for _ in range(100)))
        assert set(reasons) == {Reason.SIGNATURE}
        assert issuer.asked == (fetches, fetches)


async def test_no_flood_takes_the_allowance_of_the_other(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    forged = issuer.mint(key=keys[1], header={"kid": issuer.key.kid})
    clock.advance(10)
    assert await reason_for(validator, renamed(good)) is Reason.UNKNOWN_KEY
    assert issuer.asked == (2, 2)
    clock.advance(10)
    assert await reason_for(validator, forged) is Reason.SIGNATURE
    assert issuer.asked == (3, 3)
    # A rotation is honoured at once, although forged tokens have just forced a fetch,
    issuer.rotate(keys[2])
    await validator.validate(presented(issuer.mint()))
    assert issuer.asked == (4, 4)
    # and a new key of the old name is, although unknown names have.
    clock.advance(10)
    assert await reason_for(validator, renamed(good)) is Reason.UNKNOWN_KEY
    clock.advance(9.875)
    replace_key(issuer, keys[1])
    clock.advance(0.125)
    await validator.validate(presented(issuer.mint()))


async def test_during_an_outage_a_bad_signature_is_a_bad_signature(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    """At once, as long as the attempts back off."""
    forged = issuer.mint(key=keys[1], header={"kid": issuer.key.kid})
    await issuer.stop()
    clock.advance(10)
    assert await reason_for(validator, forged) is Reason.SIGNATURE
    with pytest.raises(Exception, match=Reason.SIGNATURE):
        at_once(validator.validate(presented(forged)))
    await validator.validate(presented(good))


async def test_who_waits_for_a_fetch_under_way_makes_no_other(
    issuer: FailingIssuer, validator: TokenValidator, clock: FakeClock, keys: list[Key], good: str
) -> None:
    clock.advance(480)
    held = issuer.hold(JWKS)
    await validator.validate(presented(good))  # a refresh begins in the background
    replace_key(issuer, keys[1])
    await held.asked()
    waiting = asyncio.create_task(validator.validate(presented(issuer.mint())))
    held.release()
    await waiting
    await settled(validator)
    assert issuer.asked == (2, 2)


async def test_a_key_of_another_type_may_take_the_name(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    """An issuer that changes from EC to RSA keys, with one name for both."""
    rsa, old = issuer.key, ECKey.generate_key("P-256")
    issuer.published = [{**old.as_dict(private=False), "kid": rsa.kid}]
    async with validating(issuer, clock, algorithms=["RS256", "ES256"]) as validator:
        token = issuer.mint()
        for advance, fetches in [(0, 1), (9.875, 1), (0.125, 2), (0, 2)]:
            clock.advance(advance)
            reasons = await asyncio.gather(*(reason_for(validator, token) for _ in range(100)))
            assert set(reasons) == {Reason.UNFIT_KEY}
            assert issuer.asked == (fetches, fetches)
        issuer.published = [rsa.as_dict(private=False)]
        clock.advance(10)
        await validator.validate(presented(token))
