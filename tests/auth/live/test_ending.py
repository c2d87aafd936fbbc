"""When does a live connection end, and what do client, handler and log learn of it?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSCloseCode, web

from hello import auth
from hello.auth.live import watch
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.clock import FakeClock
from support.live import Handler, Live, closed, send_token
from support.logs import codes, faults, reasons

Start = Callable[..., Awaitable[Live]]
LOOK_SECONDS = watch._LOOK_SECONDS  # before the tests change it


async def looked(times: int = 3) -> None:
    """Until the connections were looked at."""
    await asyncio.sleep(times * watch._LOOK_SECONDS)


@pytest.mark.parametrize("awaiting", [False, True])
async def test_it_is_closed_at_exp_and_not_before(
    live: Start, clock: FakeClock, caplog: pytest.LogCaptureFixture, *, awaiting: bool
) -> None:
    """At `exp` itself: the leeway is for clocks that differ."""
    there = await live({"message"} if awaiting else ())
    token = there.mint(seconds=100)
    async with there.opened(None if awaiting else token) as socket:
        if awaiting:
            await send_token(socket, token)
            await socket.receive()
        clock.advance(99)
        await looked()
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
        clock.advance(1)
        assert await closed(socket) == (4401, "The access token expired")
    assert reasons(caplog) == ["401 expired"]
    assert [decision.outcome for decision in there.decisions] == ["allowed", "expired"]
    assert there.decisions[-1].subject is not None
    assert isinstance(await there.has_left(), auth.InvalidTokenError)
    assert not faults(caplog)


def test_it_is_looked_at_often_enough_to_end_within_a_second() -> None:
    assert LOOK_SECONDS <= 0.5


async def test_a_revoked_token_ends_it_when_it_is_checked_again(
    live: Start, clock: FakeClock, revoked: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    there = await live(check_every=10)
    async with there.opened(there.mint(sub="alice")) as socket:
        revoked.add("alice")
        clock.advance(7.9)
        await looked()
        await socket.send_str("still there")
        assert await socket.receive_str() == "still there"
        clock.advance(2.1)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 revoked"]


async def test_it_is_checked_again_and_again(live: Start, clock: FakeClock, issuer: Issuer) -> None:
    asked = asyncio.Queue[str | None]()

    async def revoked(token: auth.AccessToken) -> bool:
        await asked.put(token.subject)
        return False

    validator = auth.TokenValidator(
        issuer=issuer.url,
        audience=issuer.audience,
        clock=clock,
        revoked=revoked,
    )
    there = await live(check_every=10, validator=validator)
    async with there.opened(there.mint(sub="alice")):
        for _ in range(3):
            assert await asyncio.wait_for(asked.get(), 30) == "alice"
            await looked()
            assert asked.empty()
            clock.advance(10)


async def test_a_key_that_is_gone_ends_it(
    live: Start, clock: FakeClock, issuer: Issuer, caplog: pytest.LogCaptureFixture, keys: Any
) -> None:
    there = await live(check_every=10)
    async with there.opened(there.mint(seconds=90_000)) as socket:
        issuer.published[:] = []
        issuer.publish(keys[1])
        clock.advance(3601)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 unknown_key"]


@pytest.mark.parametrize(
    ("required", "code", "reason"),
    [
        ({"max_auth_age": 50}, 4401, "401 authentication"),
        ({"check": "REFUSES"}, 4403, "403 check"),
        ({"check": "HIDES"}, 4403, "404 check"),
    ],
)
async def test_what_the_route_requires_is_checked_again_too(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    required: dict[str, Any],
    code: int,
    reason: str,
) -> None:
    there, until = Live(aiohttp_client, issuer), clock.time() + 50
    if "check" in required:
        hides = required["check"] == "HIDES"

        def check(_token: auth.AccessToken, request: web.Request) -> bool:
            if hides and clock.time() >= until:
                raise web.HTTPNotFound
            return request.path == "/feed" and clock.time() < until

        required = {"check": check}
    there.options = {"check_every": 10}
    await there.serve(auth.protected(**required), validator)
    async with there.opened(there.mint(auth_time=int(clock.time()))) as socket:
        clock.advance(60)
        assert (await closed(socket)).code == code
    assert reasons(caplog) == [reason]


async def test_an_outage_does_not_end_it_before_exp(
    live: Start, issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    asked = asyncio.Event()
    failing = False

    def revoked(_token: auth.AccessToken) -> bool:
        if failing:
            asked.set()
            raise OSError
        return False

    validator = auth.TokenValidator(
        issuer=issuer.url, audience=issuer.audience, clock=clock, revoked=revoked
    )
    there = await live(check_every=10, validator=validator)
    async with there.opened(there.mint(seconds=100)) as socket:
        failing = True
        for _ in range(2):
            asked.clear()
            clock.advance(10)
            await asyncio.wait_for(asked.wait(), 30)
            await looked()
            await socket.send_str("still there")
            assert await socket.receive_str() == "still there"
        assert codes(caplog) == ["revocation_unavailable"] * 2
        clock.advance(80)
        assert await closed(socket) == (4401, "The access token expired")
    assert reasons(caplog) == ["401 expired"]


async def test_a_validator_that_fails_ends_it(
    live: Start,
    validator: auth.TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it would end a request, with a 500."""
    there = await live(check_every=10)
    async with there.opened(there.mint()) as socket:

        async def fail(_presented: auth.Presented) -> auth.AccessToken:
            raise LookupError

        monkeypatch.setattr(validator, "validate", fail)
        clock.advance(10)
        assert (await closed(socket)).code == WSCloseCode.ABNORMAL_CLOSURE
    assert isinstance(await there.has_left(), LookupError)
    assert reasons(caplog) == []


