"""Can the issuer be asked at the moment, and if not, when is the next attempt?"""

import logging
import math

from hello.tokens.errors import Reason, UnavailableError
from hello.tokens.keys.fetched import BACKOFF_SECONDS
from hello.tokens.timing import Clock

_logger = logging.getLogger("hello.auth")


class Outage:
    """The failures in a row. After each, no question is sent for a while, then one at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._due_at = -math.inf
        self._under_way = 0

    @property
    def seconds(self) -> float:
        """The time until the next attempt."""
        return self._due_at - self._clock.monotonic()

    def begin(self) -> None:
        """Note that a question begins. Raises UnavailableError if it may not begin now."""
        self.check()
        if self._failures and self._under_way:
            raise unavailable()
        self._under_way += 1

    def check(self) -> None:
        """Raise UnavailableError before the time of the next attempt."""
        if self.seconds > 0:
            raise unavailable(self.seconds)

    def end(self) -> None:
        """Note that a question has ended, with or without an answer."""
        self._under_way -= 1

    def failed(self, why: str) -> None:
        """Count a failure, unless another one was counted while this question was under way."""
        if self.seconds > 0:
            return  # this question began before the outage was known
        delay = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
        self._failures += 1
        self._due_at = self._clock.monotonic() + delay
        _logger.warning(
            "%s: the issuer cannot be asked about tokens, next attempt in %d s: %s",
            Reason.INTROSPECTION_UNAVAILABLE,
            delay,
            why,
        )

    def over(self) -> None:
        """Note that the issuer has answered."""
        if self._failures:
            _logger.warning("the issuer answers introspections again")
        self._failures = 0
        self._due_at = -math.inf


def unavailable(seconds: float = 1, detail: str | None = None) -> UnavailableError:
    """Return the refusal of a token that nobody can be asked about for some seconds."""
    return UnavailableError(
        Reason.INTROSPECTION_UNAVAILABLE, retry_after=math.ceil(max(1, seconds)), detail=detail
    )
