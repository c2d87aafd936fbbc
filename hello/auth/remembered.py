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

_PLACES, _SHARE = 1 << 14, 4


class Verified(NamedTuple):
    """A token that passed every check, with its issuer and the very key, and how it names that."""

    access_token: AccessToken
    known: KnownIssuer
    key: VerifyingKey
    kid: str | None
    algorithm: str


class Kept(NamedTuple):
    """A verified token.

    From `since` until before `until`, in seconds since the epoch, no rule about time can change
    what it was found to be.
    """

    verified: Verified
    since: float
    until: float


class Remembered:
    """At most so many verified tokens, by the SHA-256 of their text; the least used goes first."""

    def __init__(self, most: int) -> None:
        self._tokens = Bounded[bytes, Kept](most)
        # A byte of each token that was seen lately, four that share a place. Only one that is seen
        # again is kept: of those that come once, what is kept would be in the way of everything
        # else in the processor's cache.
        self._seen = bytearray(_PLACES * _SHARE)

    def __len__(self) -> int:
        return len(self._tokens)

    @staticmethod
    def digest(token: str) -> bytes:
        """Return what a token is remembered by."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

    def get(self, digest: bytes) -> Kept | None:
        """Return what is known of a token."""
        return self._tokens.get(digest, None)

    def seen_before(self, digest: bytes) -> bool:
        """Hear that a token passed the full check. Say whether it is worth keeping: it did before.

        A few are taken for ones that did, and a few are not recognised: it is a guess.
        """
        place = int.from_bytes(digest[:2], "big") % _PLACES * _SHARE
        tag = digest[2] or 1  # 0: nothing was there yet
        latest = self._seen[place : place + _SHARE]
        if tag in latest:
            return True
        self._seen[place : place + _SHARE] = bytes((tag,)) + latest[:-1]
        return False

    def put(self, digest: bytes, kept: Kept) -> None:
        """Keep a token."""
        self._tokens.put(digest, kept)

    def forget(self, digest: bytes) -> None:
        """Forget a token."""
        self._tokens.forget(digest)