# --- Handlers ------------------------------------------------------------------------------------


class Ended:
    """A handler of the test's own, in an application that is served."""

    def __init__(self, live: Live, validator: auth.Validator) -> None:
        self.live = live
        self.validator = validator

    async def serve(self, handler: Handler) -> Live:
        await self.live.serve(auth.protected, self.validator, handler)
        return self.live


@pytest.fixture
def ended(
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    issuer: Issuer,
    validator: auth.TokenValidator,
) -> Ended:
    return Ended(Live(aiohttp_client, issuer), validator)


async def test_a_handler_that_waits_for_something_else_is_interrupted(
    ended: Ended, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned_up = False

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal cleaned_up
        async with auth.live(request) as socket:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned_up = True
        return socket

    there = await ended.serve(handler)
    async with there.opened(there.mint(seconds=10)) as socket:
        clock.advance(10)
        assert (await closed(socket)).code == 4401
    assert cleaned_up
    assert reasons(caplog) == ["401 expired"]


async def test_a_handler_may_catch_the_error_and_answer_all_the_same(
    ended: Ended, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            async with auth.live(request) as socket:
                await asyncio.Event().wait()
        except auth.AuthError:
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
            await asyncio.sleep(0)
        return socket

    there = await ended.serve(handler)
    async with there.opened(there.mint(seconds=10)) as socket:
        clock.advance(10)
        assert (await closed(socket)).code == 4401
    assert reasons(caplog) == ["401 expired"]
    assert not faults(caplog)


async def test_a_handler_that_goes_on_all_the_same_is_cut_off_from_its_client(
    ended: Ended, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request) as socket:
            while not socket.closed:
                try:
                    await socket.receive()
                except asyncio.CancelledError:
                    await socket.send_str("going on")
        return socket

    there = await ended.serve(handler)
    async with there.opened(there.mint(seconds=10)) as socket:
        clock.advance(10)
        assert await socket.receive_str(timeout=30) == "going on"
        assert (await closed(socket)).code == WSCloseCode.ABNORMAL_CLOSURE
    assert reasons(caplog) == ["401 expired"]


async def test_an_error_of_the_handler_is_its_own(
    ended: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request):
            raise LookupError

    there = await ended.serve(handler)
    async with there.opened(there.mint()) as socket:
        assert (await closed(socket)).code == WSCloseCode.ABNORMAL_CLOSURE
    assert reasons(caplog) == []


async def test_a_refusal_by_the_handler_closes_it_too(
    ended: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request):
            raise auth.InsufficientScopeError(auth.Reason.CHECK)

    there = await ended.serve(handler)
    async with there.opened(there.mint()) as socket:
        assert (await closed(socket)).code == 4403
    assert reasons(caplog) == ["403 check"]


async def test_a_block_that_is_left_closes_the_socket_with_1000(ended: Ended) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with auth.live(request) as socket:
            pass
        assert socket.closed
        return socket

    there = await ended.serve(handler)
    async with there.opened(there.mint()) as socket:
        assert (await closed(socket)).code == WSCloseCode.OK


async def test_who_cancels_the_handler_at_the_same_time_is_obeyed(
    ended: Ended, clock: FakeClock
) -> None:
    """Such as a server that stops."""
    kinds: list[type[BaseException]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with auth.live(request) as socket:
                try:
                    await asyncio.Event().wait()
                finally:
                    task.cancel()
        except BaseException as error:
            kinds.append(type(error))
            raise
        return socket

    there = await ended.serve(handler)
    async with there.opened(there.mint(seconds=10)) as socket:
        clock.advance(10)
        await closed(socket)
    assert kinds == [asyncio.CancelledError]


@pytest.mark.parametrize("check_every", [0, -1, float("nan"), "60"])
async def test_options_that_cannot_work_are_refused(live: Start, check_every: Any) -> None:
    for options in (
        {"check_every": check_every},
        {"first_message_timeout": check_every},
        {"protocols": "v1"},
    ):
        there = await live(**options)
        assert await there.status(there.mint()) == 500
        assert isinstance(there.left[0], ValueError)


async def test_a_client_that_does_not_answer_the_close_frame_keeps_nothing_waiting(
    live: Start, clock: FakeClock
) -> None:
    there = await live(timeout=60)  # how long aiohttp would wait for it
    async with there.opened(there.mint(seconds=10), autoclose=False) as socket:
        clock.advance(10)
        message = await socket.receive(timeout=30)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4401)
        await there.has_left()


# --- Nothing is left behind ----------------------------------------------------------------------


async def test_connections_that_end_leave_no_task_and_no_timer(
    live: Start, clock: FakeClock
) -> None:
    there = await live()
    looks = watch.watch()
    async with there.opened(there.mint()) as first:
        for _ in range(3):
            async with there.opened(there.mint()) as socket:
                await socket.send_str("hello")
                await socket.receive()
                assert len(looks._watched) >= 2
        await first.send_str("hello")
        assert await first.receive_str() == "hello"
    async with asyncio.timeout(30):
        while looks._watched:  # noqa: ASYNC110 - it has no event for it
            await asyncio.sleep(0)
    assert looks._timer is None
    assert not [task for task in asyncio.all_tasks() if "Live" in repr(task.get_coro())]
