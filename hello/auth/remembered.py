"""Which tokens were verified before, and until when does that hold?

A signature is checked once and not on each request that a client makes. What is remembered is what
the full check found; whoever asks still looks at the clock, the issuer and the key each time.
"""

import hashlib
from typing import NamedTuple

from .access_token import AccessToken
from .bounded import Bounded
from .issuers import KnownIssuer
from .keys import VerifyingKey


class Verified(NamedTuple):
    """A token that passed every check, with the issuer and the very key that it passed with.

    Nothing about time changes between `since` and `until`, seconds since the epoch.
    """

    access_token: AccessToken
    known: KnownIssuer
    key: VerifyingKey
    since: float
    until: float


class Remembered:
    """At most so many verified tokens, by the SHA-256 of their text; the least used goes first."""

    def __init__(self, most: int) -> None:
        self._tokens = Bounded[bytes, Verified](most)
        # One byte for each of the tokens seen lately. Only one that is seen again is kept: of those
        # that come once, what is kept would be in the way of everything else in the cache.
        self._seen = bytearray(1 << 16)

    def __len__(self) -> int:
        return len(self._tokens)

    @staticmethod
    def digest(token: str) -> bytes:
        """Return what a token is remembered by."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

    def get(self, digest: bytes) -> Verified | None:
        """Return what is known of a token."""
        return self._tokens.get(digest, None)

    def put(self, digest: bytes, verified: Verified) -> None:
        """Hear that a token passed the full check, and keep that from the second time on."""
        place, tag = int.from_bytes(digest[:2], "big"), digest[2] or 1  # 0: nothing was there yet
        if self._seen[place] == tag:
            self._tokens.put(digest, verified)
        self._seen[place] = tag

    def forget(self, digest: bytes) -> None:
        """Forget a token."""
        self._tokens.forget(digest)
