"""Bound tokens: which schemes and modes let them in, and is each proof good only once?"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key

from hello.auth import (
    AuthError,
    DPoP,
    InvalidProofError,
    MemoryReplayStore,
    Nonces,
    Presented,
    Reason,
    ReplayError,
    TokenValidator,
    UnauthorizedError,
)
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.introspecting import introspecting
from support.logs import codes
from support.proofs import bound_to, presenting, proof
from support.validators import presented

OTHER = ECKey.generate_key("P-256")
SECRET = "0123456789abcdef" * 2


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


def validating(
    issuer: Issuer, clock: FakeClock, dpop: Any = "allowed", **more: Any
) -> TokenValidator:
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock, dpop=dpop, **more)


async def reason(validator: TokenValidator, request: Presented) -> Reason | None:
    """Why a request is refused, or None where it is let in."""
    try:
        await validator.validate(request)
    except AuthError as refusal:
        return refusal.reason
    return None


MTLS = {"cnf": {"x5t#S256": "x"}}


@pytest.mark.parametrize(
    ("mode", "scheme", "claims", "expected"),
    [
        ("allowed", "DPoP", bound_to(), None),
        ("allowed", "Bearer", {}, None),
        ("allowed", "Bearer", bound_to(), Reason.BOUND),
        ("allowed", "DPoP", {}, Reason.UNBOUND),
        ("allowed", "DPoP", bound_to(OTHER), Reason.BOUND),
        ("allowed", "DPoP", MTLS, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": {**bound_to()["cnf"], **MTLS["cnf"]}}, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": {**bound_to()["cnf"], "kid": "x"}}, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": {"jkt": [bound_to()["cnf"]["jkt"]]}}, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": {}}, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": None}, Reason.BOUND),
        ("allowed", "DPoP", {"cnf": "x"}, Reason.BOUND),
        ("allowed", "Bearer", MTLS, Reason.BOUND),
        ("required", "DPoP", bound_to(), None),
        ("required", "Bearer", {}, Reason.BEARER),
        ("required", "Bearer", bound_to(), Reason.BOUND),
        ("required", "DPoP", {}, Reason.UNBOUND),
        ("off", "Bearer", {}, None),
        ("off", "Bearer", bound_to(), Reason.BOUND),
        ("off", "DPoP", bound_to(), Reason.NO_CREDENTIALS),
        ("off", "DPoP", {}, Reason.NO_CREDENTIALS),
    ],
)
async def test_which_tokens_pass_in_which_mode(
    issuer: FailingIssuer,
    clock: FakeClock,
    mode: str,
    scheme: str,
    claims: Mapping[str, Any],
    expected: Reason | None,
) -> None:
    """Twice: the second time, the token is cached. In no mode does a bound one pass unproved."""
    validator = validating(issuer, clock, mode)
    token = issuer.mint(claims=claims)
    for _ in range(2):
        request = presenting(token, proof(token, now=clock.time()), scheme=scheme)
        assert await reason(validator, request) is expected
    await validator.close()


@pytest.mark.parametrize("mode", ["on", "", None, True, "Allowed", 1])
def test_a_mode_that_is_none(mode: Any) -> None:
    with pytest.raises(ValueError, match="allowed, required, off"):
        TokenValidator(issuer="https://a.example.com/", audience="x", dpop=mode)


async def test_one_proof_comes_with_a_request(issuer: FailingIssuer, clock: FakeClock) -> None:
    validator = validating(issuer, clock)
    token = issuer.mint(claims=bound_to())
    made = [proof(token, now=clock.time()) for _ in range(2)]
    for proofs in ([], made, [made[0], ""], [""]):
        assert await reason(validator, presenting(token, *proofs)) is Reason.PROOF
    assert await reason(validator, presenting(token, made[0])) is None  # none of them used it up
    await validator.close()


async def test_a_bad_token_is_refused_before_its_proof_is_read(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    validator = validating(issuer, clock)
    expired = issuer.mint(claims={**bound_to(), "exp": 1})
    assert await reason(validator, presenting(expired, "nonsense")) is Reason.EXPIRED
    await validator.close()


async def test_a_proof_is_good_once_while_it_is_good_at_all(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    validator = validating(issuer, clock)
    token = issuer.mint(claims=bound_to())
    early = proof(token, now=clock.time() + 30)  # it stays good for the longest time
    assert await reason(validator, presenting(token, early)) is None
    for _ in range(34):
        assert await reason(validator, presenting(token, early)) is Reason.REPLAYED
        clock.advance(10)
    assert await reason(validator, presenting(token, early)) is Reason.PROOF
    await validator.close()


async def test_of_a_hundred_copies_at_once_one_passes(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    validator = validating(issuer, clock)
    token = issuer.mint(claims=bound_to())
    request = presenting(token, proof(token, now=clock.time()))
    answers = await asyncio.gather(*(reason(validator, request) for _ in range(100)))
    assert sorted(answers, key=str) == [None, *[Reason.REPLAYED] * 99]
    assert validator.dpop is not None
    assert validator.dpop.counts == {"new": 1, "replayed": 99, "unavailable": 0}
    await validator.close()


async def test_the_same_jti_of_another_key_is_another_proof(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    validator = validating(issuer, clock)
    mine = issuer.mint(claims=bound_to())
    others = issuer.mint(claims=bound_to(OTHER))
    first = proof(mine, now=clock.time(), jti="the same")
    second = proof(others, now=clock.time(), jti="the same", key=OTHER)
    assert await reason(validator, presenting(mine, first)) is None
    assert await reason(validator, presenting(others, second)) is None
    await validator.close()


class BrokenStore:
    """A store that fails as it is told, and counts who asked it."""

    def __init__(self) -> None:
        self.broken = True
        self.asked = 0
        self.closed = False

    async def add(self, _proof: bytes, *, until: float, now: float) -> bool:
        self.asked += 1
        if self.broken:
            raise ReplayError("it is down")
        return until > now

    async def close(self) -> None:
        self.closed = True


class WrongStore(MemoryReplayStore):
    """A store that does not do what the protocol says."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    async def add(self, _proof: bytes, *, until: float, now: float) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return await self.answer() if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    "store_answer",
    [None, 1, "no", OSError("secret"), UnauthorizedError(), lambda: asyncio.sleep(9)],
)
async def test_a_store_that_fails_in_an_unplanned_way_is_one_that_is_down(
    issuer: FailingIssuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    store_answer: Any,
) -> None:
    monkeypatch.setattr("hello.tokens.possession.dpop._STORE_SECONDS", 0.01)
    validator = validating(issuer, clock, DPoP(replay=WrongStore(store_answer)))
    token = issuer.mint(claims=bound_to())
    for _ in range(2):
        request = presenting(token, proof(token, now=clock.time()))
        assert await reason(validator, request) is Reason.REPLAY_UNAVAILABLE
    assert codes(caplog) == ["replay_unavailable"]
    await validator.close()


