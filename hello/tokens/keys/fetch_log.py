"""What does the log say about the fetches of one issuer's keys?

Each line begins with a code: keys_unavailable, keys_recovered or keys_changed.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime

_logger = logging.getLogger("hello.auth")
_MAX_SHOWN = 5  # key ids in a line
_MAX_LENGTH = 50  # characters of a key id


class FetchLog:
    """Writes the lines about the keys of `source`: an issuer, or the URL of its keys."""

    def __init__(self, source: str) -> None:
        self._source = ascii(source)

    def failed(self, why: str, *, delay: int, usable_until: float | None) -> None:
        """Log a failed fetch. `delay` is the time until the next attempt, in seconds.

        `usable_until` is how long the keys at hand may be used, in seconds since the epoch, or None
        if there are none.
        """
        keeping = "there are no keys to use"
        if usable_until is not None:
            keeping = f"the last good keys stay in use until {timestamp(usable_until)}"
        _logger.warning(
            "keys_unavailable: the keys of %s cannot be fetched, %s, next attempt in %d s: %s",
            self._source,
            keeping,
            delay,
            why,
        )

    def recovered(self, *, failures: int, seconds: float) -> None:
        """Log the end of an outage, which is a success after failures."""
        _logger.warning(
            "keys_recovered: the keys of %s were fetched again, after %d failed attempts in %d s",
            self._source,
            failures,
            seconds,
        )

    def changed(self, before: frozenset[str | None], after: frozenset[str | None]) -> None:
        """Log which key ids are new and which are gone, if any. None stands for keys without.

        The first keys of a process are no change.
        """
        if before and before != after:
            _logger.info(
                "keys_changed: the keys of %s: new %s, gone %s",
                self._source,
                _listed(after - before),
                _listed(before - after),
            )


def timestamp(at: float) -> str:
    """Return a time in UTC (RFC 3339 §5.6), to the second. `at` is in seconds since the epoch."""
    return datetime.fromtimestamp(round(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _listed(kids: Collection[str | None]) -> str:
    shown = sorted("(without a kid)" if kid is None else ascii(kid[:_MAX_LENGTH]) for kid in kids)
    more = len(shown) - _MAX_SHOWN
    return (", ".join(shown[:_MAX_SHOWN]) or "none") + (f" and {more} more" if more > 0 else "")
