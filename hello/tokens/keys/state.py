"""What is the state of an issuer's keys, and what is known about each fetch of them?"""

from enum import StrEnum
from typing import NamedTuple


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
