"""Which of the trusted issuers does a token name, and what are its keys?

They are all known at the start, or a resolver of the application's own knows them one by one. No
request ever goes to an address that came from a token: those of a TrustedIssuer are asked.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple

from .bounded import Bounded
from .errors import InvalidTokenError, Reason, UnavailableError
from .issuer import TrustedIssuer
from .jwks import Clock, SigningKeys
from .keys import KeySet, VerifyingKey

Resolver = Callable[[str, str], Awaitable[TrustedIssuer | None]]
"""A coroutine function of one's own: the `iss` of a token that nobody has verified, and the host
that the request names; returns the issuer, if it is to be trusted, or None.
"""

_logger = logging.getLogger("hello.auth")

_TRUSTED_SECONDS = 60  # that a resolver's yes holds
_UNKNOWN_SECONDS = 10  # that its no holds
# What a resolver gets to see: what an attacker may send is fit for a database's text columns.
_ISSUER = re.compile(r"[!-~]{1,2048}")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


class GivenKeys:
    """Keys that an application gave directly. Those without a `kid` may verify any token."""

    def __init__(self, keys: KeySet) -> None:
        self._named = keys
        self._unnamed = keys.without_kid()

    async def find(self, kid: str | None, algorithm: str) -> VerifyingKey:
        """Return the key for a token's `kid` and `alg`. Raises InvalidTokenError."""
        if self._named.knows(kid):
            key = self._named.find(kid, algorithm)
        elif len(self._unnamed):
            key = self._unnamed.find(None, algorithm)
        else:
            raise InvalidTokenError(Reason.UNKNOWN_KEY)
        if key is None:
            raise InvalidTokenError(Reason.UNFIT_KEY)
        return key

    async def close(self) -> None:
        """Do nothing: nothing is ever under way."""

    @property
    def kids(self) -> frozenset[str | None]:
        """The names of the keys."""
        return self._named.kids


class KnownIssuer(NamedTuple):
    """A trusted issuer, with where its keys are found."""

    trusted: TrustedIssuer
    audience: frozenset[str]
    algorithms: frozenset[str]
    keys: SigningKeys | GivenKeys


class Issuers:
    """The issuers that an application trusts, each with its keys.

    `trusted`: all of them, or a resolver. `new_keys` makes the SigningKeys of one. `most`: how many
    of a resolver's are remembered. `timeout`: the seconds that a resolver may take.
    """

    def __init__(
        self,
        trusted: Iterable[TrustedIssuer] | Resolver,
        *,
        new_keys: Callable[[TrustedIssuer], SigningKeys],
        most: int,
        timeout: float,
        clock: Clock,
    ) -> None:
        self._new_keys = new_keys
        self._timeout = timeout
        self._clock = clock
        # By where they come from, so that what a resolver says anew finds its keys again.
        self._fetched = Bounded[tuple[str, str | None], SigningKeys](most)
        self._resolved = Bounded[tuple[str, str], tuple[float, KnownIssuer]](most)
        self._unknown = Bounded[tuple[str, str], float](most)
        self._pending: dict[tuple[str, str], asyncio.Task[KnownIssuer | None]] = {}
        self._resolver: Resolver | None = None
        self._static: dict[str, KnownIssuer] = {}
        if callable(trusted):
            self._resolver = trusted
            return
        for issuer in trusted:
            if not isinstance(issuer, TrustedIssuer):
                raise ValueError(f"issuers are TrustedIssuers, or a resolver, not {issuer!r}")  # noqa: TRY004
            if issuer.issuer in self._static:
                raise ValueError(f"{issuer.issuer!r} stands twice among the issuers")
            self._static[issuer.issuer] = _known(issuer, new_keys)
        if not self._static:
            raise ValueError("issuers is empty: nobody's tokens would be good")

    @property
    def static(self) -> list[KnownIssuer]:
        """Those that are known from the start."""
        return list(self._static.values())

    async def find(self, issuer: object, host: str) -> KnownIssuer:
        """Return the issuer that an unverified `iss` names; `host` is what the request names.

        Raises InvalidTokenError where it is not trusted (RFC 9068 §4), and UnavailableError where
        the resolver could not say.
        """
        known = None
        if isinstance(issuer, str):
            known = self._static.get(issuer)
            if self._resolver is not None and _ISSUER.fullmatch(issuer):
                known = await self._resolve(
                    self._resolver, issuer, host if _HOST.fullmatch(host) else ""
                )
        if known is None:
            raise InvalidTokenError(Reason.ISSUER)
        return known

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._pending.values()):
            task.cancel()
        for known in self._static.values():
            await known.keys.close()
        for keys in self._fetched.values():
            await keys.close()

    async def _resolve(self, resolver: Resolver, issuer: str, host: str) -> KnownIssuer | None:
        asked, now = (issuer, host), self._clock.monotonic()
        resolved = self._resolved.get(asked)
        if resolved is not None and now - resolved[0] < _TRUSTED_SECONDS:
            return resolved[1]
        refused_at = self._unknown.get(asked)
        if refused_at is not None and now - refused_at < _UNKNOWN_SECONDS:
            return None
        task = self._pending.get(asked)
        if task is None:
            task = self._pending[asked] = asyncio.create_task(self._ask(resolver, issuer, host))
            task.add_done_callback(partial(self._answered, asked))
        # Shielded, so that a client that goes away does not take the answer from the others.
        return await asyncio.shield(task)

    def _answered(self, asked: tuple[str, str], task: asyncio.Task[KnownIssuer | None]) -> None:
        del self._pending[asked]
        if not task.cancelled():
            task.exception()  # looked at, in case that everybody who waited has gone

    async def _ask(self, resolver: Resolver, issuer: str, host: str) -> KnownIssuer | None:
        try:
            async with asyncio.timeout(self._timeout):
                trusted = await resolver(issuer, host)
            if trusted is not None and trusted.issuer != issuer:
                raise ValueError(f"the resolver was asked for {issuer}, and returned {trusted!r}")  # noqa: TRY301
        except Exception as error:
            # An outage of the application's database is not the token's fault.
            _logger.exception("the resolver of issuers raised, so it lets nobody in")
            raise UnavailableError(Reason.ISSUER_UNAVAILABLE) from error
        asked, now = (issuer, host), self._clock.monotonic()
        self._resolved.forget(asked)
        if trusted is None:
            self._unknown.put(asked, now)
            return None
        known = _known(trusted, self._fetched_keys)
        self._resolved.put(asked, (now, known))
        return known

    def _fetched_keys(self, trusted: TrustedIssuer) -> SigningKeys:
        source = (trusted.issuer, trusted.jwks_uri)
        keys = self._fetched.get(source)
        if keys is None:
            keys = self._new_keys(trusted)
            self._fetched.put(source, keys)
        return keys


def _known(trusted: TrustedIssuer, fetched: Callable[[TrustedIssuer], SigningKeys]) -> KnownIssuer:
    given = trusted.given_keys
    keys = fetched(trusted) if given is None else GivenKeys(given)
    algorithms = frozenset(trusted.algorithms or ())
    return KnownIssuer(trusted, frozenset(trusted.audience), algorithms, keys)
