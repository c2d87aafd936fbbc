"""How does a function of the application get every decision, without harming a request?

The decisions wait in a queue. Whoever floods the API without a token, or with bad ones, must not
push the decisions about valid tokens out of it. So all others get only a part.
"""

import asyncio
import inspect
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from hello.tokens import AuthError
from hello.tokens.hooks import HookError, ask

from .decision import Decision

OnDecision = Callable[[Decision], Awaitable[object] | object]
"""A function of the application, sync or async, that keeps decisions."""

MAX_WAITING = 10_000
MAX_BY_ANYBODY = 5_000  # refusals, and what was allowed without a token
_CANCELLED_SECONDS = 1  # for an async function to end after it was cancelled
_MAX_ABANDONED = 10
_CLOSING_SECONDS = 2  # connections.py takes 25 s of the 30 s after which SIGKILL is sent

_logger = logging.getLogger("hello.auth")


class AuditCounts(NamedTuple):
    """What has become of the decisions of an application since it started.

    `recorded`: the function returned. `failed`: it raised, was cancelled or took too long.
    `dropped_allowed` and `dropped_refused`: the queue was full. `lost`: they were still in the
    queue when the application stopped. `waiting` are in the queue now.
    """

    recorded: int = 0
    failed: int = 0
    dropped_allowed: int = 0
    dropped_refused: int = 0
    lost: int = 0
    waiting: int = 0


