"""What does an issuer answer about a token, how long is that used, and how often is it asked?

RFC 7662. Anybody can send any text as a token, so three limits protect the issuer: answers are
cached; there is one question about a token, however many requests wait for the answer; and tokens
that were never valid here share a small allowance.
"""

import asyncio
import hashlib
import logging
import math
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from hello.tokens.bounded import Bounded
from hello.tokens.errors import InvalidTokenError, Reason, UnavailableError
from hello.tokens.jwt.strict_json import ReadOnly
from hello.tokens.keys.discovery import Fetch, Place
from hello.tokens.keys.fetched import FetchError, KeyPolicy
from hello.tokens.timing import Clock

from .answers import RefusedTextError, read_answer
from .client import Introspection
from .outage import Outage, unavailable

if TYPE_CHECKING:
    import aiohttp

_logger = logging.getLogger("hello.auth")

_ACTIVE_SECONDS = 60  # how long a yes is used
_INACTIVE_SECONDS = 10  # how long a no is used
_MAX_INACTIVE = 10_000  # answers
_REFUSED_SECONDS = 10  # how long nobody asks about a text that the issuer refused to look at
_MAX_PROVEN = 10_000  # tokens
_MAX_STRANGERS = 16  # questions under way about tokens that were never valid here
_MAX_WAITING = 1000  # requests with such tokens that wait for their turn
_ALLOWANCE = 50  # questions about such tokens, and how many more a second
_ALLOWANCE_PER_SECOND = 5
_ENTRY_BYTES = 500  # of an answer's objects and its place in the cache, whatever it holds
TOO_MANY = "too many unknown tokens"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}={0,2}")  # RFC 6750 §2.1: b64token


class _Answer(NamedTuple):
    claims: Mapping[str, Any]
    until: float  # in seconds of the monotonic clock


