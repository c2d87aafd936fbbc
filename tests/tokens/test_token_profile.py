"""What can an application ask of every token, beyond the contract's rules?"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth import AccessToken, InvalidTokenError, Reason, TokenValidator, UnavailableError
from hello.sandbox.issuer import OMIT, Issuer
from hello.tokens.hooks import ask
from support.answers import INVALID, challenge
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.logs import codes, faults, refused, why
from support.protecting import new_handler
from support.validators import presented

Start = Callable[[ApiServer], Awaitable[Client]]


@pytest.mark.parametrize(
    ("required", "claims", "reason"),
    [
        (["jti"], {"jti": "1"}, None),
        (["jti"], {"jti": False}, None),
        (["jti"], {"jti": None}, Reason.MISSING_CLAIM),
        (["jti"], {"jti": OMIT}, Reason.MISSING_CLAIM),
        ({"org_id", "jti"}, {"org_id": "o", "jti": "1"}, None),
        ({"org_id", "jti"}, {"org_id": "o", "jti": OMIT}, Reason.MISSING_CLAIM),
        ({"org_id", "jti"}, {"jti": "1"}, Reason.MISSING_CLAIM),
        (["sub"], {"sub": OMIT}, Reason.MISSING_CLAIM),
        ((), {"sub": OMIT}, None),
    ],
)
async def test_required_claims_are_there(
    issuer: Issuer, required: Any, claims: dict[str, Any], reason: Reason | None
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, required_claims=required)
    token = issuer.mint(claims=claims)
    if reason is None:
        assert (await validator.validate(presented(token))).token == token
    else:
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token))
        assert refusal.value.reason is reason


class Blocklist:
    """What an application knows of tokens that are not to be good any more."""

    def __init__(self) -> None:
        self.jtis: set[str] = set()
        self.asked: list[str | None] = []

    def __call__(self, token: AccessToken) -> bool:
        self.asked.append(token.subject)
        return token.claims.get("jti") in self.jtis

    async def later(self, token: AccessToken) -> bool:
        return self(token)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_revoked_token_is_refused_from_then_on(
    issuer: Issuer,
    aiohttp_client: Start,
    caplog: pytest.LogCaptureFixture,
    *,
    asynchronous: bool,
) -> None:
    """Asked on every request: the second one of a token, too."""
    blocklist = Blocklist()
    hook: auth.Revoked = blocklist.later if asynchronous else blocklist
    app = web.Application()
    auth.setup(app, TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=hook))
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    headers = bearer(issuer.mint(claims={"jti": "7", "sub": "alice"}))
    for expected in (200, 200, 401, 401):
        if expected == 401:
            blocklist.jtis.add("7")
        async with client.get("/", headers=headers) as response:
            assert response.status == expected
            if expected == 401:
                assert await response.json() == {"message": InvalidTokenError.message}
                assert challenge(response.headers) == INVALID
    assert blocklist.asked == ["alice"] * 4
    assert refused(caplog) == [(401, "revoked", "GET", "/", "'alice'")] * 2
    async with client.get("/", headers=bearer(issuer.mint(claims={"jti": "8"}))) as response:
        assert response.status == 200


async def test_the_hook_is_asked_about_valid_tokens_only(issuer: Issuer) -> None:
    blocklist = Blocklist()
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=blocklist)
    for claims in ({"exp": 1}, {"aud": "x"}):
        with pytest.raises(InvalidTokenError):
            await validator.validate(presented(issuer.mint(claims=claims)))
    assert not blocklist.asked


def raises(_token: AccessToken) -> bool:
    raise ZeroDivisionError("secret detail")


async def raises_later(_token: AccessToken) -> bool:
    raise ZeroDivisionError("secret detail")


async def says_nothing(_token: AccessToken) -> Any:
    return None


@pytest.mark.parametrize("hook", [raises, raises_later, says_nothing, lambda _: 0, lambda _: "no"])
async def test_a_hook_that_fails_lets_nobody_in_and_says_nothing(
    issuer: Issuer, aiohttp_client: Start, caplog: pytest.LogCaptureFixture, hook: auth.Revoked
) -> None:
    """As a 503, since it is not the token's fault."""
    app = web.Application()
    auth.setup(app, TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=hook))
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert response.status == 503
        assert await response.json() == {"message": UnavailableError.message}
        assert response.headers["Retry-After"] == "1"
        assert "secret" not in str(response.headers)
    assert [fault.levelno for fault in faults(caplog)] == [logging.ERROR]
    assert codes(caplog) == ["revocation_unavailable"]
    unavailable = (503, "revocation_unavailable", "GET", "/", "'sandbox@clients'")
    assert refused(caplog) == [unavailable]


async def cancelled_from_within(_token: AccessToken) -> bool:
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    return await task