class Audit:
    """The queue of one application, and who empties it.

    `timeout` is how long the function may take, in seconds. An async function is then cancelled,
    and left behind if it goes on. A thread cannot be cancelled, so after a sync one the next
    decision waits until it returns.
    """

    def __init__(self, hook: OnDecision, timeout: float) -> None:
        self._hook = hook
        self._timeout = timeout
        # A callable object may be async, too.
        self._is_async = any(map(inspect.iscoroutinefunction, (hook, type(hook).__call__)))
        self._thread: _Thread | None = None
        self._worker: asyncio.Task[None] | None = None
        self._waiting = deque[Decision]()
        self._by_anybody_waiting = 0
        self._abandoned: set[asyncio.Task[object]] = set()
        self._counts = Counter[str]()
        self._before_outage: int | None = None  # how many had failed when it began
        self._before_dropping: tuple[int, int] | None = None

    @property
    def counts(self) -> AuditCounts:
        """What has become of the decisions until now."""
        return AuditCounts(**self._counts, waiting=len(self._waiting))

    def put(self, decision: Decision) -> None:
        """Have the function called with a decision, or drop it if the queue is full."""
        by_anybody = _is_by_anybody(decision)
        if len(self._waiting) >= MAX_WAITING or (
            by_anybody and self._by_anybody_waiting >= MAX_BY_ANYBODY
        ):
            self._drop(is_refused=decision.refusal is not None)
            return
        self._waiting.append(decision)
        self._by_anybody_waiting += by_anybody
        if self._worker is None or self._worker.done():
            # In a context of its own, because that of the request would live as long as the worker.
            self._worker = asyncio.get_running_loop().create_task(self._work(), context=Context())

    async def close(self) -> None:
        """Empty the queue, but do not wait long for it. Log how many decisions are lost."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.wait([worker], timeout=_CLOSING_SECONDS)
            worker.cancel()
            await asyncio.wait([worker])
        if self._thread is not None:
            self._thread.end()
            self._thread = None
        lost = len(self._waiting)
        self._waiting.clear()
        self._by_anybody_waiting = 0
        self._counts["lost"] += lost
        self._end_dropping()
        self._end_outage("at the end of the application")
        if lost:
            _logger.warning("audit_lost: %d decisions were not recorded before the end", lost)

    async def _work(self) -> None:
        while self._waiting:
            # It stays in the queue until it is recorded, so that it counts as lost at the end.
            decision = self._waiting[0]
            recorded = await self._record(decision)
            self._waiting.popleft()
            self._by_anybody_waiting -= _is_by_anybody(decision)
            self._counts["recorded" if recorded else "failed"] += 1
            if recorded:
                self._end_outage("on_decision works again")
        self._end_dropping()

    async def _record(self, decision: Decision) -> bool:
        """Call the function, and return whether it returned."""
        hook = partial(self._hook, decision)
        if not self._is_async:
            hook = partial((await self._called_in_thread(decision)).result)
        # In a task of its own, because the function may not end when it is cancelled.
        call = asyncio.create_task(ask(hook, timeout=self._timeout))
        call.add_done_callback(_ended)
        try:
            await asyncio.wait([call], timeout=self._timeout + _CANCELLED_SECONDS)
            if not call.done():
                await self._abandon(call)
                return False
            call.result()
        except AuthError as error:
            self._begin_outage("it raised", error)
            return False
        except HookError as error:
            self._begin_outage(str(error), error.__cause__)
            return False
        finally:
            call.cancel()  # if the worker was cancelled
        return True

    async def _abandon(self, call: asyncio.Task[object]) -> None:
        """Let a call go on that cannot be ended. If there are many, wait until one of them ends."""
        self._begin_outage(f"no answer within {self._timeout:g} s, and it does not let itself end")
        self._abandoned = {each for each in (*self._abandoned, call) if not each.done()}
        if len(self._abandoned) >= _MAX_ABANDONED:
            await asyncio.wait(self._abandoned, return_when=asyncio.FIRST_COMPLETED)

    async def _called_in_thread(self, decision: Decision) -> "_Answer":
        if self._thread is None:
            self._thread = _Thread(self._hook)
        call = self._thread.call(decision)
        if not (await asyncio.wait([call], timeout=self._timeout))[0]:
            self._begin_outage(f"no answer within {self._timeout:g} s")
            await asyncio.wait([call])
        return call.result()

    def _begin_outage(self, why: str, error: BaseException | None = None) -> None:
        if self._before_outage is None:
            self._before_outage = self._counts["failed"]
            _logger.error("audit_failed: on_decision failed: %s", why, exc_info=error)

    def _end_outage(self, how: str) -> None:
        if self._before_outage is not None:
            failed, self._before_outage = self._counts["failed"] - self._before_outage, None
            _logger.warning("audit_failed: %s, %d decisions were not recorded", how, failed)

    def _drop(self, *, is_refused: bool) -> None:
        if self._before_dropping is None:
            self._before_dropping = self._dropped
            _logger.warning("audit_dropped: on_decision does not keep up, so decisions are dropped")
        self._counts["dropped_refused" if is_refused else "dropped_allowed"] += 1

    def _end_dropping(self) -> None:
        if self._before_dropping is not None:
            before, self._before_dropping = self._before_dropping, None
            _logger.warning(
                "audit_dropped: the queue is empty again, %d allowed and %d refused were dropped",
                *(now - then for now, then in zip(self._dropped, before, strict=True)),
            )

    @property
    def _dropped(self) -> tuple[int, int]:
        return self._counts["dropped_allowed"], self._counts["dropped_refused"]


def _ended(call: asyncio.Task[object]) -> None:
    if not call.cancelled():
        call.exception()  # or asyncio would log it if nobody waits for the call any more


def _is_by_anybody(decision: Decision) -> bool:
    """Return whether anybody can cause such a decision, without a valid token."""
    return decision.refusal is not None or (decision.subject is None and decision.issuer is None)


_Answer = Future[object]
"""What the function returned or raised."""


class _Thread:
    """Calls a function in a thread, which ends with the program even if the function does not."""

    def __init__(self, function: OnDecision) -> None:
        self._function = function
        self._calls = SimpleQueue[tuple[Decision, Future[_Answer]] | None]()
        Thread(target=self._run, name="on_decision", daemon=True).start()

    def call(self, decision: Decision) -> asyncio.Future[_Answer]:
        """Call the function, and return what waits for its answer."""
        called = Future[_Answer]()
        called.set_running_or_notify_cancel()  # so that nobody cancels what the thread sets
        self._calls.put((decision, called))
        return asyncio.wrap_future(called)

    def end(self) -> None:
        """End the thread as soon as the function returns."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            decision, called = call
            answer = _Answer()
            try:
                answer.set_result(self._function(decision))
            except BaseException as error:  # noqa: BLE001 - the thread has to go on
                answer.set_exception(error)
            called.set_result(answer)
