"""Can strangers take from those who are in use what a resolver knows?"""

import asyncio
import json
import logging

import pytest
from joserfc.jwk import Key

from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.logs import faults
from support.tenants import OURS, Tenants, trusted
from support.validators import presented, reason_for


async def test_hosts_of_one_tenant_push_out_no_other(issuer: Issuer, clock: FakeClock) -> None:
    """And so an outage of the database refuses nobody who was in use."""
    issuer.clock = clock.time
    ours = [f"{OURS}{number}" for number in range(20)]
    keys = issuer.key.as_dict(private=False)

    async def resolver(iss: str, _host: str) -> TrustedIssuer | None:
        if down:
            raise OSError
        return TrustedIssuer(issuer=iss, audience=AUDIENCE, keys=keys)

    down = False
    validator = TokenValidator(issuers=resolver, clock=clock, max_issuers=25)
    for iss in ours:
        await validator.validate(presented(issuer.mint(claims={"iss": iss}), host="a.example"))
    another = issuer.mint(claims={"iss": f"{OURS}another"})
    for number in range(1000):
        await validator.validate(presented(another, host=f"h{number}.example"))
    down = True
    clock.advance(120)
    for iss in ours:
        await validator.validate(presented(issuer.mint(claims={"iss": iss}), host="a.example"))


async def test_strangers_hold_few_questions_and_nobody_else_waits_for_them(
    issuer: Issuer, clock: FakeClock
) -> None:
    issuer.clock = clock.time
    asked: list[str] = []
    held = asyncio.Event()

    async def resolver(iss: str, _host: str) -> TrustedIssuer | None:
        asked.append(iss)
        if iss != issuer.url:
            await held.wait()
            return None
        return trusted(issuer)

    validator = TokenValidator(issuers=resolver, clock=clock)
    await validator.validate(presented(issuer.mint()))
    clock.advance(60)
    asked.clear()
    strangers = [
        asyncio.create_task(reason_for(validator, issuer.mint(claims={"iss": f"{OURS}{number}"})))
        for number in range(1000)
    ]
    await asyncio.sleep(0)
    await validator.validate(presented(issuer.mint()))
    assert len(asked) == 17
    assert asked.count(issuer.url) == 1
    held.set()
    reasons = await asyncio.gather(*strangers)
    assert (reasons.count(Reason.ISSUER), reasons.count(Reason.RESOLVER_UNAVAILABLE)) == (16, 984)


async def test_an_outage_of_the_resolver_is_told_once_and_costs_few_calls(
    issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    tenants = Tenants({(issuer.url, ""): trusted(issuer)})
    issuer.clock = clock.time
    validator = TokenValidator(issuers=tenants, clock=clock)
    tenants.down = True
    for second in range(60):
        for number in range(20):
            token = issuer.mint(claims={"iss": f"{OURS}{second}-{number}"})
            assert await reason_for(validator, token) is Reason.RESOLVER_UNAVAILABLE
        clock.advance(1)
    assert len(tenants.asked) == 3 + 59
    assert [fault.levelno for fault in faults(caplog)] == [logging.ERROR]
    tenants.down = False
    await validator.validate(presented(issuer.mint()))
    assert [fault.levelno for fault in faults(caplog)] == [logging.ERROR, logging.WARNING]


async def test_forged_tokens_of_known_tenants_push_out_no_keys_in_use(
    issuer: Issuer, clock: FakeClock, keys: list[Key]
) -> None:
    issuer.clock = clock.time
    fetched: list[str] = []
    published = json.dumps(issuer.key_set()).encode()

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return published

    async def resolver(iss: str, _host: str) -> TrustedIssuer | None:
        return TrustedIssuer(issuer=iss, audience=AUDIENCE, jwks_uri=f"{iss}/jwks")

    validator = TokenValidator(issuers=resolver, clock=clock, fetch=fetch, max_issuers=25)
    in_use = [issuer.mint(claims={"iss": f"{OURS}{number}"}) for number in range(20)]
    for token in in_use:
        await validator.validate(presented(token))
    for number in range(100, 200):
        claims = {"iss": f"{OURS}{number}"}
        forged = issuer.mint(claims=claims, key=keys[1], header={"kid": issuer.key.kid})
        assert await reason_for(validator, forged) is Reason.SIGNATURE
    fetched.clear()
    for token in in_use:
        await validator.validate(presented(token))
    assert not fetched