class Introspector:
    """Asks one issuer about its opaque tokens, as the client that `introspection` describes.

    `fetch` gets the issuer's metadata, if that is needed. Active answers take at most `size` bytes.
    """

    def __init__(
        self,
        issuer: str,
        introspection: Introspection,
        *,
        fetch: Fetch,
        policy: KeyPolicy,
        clock: Clock,
        size: int,
    ) -> None:
        self._issuer = issuer
        self._introspection = introspection
        self._fetch = fetch
        self._policy = policy
        self._clock = clock
        self._endpoint = introspection.endpoint
        self._doubts: set[Outage] = set()  # outages in which the endpoint may have moved
        self._finding = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._active = Bounded[bytes, _Answer](size, _bytes_of)
        self._inactive = Bounded[bytes, float](_MAX_INACTIVE)
        self._refused = Bounded[bytes, float](_MAX_INACTIVE)
        self._warned_at = -math.inf  # the last warning about a refused text
        self._proven = Bounded[bytes, bool](_MAX_PROVEN)
        self._pending: dict[bytes, asyncio.Task[Mapping[str, Any] | None]] = {}
        self._turns = asyncio.Semaphore(_MAX_STRANGERS)
        self._waiting = 0
        self._allowance: float = _ALLOWANCE
        self._allowance_at = clock.monotonic()
        self._outage = Outage(clock)
        # The issuer may fail because of what a stranger sends. Such a failure stops the questions
        # of strangers, and no others.
        self._strangers_outage = Outage(clock)
        self.counts: dict[str, int] = {"active": 0, "inactive": 0, "failed": 0}  # questions

    async def ask(self, token: str) -> Mapping[str, Any]:
        """Return what the issuer says about an active token, as claims with an `iss`.

        Raises InvalidTokenError for a token that is not active, and UnavailableError if the issuer
        cannot be asked at the moment.
        """
        if not _TOKEN.fullmatch(token):
            raise InvalidTokenError(Reason.MALFORMED)
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock.monotonic()
        answer = self._active.get(digest)
        if answer is not None and now < answer.until:
            return answer.claims
        if now < (self._inactive.get(digest) or -math.inf):
            raise InvalidTokenError(Reason.INACTIVE)
        refused_until = self._refused.get(digest) or -math.inf
        if now < refused_until:
            raise unavailable(refused_until - now)
        claims = await self._ask_once(token, digest)
        if claims is None:
            raise InvalidTokenError(Reason.INACTIVE)
        return claims

    def note_valid(self, token: str) -> None:
        """Note that a token passed every check: no stranger can keep it from being asked about."""
        digest = hashlib.sha256(token.encode()).digest()
        if self._proven.get(digest) is None:
            self._proven.put(digest, value=True)
            self._allowance += 1  # it took one as a stranger's, which it is no longer

    async def close(self) -> None:
        """End the questions under way, and close the connections."""
        tasks = list(self._pending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A lock belongs to the event loop in which somebody waited for it.
        self._turns, self._finding = asyncio.Semaphore(_MAX_STRANGERS), asyncio.Lock()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask_once(self, token: str, digest: bytes) -> Mapping[str, Any] | None:
        """Wait for the one question about a token. Return None if it is not active."""
        task = self._pending.get(digest)
        if task is None:
            if self._proven.get(digest) is None:
                self._outage.check()
                self._check_allowance()
                outage, question = self._strangers_outage, self._take_turn
            else:
                outage, question = self._outage, self._ask
            outage.begin()
            task = self._pending[digest] = asyncio.create_task(question(token, digest, outage))
            task.add_done_callback(lambda ended: self._ended(digest, ended, outage))
        # Not awaited itself: a client that goes away must not cancel it for the others.
        await asyncio.wait([task])
        if task.cancelled():
            raise unavailable()
        return task.result()

    def _ended(
        self, digest: bytes, task: asyncio.Task[Mapping[str, Any] | None], outage: Outage
    ) -> None:
        del self._pending[digest]
        outage.end()
        if not task.cancelled():
            task.exception()  # or asyncio would log it if all who waited went away

    async def _take_turn(
        self, token: str, digest: bytes, outage: Outage
    ) -> Mapping[str, Any] | None:
        """Ask about a token that was never valid here. Few such questions are under way at once."""
        if self._waiting >= _MAX_WAITING:
            raise unavailable(detail=TOO_MANY)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._policy.timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise unavailable(detail=TOO_MANY) from None
        finally:
            self._waiting -= 1
        try:
            self._outage.check()
            outage.check()
            self._check_allowance()
            self._allowance -= 1  # `note_valid` gives it back
            return await self._ask(token, digest, outage)
        finally:
            self._turns.release()

    def _check_allowance(self) -> None:
        now = self._clock.monotonic()
        more = (now - self._allowance_at) * _ALLOWANCE_PER_SECOND
        self._allowance = min(_ALLOWANCE, self._allowance + more)
        self._allowance_at = now
        if self._allowance < 1:
            raise unavailable(detail=TOO_MANY)

    async def _ask(self, token: str, digest: bytes, outage: Outage) -> Mapping[str, Any] | None:
        try:
            async with asyncio.timeout(self._policy.timeout):
                answer = await self._send(token, outage)
        except (FetchError, TimeoutError) as error:
            self.counts["failed"] += 1
            if isinstance(error, RefusedTextError) and outage is self._strangers_outage:
                # This is no outage. If it were one, a stranger who sends such texts could stop the
                # questions about all new tokens.
                raise self._refuse(digest, str(error)) from None
            self._doubts.add(outage)  # perhaps the endpoint has moved
            outage.failed(str(error) or f"no answer within {self._policy.timeout:g} s")
            raise unavailable(outage.seconds) from None
        except Exception as error:
            self.counts["failed"] += 1
            _logger.exception("an introspection failed in an unexpected way")
            outage.failed(type(error).__name__)
            raise unavailable(outage.seconds) from None
        self._outage.over()
        self._strangers_outage.over()
        now = self._clock.monotonic()
        active = answer.pop("active")
        self.counts["active" if active else "inactive"] += 1
        if not active:
            self._inactive.put(digest, now + _INACTIVE_SECONDS)
            self._proven.forget(digest)  # from now on, the limits for strangers hold for it
            return None
        # The endpoint is the issuer's own, so an answer without `iss` speaks of its own token.
        claims = {"iss": self._issuer, **answer}
        self._active.put(digest, _Answer(claims, now + _ACTIVE_SECONDS))
        return claims

    def _refuse(self, digest: bytes, why: str) -> UnavailableError:
        """Note that the issuer refused to look at a text, and log it if that is new."""
        now = self._clock.monotonic()
        self._refused.put(digest, now + _REFUSED_SECONDS)
        if now - self._warned_at >= _REFUSED_SECONDS:
            self._warned_at = now
            _logger.warning(
                "%s: the issuer refused to be asked about a token that was never valid here: %s",
                Reason.INTROSPECTION_UNAVAILABLE,
                why,
            )
        return unavailable(_REFUSED_SECONDS)

    async def _send(self, token: str, outage: Outage) -> dict[str, Any]:
        """Return the issuer's answer, in which `active` is a boolean. Raises FetchError."""
        from hello.tokens.keys.fetch import new_session, send  # noqa: PLC0415 - it loads aiohttp

        endpoint = self._introspection.endpoint or await self._find_endpoint(outage)
        if self._session is None:
            self._session = new_session()
        request = self._introspection.request(token, self._issuer, self._clock.time())
        status, body = await send(self._session, "POST", endpoint, **request)
        return read_answer(endpoint, status, body)

    async def _find_endpoint(self, outage: Outage) -> str:
        """Return the endpoint. It is looked for again after a failure that belongs to `outage`.

        A failure that a stranger has caused makes nobody else look for it.
        """
        if self._endpoint is not None and outage not in self._doubts:
            return self._endpoint
        async with self._finding:
            if self._endpoint is None or outage in self._doubts:
                place = Place(issuer=self._issuer, jwks_uri=None, allow_insecure_http=False)
                self._endpoint = await place.find_endpoint("introspection_endpoint", self._fetch)
                self._doubts.clear()
            return self._endpoint


def _bytes_of(answer: _Answer) -> int:
    return _ENTRY_BYTES + sys.getsizeof(ReadOnly(answer.claims))
