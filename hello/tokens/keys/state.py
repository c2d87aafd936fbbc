"""What is the state of an issuer's keys, and who is told about each fetch of them?"""

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

_logger = logging.getLogger("hello.auth")


class State(StrEnum):
    """Whether tokens can be verified with the keys of an issuer."""

    NOT_ASKED = "not_asked"  # there are no keys, and no fetch has failed: the next token fetches
    FRESH = "fresh"  # the keys are younger than max_age
    STALE = "stale"  # the keys are older, and still used while the issuer does not answer
    MISSING = "missing"  # the last fetch failed, and there are no keys that may be used


class KeysState(NamedTuple):
    """The state of the keys of one issuer.

    `age` is the time since the last successful fetch, in seconds. `usable_until` is when the keys
    are too old to be used, in seconds since the epoch. Both are None if no key may be used.
    """

    state: State
    age: float | None = None
    usable_until: float | None = None


class KeyFetch(NamedTuple):
    """A fetch that has ended.

    `source` is the issuer, or the URL of its keys if that was given. `seconds` is how long it took.
    """

    source: str
    succeeded: bool
    seconds: float


FetchListener = Callable[[KeyFetch], None]
"""A function that is called with each fetch of keys. It has to be quick."""


class FetchListeners(list[FetchListener]):
    """Those who are told about each fetch. If one of them fails, the fetch counts all the same."""

    def tell(self, fetch: KeyFetch) -> None:
        """Tell all of them."""
        for listener in self:
            try:
                listener(fetch)
            except Exception:
                _logger.exception("a listener for fetches of keys failed")
