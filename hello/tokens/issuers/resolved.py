"""Which issuers does a function of the application trust, and how long is its answer used?

An application may have its tenants in a database. Anybody can cause a call of the function, so its
answers are remembered. A stranger is somebody whose token was never valid here. Strangers must not
be able to push out the issuers that are in use.
"""

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from types import NoneType
from typing import NamedTuple
from weakref import WeakSet

from hello.tokens.bounded import Bounded
from hello.tokens.errors import AuthError, Reason, UnavailableError, untrusted
from hello.tokens.hooks import HookError, ask
from hello.tokens.hosts import split_host
from hello.tokens.keys.discovery import Place
from hello.tokens.keys.fetched import FetchedKeys
from hello.tokens.timing import Timing

from .trusted import FetchedKeysOf, KeySource, TrustedIssuer

Resolver = Callable[[str, str], Awaitable[TrustedIssuer | None]]
"""A coroutine function of the application. It is called with the `iss` of an unverified token and
with the host that the request names. It returns the issuer if it is trusted, or None.
"""

_Question = tuple[str, str]  # the `iss` of a token, and the host

_logger = logging.getLogger("hello.auth")

_TRUSTED_SECONDS = 60  # how long a TrustedIssuer is used
_UNKNOWN_SECONDS = 10  # how long None is used
_STALE_SECONDS = 3600  # how long a TrustedIssuer is used while the resolver fails
_FAILED_SECONDS = 1  # how long after a failure the resolver is not asked the same again
_OUTAGE_FAILURES = 3  # so many in a row, and strangers wait for the outage to end
_MAX_STRANGERS = 16  # questions under way that no valid token has caused before
_HOSTS_OF_AN_ISSUER = 100  # remembered as proven, so that no issuer pushes out another

ASKABLE = re.compile(r"[!-~]{1,2048}")
"""The `iss` that a resolver is called with: it fits into a text column, whatever anybody sends."""


class _Memory(NamedTuple):
    """The last answer to a question, and when the resolver last answered and last failed."""

    answer: TrustedIssuer | None
    answered_at: float = -math.inf
    failed_at: float = -math.inf

    def fresh(self, now: float) -> bool:
        seconds = _UNKNOWN_SECONDS if self.answer is None else _TRUSTED_SECONDS
        return now - self.answered_at < seconds

    def usable_in_an_outage(self, now: float) -> bool:
        return self.answer is not None and now - self.answered_at < _STALE_SECONDS