@pytest.mark.parametrize("fail_open", [True, False])
async def test_a_store_that_is_down_refuses_unless_it_is_told_otherwise(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture, *, fail_open: bool
) -> None:
    store = BrokenStore()
    dpop = DPoP(replay=store, fail_open=fail_open)
    validator = validating(issuer, clock, dpop)
    token = issuer.mint(claims=bound_to())
    expected = None if fail_open else Reason.REPLAY_UNAVAILABLE
    for _ in range(3):
        request = presenting(token, proof(token, now=clock.time()))
        assert await reason(validator, request) is expected
    assert codes(caplog) == ["replay_unavailable"]  # one line an outage
    store.broken = False
    for seconds, lines in [(4, 1), (1, 2), (1, 2)]:  # it is over after 5 s without a failure
        clock.advance(seconds)
        request = presenting(token, proof(token, now=clock.time()))
        assert await reason(validator, request) is None
        assert len(caplog.messages) == lines
    # What fails any other check does not reach the store.
    before = store.asked
    for bad in (proof("another", now=clock.time()), "", proof(token, now=0)):
        assert await reason(validator, presenting(token, bad)) is Reason.PROOF
    assert store.asked == before
    assert dpop.counts == {"new": 3, "replayed": 0, "unavailable": 3}
    await validator.close()
    assert store.closed


