"""Which issuers does a function of the application's own trust, and for how long is it believed?

For tenants in a database, say. What it says is remembered, since it is asked on behalf of whoever
sends a token; and what strangers send must push nobody out who is in use.
"""

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple
from weakref import WeakSet

from .bounded import Bounded
from .errors import AuthError, InvalidTokenError, Reason, UnavailableError
from .hooks import HookError, ask, cancellations
from .issuers import KnownIssuer, known_issuer
from .jwks import Clock, FetchedKeys
from .trusted_issuer import TrustedIssuer

Resolver = Callable[[str, str], Awaitable[TrustedIssuer | None]]
"""A coroutine function of one's own: the `iss` of a token that nobody has verified, and the host
that the request names; returns the issuer, if it is to be trusted, or None.
"""

_Question = tuple[str, str]

_logger = logging.getLogger("hello.auth")

_TRUSTED_SECONDS = 60  # that a resolver's yes holds
_UNKNOWN_SECONDS = 10  # that its no holds
_STALE_SECONDS = 3600  # that a yes holds while the resolver cannot be asked
_FAILED_SECONDS = 1  # after a failure, until it is asked again
# What a resolver gets to see: what an attacker may send is fit for a database's text columns.
_ISSUER = re.compile(r"[!-~]{1,2048}")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


class _Answer(NamedTuple):
    at: float
    known: KnownIssuer


class ResolvedIssuers:
    """Issuers that a resolver knows, one by one.

    `new_keys` makes the FetchedKeys of one. `most`: how many answers are remembered, of each kind.
    `timeout`: the seconds that the resolver may take.
    """

    by_resolver = True  # it is asked with the host that a request names
    listed: tuple[KnownIssuer, ...] = ()  # none is known from the start

    def __init__(
        self,
        resolver: Resolver,
        *,
        new_keys: Callable[[TrustedIssuer], FetchedKeys],
        most: int,
        timeout: float,
        clock: Clock,
    ) -> None:
        self._resolver = resolver
        self._new_keys = new_keys
        self._most = most
        self._timeout = timeout
        self._clock = clock
        # By where they come from, so that what the resolver says anew finds its keys again.
        self._by_source = Bounded[tuple[str, str | None], FetchedKeys](most)
        # Those that were forgotten during a fetch, too.
        self._all_made: WeakSet[FetchedKeys] = WeakSet()
        # A yes is on trial until a token of that issuer was verified: anybody can send an `iss` and
        # a host, and those must not push out what is in use.
        self._on_trial = Bounded[_Question, _Answer](most)
        self._resolved = Bounded[_Question, _Answer](most)
        self._unknown = Bounded[_Question, float](most)  # a no, and when it was said
        self._failed = Bounded[_Question, float](most)  # when it raised, or took too long
        self._pending: dict[_Question, asyncio.Task[KnownIssuer | None]] = {}  # being asked now

    def at_hand(self, _issuer: str) -> KnownIssuer | None:
        """Return nothing: whether an issuer is trusted is up to the host, too."""
        return None

    async def find(self, issuer: object, host: str) -> KnownIssuer:
        """Return the issuer that an unverified `iss` names; `host` is what the request names.

        Raises InvalidTokenError where it is not trusted (RFC 9068 §4), and UnavailableError where
        the resolver could not say.
        """
        known = None
        if isinstance(issuer, str) and _ISSUER.fullmatch(issuer):
            known = await self._resolve((issuer, _host(host)))
        if known is None:
            raise InvalidTokenError(Reason.ISSUER)
        return known

    def confirm(self, issuer: str, host: str) -> None:
        """Hear that a token of this issuer was verified, so that the resolver's yes is kept."""
        question = (issuer, _host(host))
        answer = self._on_trial.get(question, None)
        if answer is not None:
            self._on_trial.forget(question)
            self._resolved.put(question, answer)

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._pending.values()):
            task.cancel()
        for keys in list(self._all_made):
            await keys.close()

    async def _resolve(self, question: _Question) -> KnownIssuer | None:
        now = self._clock.monotonic()
        answer = self._resolved.get(question, None) or self._on_trial.get(question, None)
        age = math.inf if answer is None else now - answer.at
        if answer is not None and age < _TRUSTED_SECONDS:
            return answer.known
        if now - self._unknown.get(question, -math.inf) < _UNKNOWN_SECONDS:
            return None
        if now - self._failed.get(question, -math.inf) >= _FAILED_SECONDS:
            cancelled_before = cancellations()
            try:
                # Shielded, so that a client that goes away does not take it from the others.
                return await asyncio.shield(self._begin(question))
            except HookError:
                pass  # it is in the log
            except asyncio.CancelledError:
                if cancellations() > cancelled_before:
                    raise
        if answer is not None and age < _STALE_SECONDS:
            return answer.known
        # An outage of the application's database is not the token's fault.
        raise UnavailableError(Reason.RESOLVER_UNAVAILABLE)

    def _begin(self, question: _Question) -> asyncio.Task[KnownIssuer | None]:
        task = self._pending.get(question)
        if task is None:
            if len(self._pending) >= self._most:
                _logger.warning(
                    "%d questions are put to the resolver of issuers at once: it is too slow, or "
                    "somebody makes issuers up",
                    self._most,
                )
                raise HookError("too many questions are under way")
            task = self._pending[question] = asyncio.create_task(self._ask(question))
            task.add_done_callback(partial(self._answered, question))
        return task

    def _answered(self, question: _Question, task: asyncio.Task[KnownIssuer | None]) -> None:
        del self._pending[question]
        if not task.cancelled():
            task.exception()  # looked at, in case that everybody who waited has gone

    async def _ask(self, question: _Question) -> KnownIssuer | None:
        try:
            trusted = await ask(self._resolver, *question, timeout=self._timeout)
            if not isinstance(trusted, TrustedIssuer | None):
                raise HookError(f"it returned {trusted!r}, no TrustedIssuer and not None")  # noqa: TRY301
            if trusted is not None and trusted.issuer != question[0]:
                raise HookError(f"asked for {question[0]}, it returned {trusted!r}")  # noqa: TRY301
        except (HookError, AuthError) as error:
            _logger.exception("the resolver of issuers failed, so it lets nobody new in")
            self._failed.put(question, self._clock.monotonic())
            raise HookError(str(error)) from error
        now = self._clock.monotonic()
        self._failed.forget(question)
        if trusted is None:
            self._resolved.forget(question)
            self._on_trial.forget(question)
            self._unknown.put(question, now)
            return None
        answer = _Answer(now, known_issuer(trusted, self._keys_of))
        kept = self._on_trial if self._resolved.get(question, None) is None else self._resolved
        kept.put(question, answer)
        return answer.known

    def _keys_of(self, trusted: TrustedIssuer) -> FetchedKeys:
        source = (trusted.issuer, trusted.jwks_uri)
        keys = self._by_source.get(source, None)
        if keys is None:
            keys = self._new_keys(trusted)
            self._all_made.add(keys)
            self._by_source.put(source, keys)
        return keys


def _host(host: str) -> str:
    return host if _HOST.fullmatch(host) else ""
