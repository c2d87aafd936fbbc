"""Does the function of the application get every decision, and what if it cannot keep up?"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from hello import auth
from hello.auth.decisions import audit
from hello.auth.decisions.audit import Audit
from support.logs import codes, faults, why

REFUSED = auth.InvalidTokenError(auth.Reason.EXPIRED)


def decision(
    at: float = 0, *, refused: bool = False, subject: str | None = "alice"
) -> auth.Decision:
    return auth.Decision(
        at=at,
        method="GET",
        route="/",
        remote="-",
        request_id=None,
        requirements=(),
        refusal=REFUSED if refused else None,
        seconds=0,
        subject=subject,
        issuer=None,
        client_id=None,
        token_id=None,
    )


class Kept:
    """Keeps decisions, in one of the ways that a function can be written."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.threads: set[int] = set()

    def sync(self, decided: auth.Decision) -> None:
        self.at.append(decided.at)
        self.threads.add(threading.get_ident())

    async def asynchronous(self, decided: auth.Decision) -> None:
        await asyncio.sleep(0)
        self.sync(decided)

    def sync_that_returns_a_coroutine(self, decided: auth.Decision) -> Awaitable[None]:
        return self.asynchronous(decided)

    async def __call__(self, decided: auth.Decision) -> None:
        await self.asynchronous(decided)