class ResolvedIssuers:
    """Issuers that a resolver returns. Those that share a key set share its fetches.

    Up to `size` issuers are remembered for which a signature was valid, and as many other answers.
    """

    listed: Sequence[TrustedIssuer] = ()

    def __init__(
        self,
        resolver: Resolver,
        *,
        new_fetched: FetchedKeysOf,
        size: int,
        timing: Timing,
    ) -> None:
        self._resolver = resolver
        self._new_fetched = new_fetched
        self._size = size
        self._timing = timing
        # By the place of the keys, because the resolver may return a new TrustedIssuer each time.
        self._sources = Bounded[Place, FetchedKeys](size)  # no token has proven them yet
        self._proven_sources = Bounded[Place, FetchedKeys](size)
        # All that exist, with those that were pushed out while they fetch: `close` ends them too.
        self._all_sources: WeakSet[FetchedKeys] = WeakSet()
        # Anybody can send an `iss` and a host. If an answer is used for a token with a valid
        # signature, it moves from `_unproven` to `_proven`. There, neither strangers nor tokens of
        # other issuers can push it out.
        self._unproven = Bounded[_Question, _Memory](size)
        self._proven = Bounded[str, Bounded[str, _Memory]](size)
        self._pending: dict[_Question, asyncio.Task[_Memory | None]] = {}
        self._strangers: set[_Question] = set()  # pending, and no valid token has asked it before
        self._failures = 0  # in a row
        self._failed_at = -math.inf

    @property
    def fetched(self) -> Collection[FetchedKeys]:
        """The keys that are fetched, one FetchedKeys for each place."""
        return list(self._all_sources)

    async def find(self, issuer: object, host: str) -> TrustedIssuer:
        """Return the issuer that an unverified `iss` names. `host` is the host of the request.

        Raises InvalidTokenError if it is not trusted (RFC 9068 §4), and UnavailableError if the
        resolver fails and did not return this issuer within the last hour.
        """
        found = None
        if isinstance(issuer, str) and ASKABLE.fullmatch(issuer):
            found = await self._resolve((issuer, _host(host)))
        if found is None:
            raise untrusted(issuer)
        return found

    def keys_of(self, trusted: TrustedIssuer, algorithm: str) -> KeySource:
        """Return where an issuer's keys for one of its algorithms come from."""
        return trusted.key_source(algorithm, self._fetched)

    def _fetched(self, place: Place) -> FetchedKeys:
        source = self._proven_sources.get(place) or self._sources.get(place)
        if source is None:
            source = self._new_fetched(place)
            self._all_sources.add(source)
            self._sources.put(place, source)
        return source

    def note_valid_signature(self, trusted: TrustedIssuer, host: str) -> None:
        """Note that a token of this issuer has a valid signature."""
        place = trusted.place
        source = None if place is None else self._sources.get(place)
        if place is not None and source is not None:
            self._sources.forget(place)
            self._proven_sources.put(place, source)
        question = (trusted.issuer, _host(host))
        memory = self._unproven.get(question)
        if memory is not None and memory.answer is not None:
            self._unproven.forget(question)
            hosts = self._proven.get(trusted.issuer)
            if hosts is None:
                hosts = Bounded[str, _Memory](_HOSTS_OF_AN_ISSUER)
                self._proven.put(trusted.issuer, hosts)
            hosts.put(question[1], memory)

    async def close(self) -> None:
        """End all calls and fetches that are under way."""
        for task in list(self._pending.values()):
            task.cancel()
        for source in list(self._all_sources):
            await source.close()

    async def _resolve(self, question: _Question) -> TrustedIssuer | None:
        now = self._timing.clock.monotonic()
        memory = self._remembered(question)
        if not memory.fresh(now) and now - memory.failed_at >= _FAILED_SECONDS:
            memory = await self._ask_once(question) or memory
        if memory.fresh(now) or memory.usable_in_an_outage(now):
            return memory.answer
        # An outage of the application's database is not the sender's fault.
        raise UnavailableError(Reason.RESOLVER_UNAVAILABLE)

    async def _ask_once(self, question: _Question) -> _Memory | None:
        """Wait for the one call that asks this question. Return None if there is no answer."""
        task = self._pending.get(question)
        if task is None:
            if self._proven_hosts(question) is None:
                outage = self._failures >= _OUTAGE_FAILURES
                now = self._timing.clock.monotonic()
                if outage and now - self._failed_at < _FAILED_SECONDS:
                    return None
                if len(self._strangers) >= min(_MAX_STRANGERS, self._size):
                    return None
                self._strangers.add(question)
            task = self._pending[question] = asyncio.create_task(self._ask(question))
            task.add_done_callback(lambda _: self._ended(question))
        # Not awaited itself: a client that goes away must not cancel it for the others.
        await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    async def _ask(self, question: _Question) -> _Memory | None:
        clock, timeout = self._timing.clock, self._timing.hook_timeout
        accepted = (TrustedIssuer, NoneType)
        try:
            trusted = await ask(self._resolver, *question, timeout=timeout, returns=accepted)
            if trusted is not None and trusted.issuer != question[0]:
                raise HookError(f"asked for {question[0]}, it returned {trusted!r}")
            if trusted is not None and trusted.introspection is not None:
                # An opaque token names no issuer, so nobody would ask this one.
                raise HookError("introspection= is for issuers in a list")
        except (HookError, AuthError):
            if not self._failures:  # one entry an outage
                _logger.exception("%s: the resolver of issuers failed", Reason.RESOLVER_UNAVAILABLE)
            self._failures, self._failed_at = self._failures + 1, clock.monotonic()
            memory = self._remembered(question)
            self._remember(question, memory._replace(failed_at=self._failed_at))
            return None
        if self._failures:
            _logger.warning("the resolver answers again, after %d failures", self._failures)
            self._failures = 0
        memory = _Memory(trusted, clock.monotonic())
        self._remember(question, memory)
        return memory

    def _ended(self, question: _Question) -> None:
        del self._pending[question]
        self._strangers.discard(question)

    def _proven_hosts(self, question: _Question) -> Bounded[str, _Memory] | None:
        """Return where the answer to a question is kept, if a token has proven it."""
        issuer, host = question
        hosts = self._proven.get(issuer)
        return None if hosts is None or hosts.get(host) is None else hosts

    def _remembered(self, question: _Question) -> _Memory:
        hosts = self._proven_hosts(question)
        memory = self._unproven.get(question) if hosts is None else hosts.get(question[1])
        return memory or _Memory(None)

    def _remember(self, question: _Question, memory: _Memory) -> None:
        hosts = self._proven_hosts(question)
        if hosts is None:
            self._unproven.put(question, memory)
        elif memory.answer is None:
            hosts.forget(question[1])
            self._unproven.put(question, memory)
        else:
            hosts.put(question[1], memory)


def _host(host: str) -> str:
    named = split_host(host)
    return "" if named is None else named[0]


def chosen(
    issuers: Iterable[TrustedIssuer] | Resolver | None,
    issuer: str | None,
    audience: str | Collection[str] | None,
    algorithms: Collection[str] | None,
) -> Iterable[TrustedIssuer] | Resolver:
    """Return the issuers. Raises ValueError unless they are given in one of the two ways."""
    if issuers is None:
        if issuer is None or audience is None:
            raise ValueError("give issuer and audience, or issuers")
        return [TrustedIssuer(issuer=issuer, audience=audience, algorithms=algorithms)]
    if (issuer, audience, algorithms) != (None, None, None):
        raise ValueError("give issuers, or issuer, audience and algorithms, but not both")
    return issuers
