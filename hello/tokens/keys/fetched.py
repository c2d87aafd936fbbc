"""When are an issuer's keys fetched, how long are they used, and who waits for a fetch?

`find` is the policy, and the properties above it define its words. Keys are fetched only when a
token needs one. There is at most one fetch at a time: all requests that need it wait for it.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass

from hello.tokens.errors import InvalidTokenError, KeysUnavailableError, Reason
from hello.tokens.hooks import Listeners
from hello.tokens.jwt.compact import KeyName
from hello.tokens.timing import Clock, check_seconds

from .fetch_log import FetchLog
from .key_set import KeySet
from .signing_key import VerifyingKey
from .state import KeyFetch, KeysState, State

_logger = logging.getLogger("hello.auth")

_REFRESH_AT = 0.8  # of max_age: so early that no request waits for the next keys
BACKOFF_SECONDS = (1, 2, 4, 8, 10)
"""After the first failure, the second one and so on, until the next attempt."""

# For this long after a failure, no request waits for the next attempt. Later the issuer may be up
# again, and it may have withdrawn a key that is older than max_age here.
_OUTAGE_KNOWN_SECONDS = 60


class FetchError(Exception):
    """The issuer cannot be reached, or its answer is unusable. The message is for the log only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """How long fetched keys are used, and how often they may be fetched. Times are in seconds.

    Keys are used for `max_age` or, while the issuer cannot be reached, for `max_stale`; both count
    from the last successful fetch. `cooldown` is the least time between two fetches that unknown
    keys force, and between two that bad signatures force. `timeout` limits one fetch. Raises
    ValueError, which names the option.
    """

    max_age: float = 600
    max_stale: float = 3600
    cooldown: float = 10
    timeout: float = 5

    def __post_init__(self) -> None:
        for name in ("max_age", "max_stale", "cooldown", "timeout"):
            check_seconds(f"jwks_{name}", getattr(self, name))
        if self.max_stale < self.max_age:
            raise ValueError("jwks_max_stale is at least jwks_max_age: both count from one fetch")