Begin = Callable[..., Audit]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Makes a queue, which is closed at the end."""
    begun = []

    def make(hook: auth.OnDecision, timeout: float = 10) -> Audit:
        begun.append(Audit(hook, timeout))
        return begun[-1]

    yield make
    for each in begun:
        await each.close()


async def emptied(queue: Audit) -> auth.AuditCounts:
    async with asyncio.timeout(60):
        while queue._worker is not None and not queue._worker.done():
            await asyncio.wait([queue._worker])
    return queue.counts


async def counted(queue: Audit, counts: auth.AuditCounts) -> None:
    """Wait until that has become of the decisions."""
    async with asyncio.timeout(60):
        while queue.counts != counts:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


def put(queue: Audit, count: int, *, first: int = 0, **options: Any) -> None:
    for number in range(first, first + count):
        queue.put(decision(number, **options))


@pytest.mark.parametrize(
    "way",
    [
        lambda kept: kept.sync,
        lambda kept: kept.asynchronous,
        lambda kept: partial(kept.asynchronous),
        lambda kept: kept.sync_that_returns_a_coroutine,
        lambda kept: kept,
    ],
)
async def test_all_are_recorded_in_order_however_the_function_is_written(
    begin: Begin, way: Callable[[Kept], auth.OnDecision]
) -> None:
    kept = Kept()
    queue = begin(way(kept))
    put(queue, audit.MAX_WAITING)
    assert (await emptied(queue)).recorded == audit.MAX_WAITING
    put(queue, 1, first=audit.MAX_WAITING)  # and after a rest
    assert await emptied(queue) == auth.AuditCounts(recorded=audit.MAX_WAITING + 1)
    assert kept.at == [*range(audit.MAX_WAITING + 1)]
    blocks = way(kept) == kept.sync
    assert (threading.get_ident() not in kept.threads) is blocks
    assert len(kept.threads) == 1


class Failing(Kept):
    """Fails at some of the decisions."""

    def __init__(self, how: Callable[[], object], at: range) -> None:
        super().__init__()
        self._how, self._fails_at = how, at

    def sync(self, decided: auth.Decision) -> None:
        if decided.at in self._fails_at:
            self._how()
        super().sync(decided)


class Odd(BaseException):
    """What nobody expects."""


def raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (OSError("disk full"), OSError),
        (StopIteration(), StopIteration),
        (SystemExit(3), SystemExit),
        (asyncio.CancelledError(), asyncio.CancelledError),
        (auth.UnauthorizedError(), auth.UnauthorizedError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (Odd(), Odd),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_that_raises_is_logged_once_an_outage(
    begin: Begin,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
    logged: type[BaseException],
    *,
    is_async: bool,
) -> None:
    if is_async and isinstance(error, StopIteration):
        logged = RuntimeError  # Python's own rule for coroutines
    kept = Failing(partial(raises, error), range(2, 5))
    queue = begin(kept.asynchronous if is_async else kept.sync)
    put(queue, 7)
    assert await emptied(queue) == auth.AuditCounts(recorded=4, failed=3)
    assert kept.at == [0, 1, 5, 6]
    first, last = faults(caplog)
    assert codes(caplog) == ["audit_failed", "audit_failed"]
    assert (first.levelname, type(why(first))) == ("ERROR", logged)
    assert last.levelname == "WARNING"
    assert last.args == ("on_decision works again", 3)


@pytest.mark.parametrize("how", ["raises", "is cancelled", "hangs", "hangs on"])
async def test_a_coroutine_function_that_fails_is_left_behind(
    begin: Begin, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    kept = Kept()

    async def fails_at_one(decided: auth.Decision) -> None:
        if decided.at == 1:
            match how:
                case "raises":
                    raise OSError
                case "is cancelled":
                    raise asyncio.CancelledError
                case "hangs":
                    await asyncio.Event().wait()
                case "hangs on":
                    try:
                        await asyncio.Event().wait()
                    finally:
                        await asyncio.sleep(0)
        kept.sync(decided)  # without a pause, in which its time could end on a slow machine

    queue = begin(fails_at_one, timeout=0.05)
    put(queue, 3)
    assert await emptied(queue) == auth.AuditCounts(recorded=2, failed=1)
    assert kept.at == [0, 2]
    assert codes(caplog) == ["audit_failed", "audit_failed"]


@pytest.mark.parametrize("once", [True, False])
async def test_a_coroutine_function_that_goes_on_when_it_is_cancelled_is_left_behind(
    begin: Begin,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    once: bool,
) -> None:
    """If many calls go on, the next decision waits until one of them ends."""
    monkeypatch.setattr(audit, "_CANCELLED_SECONDS", 0.01)
    free, kept, under_way = asyncio.Event(), Kept(), set()

    async def goes_on(decided: auth.Decision) -> None:
        if decided.at and once:
            kept.sync(decided)  # without a pause, as above
            return
        under_way.add(decided.at)
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    queue = begin(goes_on, timeout=0.01)
    put(queue, audit._MAX_ABANDONED + 5)
    if once:
        assert await emptied(queue) == auth.AuditCounts(recorded=audit._MAX_ABANDONED + 4, failed=1)
        assert codes(caplog) == ["audit_failed", "audit_failed"]
    else:
        async with asyncio.timeout(60):
            while len(queue._abandoned) < audit._MAX_ABANDONED:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert len(under_way) == audit._MAX_ABANDONED
    free.set()
    counts = await emptied(queue)
    assert counts.recorded + counts.failed == audit._MAX_ABANDONED + 5
    assert await asyncio.wait_for(asyncio.gather(*queue._abandoned, return_exceptions=True), 30)


async def test_a_coroutine_of_a_sync_function_is_left_behind_too(begin: Begin) -> None:
    queue = begin(lambda _: asyncio.Event().wait(), timeout=0.05)
    put(queue, 1)
    assert await emptied(queue) == auth.AuditCounts(failed=1)


async def test_a_function_that_blocks_is_waited_for_and_nobody_else_waits(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """Its thread cannot be cancelled, and a second one would mix up the order."""
    free, others = threading.Event(), threading.enumerate()
    kept = Failing(free.wait, range(1))
    queue = begin(kept.sync, timeout=0.05)
    put(queue, 3)
    async with asyncio.timeout(30):
        while not codes(caplog):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    assert queue.counts == auth.AuditCounts(waiting=3)
    [thread] = [each for each in threading.enumerate() if each not in others]
    assert (thread.name, thread.daemon) == ("on_decision", True)  # or no program could end
    queue._timeout = 30  # on a slow machine, the next two may take longer than the first
    free.set()
    assert await emptied(queue) == auth.AuditCounts(recorded=3)
    assert kept.at == [0, 1, 2]
    assert codes(caplog) == ["audit_failed", "audit_failed"]
    assert faults(caplog)[1].args == ("on_decision works again", 0)


@pytest.mark.parametrize(
    ("by_anybody", "dropped"),
    [
        ({"refused": True}, (3, 9)),
        ({"refused": True, "subject": None}, (3, 9)),
        ({"subject": None}, (12, 0)),
    ],
)
async def test_what_does_not_fit_is_dropped_and_counted(
    begin: Begin,
    caplog: pytest.LogCaptureFixture,
    by_anybody: dict[str, Any],
    dropped: tuple[int, int],
) -> None:
    """Refusals, and what is allowed without a token, leave room for others: anybody causes them."""
    free, kept = asyncio.Event(), Kept()

    async def waits(decided: auth.Decision) -> None:
        await free.wait()
        await kept(decided)

    room = audit.MAX_WAITING - audit.MAX_BY_ANYBODY
    queue = begin(waits)
    put(queue, audit.MAX_BY_ANYBODY + 7, **by_anybody)
    put(queue, room + 3, first=audit.MAX_WAITING)
    put(queue, 2, **by_anybody)
    assert queue.counts == auth.AuditCounts(
        dropped_allowed=dropped[0], dropped_refused=dropped[1], waiting=audit.MAX_WAITING
    )
    assert codes(caplog) == ["audit_dropped"]
    free.set()
    assert (await emptied(queue)).recorded == audit.MAX_WAITING
    expected = [*range(audit.MAX_BY_ANYBODY), *range(audit.MAX_WAITING, audit.MAX_WAITING + room)]
    assert kept.at == expected
    assert codes(caplog) == ["audit_dropped", "audit_dropped"]
    assert faults(caplog)[1].args == dropped
    put(queue, audit.MAX_BY_ANYBODY, **by_anybody)  # there is room again
    assert (await emptied(queue)).dropped_refused == dropped[1]


@pytest.fixture
def short_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_CLOSING_SECONDS", 0.05)


@pytest.mark.parametrize("blocks", [False, True])
async def test_at_the_end_the_queue_is_emptied_for_a_while_and_the_rest_is_lost(
    begin: Begin, short_end: None, caplog: pytest.LogCaptureFixture, *, blocks: bool
) -> None:
    free, kept, ended = threading.Event(), Kept(), asyncio.Event()

    async def waits(decided: auth.Decision) -> None:
        if decided.at == 2:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        await kept(decided)

    queue = begin(Failing(free.wait, range(2, 3)).sync if blocks else waits)
    put(queue, 5)
    await counted(queue, auth.AuditCounts(recorded=2, waiting=3))
    await queue.close()
    assert queue.counts == auth.AuditCounts(recorded=2, lost=3)
    assert codes(caplog) == ["audit_lost"]
    assert faults(caplog)[0].args == (3,)
    free.set()
    if not blocks:
        await asyncio.wait_for(ended.wait(), 30)


async def test_the_end_sums_up_what_is_failing_and_dropped(
    begin: Begin, short_end: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(decided: auth.Decision) -> None:
        if decided.at == 1:
            await asyncio.Event().wait()
        raise OSError

    queue = begin(fails)
    put(queue, audit.MAX_WAITING + 1)
    waiting = audit.MAX_WAITING - 1
    await counted(queue, auth.AuditCounts(failed=1, dropped_allowed=1, waiting=waiting))
    await queue.close()
    await queue.close()  # once more tells nothing new
    assert queue.counts == auth.AuditCounts(failed=1, dropped_allowed=1, lost=audit.MAX_WAITING - 1)
    assert sorted(codes(caplog)) == [*["audit_dropped"] * 2, *["audit_failed"] * 2, "audit_lost"]
