"""Was this proof seen before (RFC 9449 §11.1)?"""

import logging
from typing import Protocol

_logger = logging.getLogger("hello.auth")

_BUCKET_SECONDS = 60
_ENTRY_BYTES = 150  # of one proof in a set, its part of the table included


class ReplayError(Exception):
    """The store cannot say whether a proof was seen before. The message is for the log."""


class ReplayStore(Protocol):
    """Remembers proofs. An application may bring one that several workers or machines share."""

    async def add(self, proof: bytes, *, until: float, now: float) -> bool:
        """Remember a proof, in one step, and return whether it is new.

        `proof` is a digest. It is of no use after `until`; both times are in seconds since the
        epoch. Raises ReplayError.
        """

    async def close(self) -> None:
        """Close connections, if there are any. It is called when the application stops."""


class MemoryReplayStore:
    """Remembers the proofs that one process has seen, up to `size` bytes.

    When it is full, it forgets those of the oldest minute. A proof of a minute that was forgotten
    counts as seen, because nobody can know any more whether it was. So fresh proofs still pass.
    """

    def __init__(self, size: int = 64 << 20) -> None:
        self._most = size // _ENTRY_BYTES
        self._count = 0
        # By the minute in which a proof becomes useless: its `iat` decides that, so a copy of a
        # proof is looked for in one place.
        self._buckets: dict[int, set[bytes]] = {}
        self._first = 0  # the proofs of earlier minutes were useless, and are forgotten
        self._kept = 0  # the proofs of earlier minutes were forgotten because there were too many

    async def add(self, proof: bytes, *, until: float, now: float) -> bool:
        """Remember a proof, and return whether it is known to be new. Raises ReplayError."""
        self._forget_useless(int(now // _BUCKET_SECONDS))
        minute = int(until // _BUCKET_SECONDS)
        if minute < self._kept:
            return False
        if minute < self._first:
            raise ReplayError("the clock was set back, and the proofs of that time are forgotten")
        if proof in self._buckets.get(minute, ()):
            return False
        if self._count >= self._most:
            self._forget_oldest(minute)
            if minute < self._kept:
                return False
        self._buckets.setdefault(minute, set()).add(proof)
        self._count += 1
        return True

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _forget_useless(self, minute: int) -> None:
        self._first = max(self._first, minute)
        for old in [each for each in self._buckets if each < minute]:
            self._count -= len(self._buckets.pop(old))

    def _forget_oldest(self, minute: int) -> None:
        """Forget the oldest minute, this one included. Raises ReplayError if there is no other."""
        minutes = {minute, *self._buckets}
        if len(minutes) == 1:
            raise ReplayError("the memory for proofs is full")
        oldest = min(minutes)
        self._count -= len(self._buckets.pop(oldest, ()))
        self._kept = oldest + 1
        _logger.warning(
            "the memory for proofs is full: those of the oldest minute are forgotten, and refused"
        )
