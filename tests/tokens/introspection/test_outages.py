"""What if an issuer does not answer about tokens, and whom does that concern?"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from hello.auth import Reason, TokenValidator, UnavailableError
from support.clock import FakeClock
from support.failing_issuer import (
    METADATA,
    FailingIssuer,
    at_once,
    hang,
    hang_up,
    members,
)
from support.introspecting import INTROSPECT, asked, introspecting
from support.logs import codes
from support.validators import presented, reason_for

UNKNOWN = Reason.INTROSPECTION_UNAVAILABLE


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
    async with introspecting(issuer, clock) as validator:
        assert validator.introspected is not None
        introspector = validator.introspected[1]
        patient = introspector._policy
        texts = [issuer.opaque(claims={"sub": str(number)}) for number in range(20)]
        for text in texts:
            await validator.validate(presented(text))
        clock.advance(60)
        issuer.answers[INTROSPECT] = answer
        if answer is hang:  # only then: on a slow machine, a good answer may be late
            introspector._policy = replace(patient, timeout=1)
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
        introspector._policy = patient
        # One at a time, until the first answer.
        first, *others = await asyncio.gather(*(reason_for(validator, text) for text in texts))
        assert (first, set(others)) == (None, {UNKNOWN})
        for text in texts:
            await validator.validate(presented(text))
        assert len(caplog.records) == 7
        assert introspector.counts == {"active": len(texts) * 2, "inactive": 0, "failed": 6}


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
