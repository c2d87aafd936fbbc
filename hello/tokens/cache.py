"""Which tokens were verified before, and are they still valid?

A signature is verified once and not on each request of the same client. The result of the full
check is cached. The time, the issuer and its key are checked on every request.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from .access_token import AccessToken
from .bounded import Bounded
from .issuers.trusted import TrustedIssuer
from .jwt.compact import KeyName
from .keys.signing_key import VerifyingKey
from .presented import Presented

_ENTRY_BYTES = 900  # of a token's objects and its place in the cache, whatever the token holds


class Verified(NamedTuple):
    """A token that passed every check, and what the result depends on.

    `key` verified its signature; its header names that key by `key_name` and `algorithm`. No rule
    about time can fail from `since` until just before `until`, in seconds since the epoch.
    `confirmation` is the `cnf` of a token that is bound to a key, and None for all others.

    If its issuer was asked about it, `key` is None. Answers are cached elsewhere.
    """

    access_token: AccessToken
    issuer: TrustedIssuer
    key: VerifyingKey | None
    key_name: KeyName
    algorithm: str
    since: float
    until: float
    confirmation: Mapping[str, Any] | None


class VerifiedTokens:
    """Verifies tokens, and remembers `size` bytes of them by their text.

    `verify` is the full check. `still_holds` checks only what may have changed since then. Both
    raise an AuthError for a token that is refused. `hits` counts the tokens that were remembered
    and still hold, `misses` the full checks.
    """

    def __init__(
        self,
        verify: Callable[[Presented], Awaitable[Verified]],
        still_holds: Callable[[Verified, Presented], Awaitable[bool]],
        *,
        size: int,
    ) -> None:
        self._verify = verify
        self._still_holds = still_holds
        self._tokens = Bounded[str, Verified](size, _bytes_of)
        self.hits: int = 0
        self.misses: int = 0

    @property
    def bytes(self) -> int:
        """How many bytes of memory the cached tokens take, nearly."""
        return self._tokens.weight

    async def verify(self, presented: Presented) -> Verified:
        """Return the result of the full check, or the cached result if it still holds."""
        cached = self._tokens.get(presented.token)
        if cached is not None:
            if await self._still_holds(cached, presented):
                self.hits += 1
                return cached
            self._tokens.forget(presented.token)
        self.misses += 1
        verified = await self._verify(presented)
        if verified.key is not None:
            self._tokens.put(presented.token, verified)
        return verified


def _bytes_of(verified: Verified) -> int:
    """Return how many bytes of memory a cached token takes, nearly."""
    token = verified.access_token
    names = (*token.scopes, *token.permissions)
    parts = (token.token, token.header, token.claims, token.scopes, token.permissions, *names)
    return _ENTRY_BYTES + sum(map(sys.getsizeof, parts))