async def hangs(_token: AccessToken) -> bool:
    return await asyncio.Event().wait()


async def hangs_after_a_group_failed(_token: AccessToken) -> bool:
    """In Python 3.11 the group leaves its task with a cancellation that nobody asked for."""

    async def ask_a_replica() -> None:
        raise ConnectionError

    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(ask_a_replica())
    return await asyncio.Event().wait()


async def answers_too_late(_token: AccessToken) -> bool:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return False


SLOW = [hangs, hangs_after_a_group_failed, answers_too_late]


@pytest.mark.parametrize("hook", SLOW)
async def test_a_hook_that_is_too_slow_is_said_to_be(
    issuer: Issuer, caplog: pytest.LogCaptureFixture, hook: auth.Revoked
) -> None:
    validator = TokenValidator(
        issuer=issuer.url, audience=AUDIENCE, revoked=hook, hook_timeout=0.05
    )
    with pytest.raises(UnavailableError):
        await validator.validate(presented(issuer.mint()))
    [fault] = faults(caplog)
    assert "0.05" in str(why(fault))


@pytest.mark.parametrize("hook", [cancelled_from_within, *SLOW])
async def test_a_hook_that_does_not_answer_is_not_waited_for(
    issuer: Issuer, aiohttp_client: Start, hook: Any
) -> None:
    app = web.Application()
    options: dict[str, Any] = {"issuer": issuer.url, "audience": AUDIENCE, "hook_timeout": 0.05}
    auth.setup(app, TokenValidator(**options, revoked=hook))
    child = web.Application()
    auth.setup(child, TokenValidator(**options))
    child.router.add_get("/", auth.protected(check=hook)(new_handler()))
    app.router.add_get("/", new_handler())
    for path, root, status in (("/", app, 503), ("/", child, 403)):
        client = await aiohttp_client(ApiServer(root))
        async with client.get(path, headers=bearer(issuer.mint())) as response:
            assert response.status == status


class Odd(BaseException):
    """What nobody expects."""


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), Odd()])
@pytest.mark.parametrize("is_async", [False, True])
async def test_nothing_that_a_hook_raises_ends_the_server(
    issuer: Issuer, aiohttp_client: Start, error: BaseException, *, is_async: bool
) -> None:
    def raises(*_arguments: object) -> Any:
        raise error

    async def raises_later(*_arguments: object) -> Any:
        await asyncio.sleep(0)
        raise error

    hook = raises_later if is_async else raises
    options: dict[str, Any] = {"audience": AUDIENCE}
    listed = TokenValidator(issuer=issuer.url, **options)
    cases: list[tuple[int, TokenValidator, Any, dict[str, Any]]] = [
        (503, TokenValidator(issuer=issuer.url, revoked=hook, **options), None, {}),
        (503, TokenValidator(issuers=hook), None, {}),
        (403, listed, hook, {}),
        (403, listed, lambda _token: False, {"refuse": hook}),
    ]
    for status, validator, check, setup in cases:
        app = web.Application()
        auth.setup(app, validator, **setup)
        app.router.add_get(
            "/", auth.protected(check=check)(new_handler()) if check else new_handler()
        )
        client = await aiohttp_client(ApiServer(app))
        async with client.get("/", headers=bearer(issuer.mint())) as response:
            assert response.status == status


async def test_a_call_of_a_hook_can_be_thrown_away() -> None:
    """Then Python ends it by an exception of its own."""

    async def hook() -> bool:
        return await asyncio.Event().wait()

    call = ask(hook, timeout=1)
    call.send(None)
    call.close()


async def test_a_timeout_of_the_hooks_own_is_not_taken_for_its_being_slow(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook(_token: AccessToken) -> bool:
        raise TimeoutError("the pool is exhausted")

    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=hook)
    with pytest.raises(UnavailableError):
        await validator.validate(presented(issuer.mint()))
    [fault] = faults(caplog)
    assert isinstance(why(fault).__cause__, TimeoutError)
    assert str(why(fault).__cause__) == "the pool is exhausted"


async def test_who_is_cancelled_while_a_hook_is_asked_is_cancelled(issuer: Issuer) -> None:
    asked = asyncio.Event()

    async def hook(token: AccessToken) -> bool:
        asked.set()
        return await hangs(token)

    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=hook)
    waiting = asyncio.create_task(validator.validate(presented(issuer.mint())))
    await asyncio.wait_for(asked.wait(), 30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_refusal_of_the_hooks_own_is_an_outage_too(issuer: Issuer) -> None:
    def hook(_token: AccessToken) -> bool:
        raise InvalidTokenError(Reason.TOO_OLD)

    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=hook)
    with pytest.raises(UnavailableError):
        await validator.validate(presented(issuer.mint()))
