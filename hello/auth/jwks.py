"""When are an issuer's signing keys fetched, how long are they good, and who waits for them?

The policy is in `find`; what its words mean is in the properties above it. A fetch happens only
when a token asks for a key, at most one at a time, and all who need it wait for the same one.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

from .errors import InvalidTokenError, KeysUnavailableError, Reason
from .hooks import cancellations
from .keys import KeySet, VerifyingKey

_logger = logging.getLogger("hello.auth")

_REFRESH_AT = 0.8  # of max_age: early enough that nobody waits for the next keys
_BACKOFF_SECONDS = (1, 2, 4, 8, 10)
# After a failure nobody waits for the next attempt, until so much later that the issuer may well be
# up again, and may have taken back a key that is past its max_age here.
_OUTAGE_KNOWN_SECONDS = 60


class FetchError(Exception):
    """The issuer could not be asked, or its answer cannot be used. The message is for the log."""


class Clock(Protocol):
    """The module `time`, or a test's own."""

    def time(self) -> float:
        """Return the seconds since the epoch, which claims are compared with."""

    def monotonic(self) -> float:
        """Return seconds that never go back, which ages are measured in."""


class FetchedKeys:
    """One issuer's keys, as fresh as the policy wants them.

    `load` fetches them and raises FetchError; `max_age`, `max_stale`, `cooldown` and `timeout` are
    seconds.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[KeySet]],
        *,
        max_age: float,
        max_stale: float,
        cooldown: float,
        timeout: float,
        clock: Clock,
    ) -> None:
        self._load = load
        self._max_age = max_age
        self._max_stale = max_stale
        self._cooldown = cooldown
        self._timeout = timeout
        self._clock = clock
        self._keys = KeySet(())
        self._fetched_at = -math.inf  # the last success
        self._failed_at = -math.inf  # the last attempt in vain
        self._due_at = -math.inf  # the next scheduled attempt
        self._forced_at = -math.inf  # the end of the last attempt that an unknown kid forced
        self._failures = 0  # in a row
        self._pending: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """There are keys, and they are not older than an outage may make them."""
        return self._clock.monotonic() - self._fetched_at < self._max_stale

    @property
    def fresh(self) -> bool:
        """The keys at hand need no waiting: they are young, or the issuer is known to be down."""
        now = self._clock.monotonic()
        known_outage = self.failing and now - self._failed_at < _OUTAGE_KNOWN_SECONDS
        return self.usable and (now - self._fetched_at < self._max_age or known_outage)

    @property
    def due(self) -> bool:
        """It is time for the next scheduled attempt: late in the keys' life, or after a backoff."""
        return self._clock.monotonic() >= self._due_at

    @property
    def failing(self) -> bool:
        """The last attempt was in vain."""
        return self._failures > 0

    @property
    def cooling_down(self) -> bool:
        """An unknown kid has forced an attempt not long ago. Scheduled attempts do not count."""
        return self._clock.monotonic() - self._forced_at < self._cooldown

    @property
    def kids(self) -> frozenset[str | None]:
        """The names of the keys at hand."""
        return self._keys.kids

    def at_hand(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key for a token, if it is here and nobody has to be asked anything."""
        if self._failures or self._clock.monotonic() >= self._due_at:
            return None
        return self._keys.find(kid, algorithm)

    async def find(self, kid: str | None, algorithm: str) -> VerifyingKey:
        """Return the key for a token's `kid` and `alg`.

        Raises KeysUnavailableError where the issuer's word is needed and cannot be had, and
        InvalidTokenError where the issuer has no such key.
        """
        if not self.usable and not self.due:
            raise self._unavailable()
        wait = not self.fresh
        # What is fetched from now on is the issuer's newest word; an attempt under way is not.
        asked = not self._under_way and (wait or self.due)
        if wait:
            await self._refresh()
        elif self.due:
            self._begin()  # in the background: these keys are good enough for now
        if not self.usable:
            raise self._unavailable()

        while not self._keys.knows(kid):
            if not self._under_way:  # else: the attempt under way may bring it
                if self.failing:
                    # The issuer cannot be asked, so nobody can say that there is no such key.
                    raise self._unavailable()
                if self.cooling_down or asked:
                    raise InvalidTokenError(Reason.UNKNOWN_KEY)
                self._begin(forced=True)
                asked = True  # once is enough, however short the cooldown is
            await self._refresh()

        key = self._keys.find(kid, algorithm)
        if key is None:
            raise InvalidTokenError(Reason.UNFIT_KEY)
        return key

    async def close(self) -> None:
        """End the attempt under way, if there is one."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)

    def _unavailable(self) -> KeysUnavailableError:
        seconds = self._due_at - self._clock.monotonic()
        return KeysUnavailableError(retry_after=math.ceil(max(1, seconds)))

    async def _refresh(self) -> None:
        cancelled_before = cancellations()
        try:
            # Shielded, so that a client that goes away does not take the fetch from the others.
            await asyncio.shield(self._begin())
        except asyncio.CancelledError:
            if cancellations() > cancelled_before:
                raise
            # `close` ended the attempt: unanswered, this would drop the connection.
            raise KeysUnavailableError(retry_after=1) from None

    @property
    def _under_way(self) -> bool:
        # One may be done and still stand there: cancelled before it began, or run at once by a loop
        # with eager tasks.
        return self._pending is not None and not self._pending.done()

    def _begin(self, *, forced: bool = False) -> asyncio.Task[None]:
        if self._pending is None or self._pending.done():
            self._pending = asyncio.create_task(self._attempt(forced=forced))
        return self._pending

    async def _attempt(self, *, forced: bool) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                keys = await self._load()
        except (FetchError, TimeoutError) as error:
            self._failed(str(error) or f"no answer within {self._timeout:g} s")
        except asyncio.CancelledError:
            if self._pending is not asyncio.current_task():
                raise  # `close` wants it to end
            self._failed("something that the fetch waited for was cancelled")
        except Exception as error:
            _logger.exception("a fetch of the issuer's keys ended as nobody planned")
            self._failed(type(error).__name__)
        else:
            now = self._clock.monotonic()
            self._keys, self._failures = keys, 0
            self._fetched_at = now
            self._due_at = now + self._max_age * _REFRESH_AT
        finally:
            if self._pending is asyncio.current_task():
                self._pending = None
            if forced:
                # From the end: a fetch may take longer than the cooldown.
                self._forced_at = self._clock.monotonic()

    def _failed(self, why: str) -> None:
        delay = _BACKOFF_SECONDS[min(self._failures, len(_BACKOFF_SECONDS) - 1)]
        self._failures += 1
        self._failed_at = self._clock.monotonic()
        self._due_at = self._failed_at + delay
        keeping = "the last good keys stay in use" if self.usable else "there are none to use"
        _logger.warning(
            "the issuer's keys cannot be had, %s, next attempt in %d s: %s", keeping, delay, why
        )