class SlowStore(MemoryReplayStore):
    """A store whose answers come in the order in which the test lets them come."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: asyncio.Queue[asyncio.Future[bool]] = asyncio.Queue()

    async def add(self, _proof: bytes, *, until: float, now: float) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(answer)
        return await answer


@pytest.mark.parametrize("fail_open", [True, False])
async def test_an_outage_is_one_whatever_the_order_of_the_answers(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture, *, fail_open: bool
) -> None:
    store = SlowStore()
    validator = validating(issuer, clock, DPoP(replay=store, fail_open=fail_open))
    failure = None if fail_open else Reason.REPLAY_UNAVAILABLE

    async def answers(fails: list[bool]) -> list[Reason | None]:
        """What requests at the same time hear, if the store fails for some of them."""
        token = issuer.mint(claims=bound_to())
        requests = [presenting(token, proof(token, now=clock.time())) for _ in fails]
        tasks = [asyncio.create_task(reason(validator, request)) for request in requests]
        waiting = [await asyncio.wait_for(store.asked.get(), 30) for _ in fails]
        for answer, fail in zip(waiting, fails, strict=True):
            if fail:
                answer.set_exception(ReplayError("it is down"))
            else:
                answer.set_result(True)
        return await asyncio.gather(*tasks)

    assert await answers([False, True, True] * 20) == [None, failure, failure] * 20
    assert len(caplog.messages) == 1
    clock.advance(6)
    assert await answers([False] * 60) == [None] * 60
    assert len(caplog.messages) == 2
    assert await answers([True]) == [failure]
    assert len(caplog.messages) == 3
    clock.advance(-3600)  # a clock that was set back does not keep the end from being logged
    assert await answers([False]) == [None]
    assert len(caplog.messages) == 4
    await validator.close()


async def test_a_nonce_is_asked_for_and_then_good_until_it_is_old(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    nonces = Nonces(SECRET, lifetime=300)
    validator = validating(issuer, clock, DPoP(nonces=nonces))
    clock.epoch -= clock.epoch % 300  # at the beginning of a period
    token = issuer.mint(claims=bound_to())

    async def told(nonce: Any) -> Any:
        """The nonce that a refusal names, or None where the proof is accepted."""
        made = proof(token, now=clock.time(), **({} if nonce is None else {"nonce": nonce}))
        try:
            await validator.validate(presenting(token, made))
        except InvalidProofError as refusal:
            return refusal.headers_with(validator.challenges._replace(by_dpop=True))["DPoP-Nonce"]
        return None

    first = await told(None)
    assert await told("wrong") == first
    assert await told("\ud800") == first
    assert await told(first) is None
    clock.advance(299)
    assert await told(first) is None
    clock.advance(300)
    assert await told(first) is None  # the one before
    clock.advance(1)
    second = await told(first)
    assert second != first
    assert await told(second) is None
    # Another worker with the same secret accepts it, and one with another secret does not.
    assert Nonces(SECRET).accepts(second, clock.time())
    assert not Nonces(SECRET + "x").accepts(second, clock.time())
    await validator.close()


async def test_a_proof_without_a_nonce_is_not_used_up(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    """So a refusal for want of a nonce costs no memory."""
    store = BrokenStore()
    validator = validating(issuer, clock, DPoP(nonces=Nonces(SECRET), replay=store))
    token = issuer.mint(claims=bound_to())
    request = presenting(token, proof(token, now=clock.time()))
    assert await reason(validator, request) is Reason.NONCE
    assert store.asked == 0
    await validator.close()


@pytest.mark.parametrize(
    ("secret", "lifetime"), [("x" * 31, 300), (b"", 300), (7, 300), (None, 300), (SECRET, 0)]
)
def test_nonces_that_cannot_work(secret: Any, lifetime: float) -> None:
    with pytest.raises(ValueError, match=r"secret|lifetime"):
        Nonces(secret, lifetime=lifetime)


async def test_a_validator_without_dpop_takes_no_presented_proof(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    """Whoever fills in a Presented: the scheme is not one of its own."""
    validator = validating(issuer, clock, "off")
    token = issuer.mint()
    with pytest.raises(UnauthorizedError):
        await validator.validate(presenting(token, proof(token, now=clock.time())))
    await validator.validate(presented(token))
    await validator.close()


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({**bound_to(), "token_type": "DPoP"}, None),
        (bound_to(), None),
        ({**bound_to(OTHER), "token_type": "DPoP"}, Reason.BOUND),
        ({"token_type": "DPoP"}, Reason.TYPE),
        ({}, Reason.UNBOUND),
    ],
)
async def test_an_opaque_token_may_be_bound_too(
    issuer: FailingIssuer, clock: FakeClock, claims: Mapping[str, Any], expected: Reason | None
) -> None:
    async with introspecting(issuer, clock) as validator:
        token = issuer.opaque(claims=claims)
        for _ in range(2):
            request = presenting(token, proof(token, now=clock.time()))
            assert await reason(validator, request) is expected
        as_bearer = None if claims == {} else expected or Reason.BOUND
        assert await reason(validator, presented(token)) is as_bearer