class FetchedKeys:
    """The keys of one issuer, which `load` fetches. It raises FetchError if it cannot.

    `source` names them: it is the issuer, or the URL of its keys.
    """

    def __init__(
        self,
        source: str,
        load: Callable[[], Awaitable[KeySet]],
        policy: KeyPolicy,
        clock: Clock,
        listeners: Listeners[KeyFetch],
    ) -> None:
        self.source = source
        self._load = load
        self._policy = policy
        self._clock = clock
        self._listeners = listeners
        self._log = FetchLog(source)
        self._keys = KeySet(())
        self._fetched_at = -math.inf  # the last success
        self._failed_at = -math.inf  # the last failure
        self._due_at = -math.inf  # the next scheduled attempt
        self._unknown_key_at = -math.inf  # the end of the last attempt that an unknown key forced
        self._bad_signature_at = -math.inf  # the end of the last one that a bad signature forced
        self._failures = 0  # since the last success
        self._failing_since = -math.inf  # the first of them
        self._pending: asyncio.Task[None] | None = None
        self._tries_again = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """There are keys, and they are young enough to be used during an outage."""
        return self._clock.monotonic() - self._fetched_at < self._policy.max_stale

    @property
    def fresh(self) -> bool:
        """No request has to wait: the keys are young, or the issuer is known to be down."""
        now = self._clock.monotonic()
        known_outage = self._failures > 0 and now - self._failed_at < _OUTAGE_KNOWN_SECONDS
        return self.usable and (now - self._fetched_at < self._policy.max_age or known_outage)

    @property
    def due(self) -> bool:
        """It is time for a scheduled attempt: late in the keys' life, or after a backoff."""
        return self._clock.monotonic() >= self._due_at

    @property
    def cooling_down(self) -> bool:
        """An unknown key forced an attempt a short while ago. Scheduled attempts do not count."""
        return self._clock.monotonic() - self._unknown_key_at < self._policy.cooldown

    @property
    def kids(self) -> frozenset[str | None]:
        """The `kid` of each key that was fetched. None stands for the keys without one."""
        return self._keys.kids

    @property
    def state(self) -> KeysState:
        """Whether tokens can be verified at the moment. To ask this causes no fetch."""
        age = self._clock.monotonic() - self._fetched_at
        if age >= self._policy.max_stale:
            return KeysState(State.MISSING if self._failures else State.NOT_ASKED)
        state = State.FRESH if age < self._policy.max_age else State.STALE
        return KeysState(state, age, self._clock.time() - age + self._policy.max_stale)

    def try_again(self) -> None:
        """From now on, try again after a failure while there are no usable keys.

        Without this, only a token causes an attempt. A load balancer that sends no requests to a
        process without keys would leave it without keys.
        """
        self._tries_again = True

    async def find(self, name: KeyName, algorithm: str) -> Sequence[VerifyingKey]:
        """Return the keys that a token names and that fit its `alg`. Usually there is one.

        Raises InvalidTokenError if the issuer has no such key, and KeysUnavailableError if that is
        unknown because the issuer cannot be reached.
        """
        wait, due = not self.fresh, self.due
        # Only a fetch that begins now is sure to bring what the issuer publishes now.
        has_fetched = (wait or due) and not self._under_way
        if wait:
            if self.usable or due:
                await self._refresh()
            if not self.usable:
                raise self._unavailable()
        elif due:
            self._begin()  # in the background: the present keys are good enough

        while not self._keys.knows(name):
            if not self._under_way:  # otherwise the attempt under way may bring the key
                if self._failures:
                    # The issuer cannot be reached, so it is unknown whether it has such a key.
                    raise self._unavailable()
                if self.cooling_down or has_fetched:
                    raise InvalidTokenError(Reason.UNKNOWN_KEY)
                self._begin(unknown_key=True)
                has_fetched = True  # once is enough, however short the cooldown is
            await self._refresh()

        keys = self._keys.fitting(name, algorithm) or await self.find_newer(name, algorithm)
        if not keys:
            raise InvalidTokenError(Reason.UNFIT_KEY)
        return keys

    async def find_newer(
        self, name: KeyName, algorithm: str, *, than: Sequence[VerifyingKey] = ()
    ) -> Sequence[VerifyingKey]:
        """Return the keys for a name and an `alg` if they differ from the keys `than`, or none.

        The issuer may have put a new key under an old name. Call this if no key of that name fits
        the `alg`, or if none of them made the signature. It forces a fetch at most once in a
        cooldown, only if the keys are older than a cooldown, and not during an outage. Unknown keys
        have a cooldown of their own.
        """
        now, cooldown = self._clock.monotonic(), self._policy.cooldown
        if not self._under_way:
            young = now - self._fetched_at < cooldown or now - self._bad_signature_at < cooldown
            if young or self._failures:
                return ()
            self._begin(bad_signature=True)
        await self._refresh()
        keys = self._keys.fitting(name, algorithm)
        return () if keys == than else keys

    async def close(self) -> None:
        """End the attempt under way, if there is one, and make no other one without a token."""
        if self._timer is not None:
            self._timer.cancel()
        pending, self._pending = self._pending, None
        if pending is not None and not pending.done():
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)

    def _unavailable(self) -> KeysUnavailableError:
        seconds = self._due_at - self._clock.monotonic()
        return KeysUnavailableError(retry_after=math.ceil(max(1, seconds)))

    async def _refresh(self) -> None:
        attempt = self._begin()
        # Not awaited itself: a client that goes away must not cancel it for the others.
        await asyncio.wait([attempt])
        if attempt.cancelled():
            # `close` ended the attempt. The client still needs an answer.
            raise KeysUnavailableError(retry_after=1)

    @property
    def _under_way(self) -> bool:
        return self._pending is not None and not self._pending.done()

    def _begin(
        self, *, unknown_key: bool = False, bad_signature: bool = False
    ) -> asyncio.Task[None]:
        """Return the attempt under way, or begin one. The arguments say what forced it."""
        if self._pending is None or self._pending.done():
            attempt = self._attempt(unknown_key=unknown_key, bad_signature=bad_signature)
            self._pending = asyncio.create_task(attempt)
        return self._pending

    async def _attempt(self, *, unknown_key: bool, bad_signature: bool) -> None:
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._policy.timeout):
                keys = await self._load()
        except (FetchError, TimeoutError) as error:
            self._failed(begun, str(error) or f"no answer within {self._policy.timeout:g} s")
        except asyncio.CancelledError:
            if self._pending is not asyncio.current_task():
                raise  # `close` cancelled this attempt
            self._failed(begun, "something that the fetch waited for was cancelled")
        except Exception as error:
            _logger.exception("a fetch of the issuer's keys failed in an unexpected way")
            self._failed(begun, type(error).__name__)
        else:
            self._succeeded(begun, keys)
        finally:
            if unknown_key:
                # The cooldown counts from the end: a fetch may take longer than the cooldown.
                self._unknown_key_at = self._clock.monotonic()
            if bad_signature:
                self._bad_signature_at = self._clock.monotonic()

    def _succeeded(self, begun: float, keys: KeySet) -> None:
        now = self._clock.monotonic()
        if self._failures:
            self._log.recovered(failures=self._failures, seconds=now - self._failing_since)
        self._log.changed(self.kids, keys.kids)
        self._keys, self._failures = keys, 0
        self._fetched_at = now
        self._due_at = now + self._policy.max_age * _REFRESH_AT
        self._listeners.tell(KeyFetch(self.source, succeeded=True, seconds=now - begun))

    def _failed(self, begun: float, why: str) -> None:
        delay = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        now = self._clock.monotonic()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        self._failed_at = now
        self._due_at = now + delay
        self._log.failed(why, delay=delay, usable_until=self.state.usable_until)
        self._listeners.tell(KeyFetch(self.source, succeeded=False, seconds=now - begun))
        if self._tries_again:
            self._set_timer()

    def _set_timer(self) -> None:
        """Have `_retry` called when the next attempt is due and the keys are too old to be used."""
        if self._timer is not None:
            self._timer.cancel()
        at = max(self._due_at, self._fetched_at + self._policy.max_stale)
        seconds = max(0.0, at - self._clock.monotonic())
        # In a context of its own: what it logs and traces is not about the request of this one.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._retry, context=Context())

    def _retry(self) -> None:
        if self.state.state is State.MISSING and self.due:
            self._begin()
        elif self._failures:
            self._set_timer()
