"""Is this access token good, and what does it grant?

The path of a token: taken apart, its header checked, its issuer known, a key found, its signature
verified, its claims checked, and whether it was revoked. Whatever fails is a refusal; nothing falls
through.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from . import claims, header, jws
from .access_token import AccessToken
from .claims import is_numeric_date
from .discovery import Fetch, load_signing_keys
from .errors import AuthError, InvalidTokenError, KeysUnavailableError, Reason, UnavailableError
from .hooks import HookError, ask
from .issuers import KnownIssuer, ListedIssuers
from .jwks import Clock, FetchedKeys
from .remembered import Kept, Remembered, Verified
from .resolver import ResolvedIssuers, Resolver
from .strict_json import ReadOnly
from .trusted_issuer import TrustedIssuer
from .urls import is_secure_url

_logger = logging.getLogger("hello.auth")


Revoked = Callable[[AccessToken], bool | Awaitable[bool]]
"""A rule of one's own, sync or async: True for a valid token that is not to be good any more."""


class TokenValidator:
    """Validates access tokens (JWTs), of one issuer for one audience or of several.

    Either `issuer`, `audience` and `algorithms`, as TrustedIssuer has them; or `issuers`: several
    TrustedIssuers, or a coroutine function that is called with a token's unverified `iss` and the
    host that the request names, and returns the TrustedIssuer or None. Its answers are remembered,
    at most `most_issuers` of them: a yes for 60 s, a no for 10 s. While it does not answer, its
    last yes holds for an hour, and everybody else gets a 503.

    Times are in seconds: `leeway` for clocks that differ, `max_age` since a token's `iat`,
    `jwks_max_age` for keys in use, `jwks_max_stale` for keys during an outage, `jwks_cooldown`
    between fetches that unknown keys force, `jwks_timeout` for one fetch, `hook_timeout` for one
    answer of a resolver, a check or `revoked`.

    A token that was verified is remembered, at most `remembered_tokens` of them (0: none) and never
    past its `exp`. Time, issuer, key and `revoked` are asked about on every request all the same.

    `required_claims` must be there and not null. `strict` asks for RFC 9068's `typ` and claims.
    `revoked` is asked about each token on every request; where it raises, the answer is a 503.
    `fetch` GETs a URL and returns the body, or raises FetchError: for a proxy, or a framework of
    its own. `clock` is for tests.

    To be used in one event loop at a time. Raises ValueError for options that could not work.
    """

    def __init__(
        self,
        *,
        issuer: str | None = None,
        audience: str | Collection[str] | None = None,
        algorithms: Collection[str] | None = None,
        issuers: Iterable[TrustedIssuer] | Resolver | None = None,
        leeway: float = 5,
        max_age: float | None = None,
        required_claims: Collection[str] = (),
        strict: bool = False,
        revoked: Revoked | None = None,
        jwks_max_age: float = 600,
        jwks_max_stale: float = 3600,
        jwks_cooldown: float = 10,
        jwks_timeout: float = 5,
        hook_timeout: float = 5,
        most_issuers: int = 1000,
        remembered_tokens: int = 4096,
        fetch: Fetch | None = None,
        clock: Clock = time,
    ) -> None:
        _check_seconds("leeway", leeway, zero=True)
        if max_age is not None:
            _check_seconds("max_age", max_age)
        _check_seconds("jwks_max_age", jwks_max_age)
        _check_seconds("jwks_max_stale", jwks_max_stale)
        _check_seconds("jwks_cooldown", jwks_cooldown)
        _check_seconds("jwks_timeout", jwks_timeout)
        _check_seconds("hook_timeout", hook_timeout)
        if jwks_max_stale < jwks_max_age:
            raise ValueError("jwks_max_stale is at least jwks_max_age: both count from one fetch")
        if isinstance(required_claims, str):
            raise ValueError(f"required_claims is a collection: write [{required_claims!r}]")  # noqa: TRY004
        if type(most_issuers) is not int or most_issuers < 1:
            raise ValueError(f"most_issuers is a whole number above zero, not {most_issuers!r}")
        if type(remembered_tokens) is not int or remembered_tokens < 0:
            raise ValueError(
                f"remembered_tokens is a whole number from zero up, not {remembered_tokens!r}"
            )
        if revoked is not None and not callable(revoked):
            raise ValueError(f"revoked is called with the AccessToken, and {revoked!r} cannot be")
        self.clock = clock
        self.strict = strict
        self.hook_timeout = hook_timeout
        self._revoked = revoked
        self._remembered = Remembered(remembered_tokens) if remembered_tokens else None
        self.leeway, self._max_age = leeway, max_age
        self._rules = claims.rules(required=required_claims, strict=strict, max_age=max_age)
        new_keys = partial(
            _fetched_keys,
            fetch=fetch or _fetch_with_aiohttp(),
            max_age=jwks_max_age,
            max_stale=jwks_max_stale,
            cooldown=jwks_cooldown,
            timeout=jwks_timeout,
            clock=clock,
        )
        trusted = _trusted(issuer, audience, algorithms, issuers)
        self.issuers: ListedIssuers | ResolvedIssuers
        if callable(trusted):
            self.issuers = ResolvedIssuers(
                trusted, new_keys=new_keys, most=most_issuers, timeout=hook_timeout, clock=clock
            )
        else:
            self.issuers = ListedIssuers(trusted, new_keys=new_keys)

    async def validate(self, token: str, *, host: str = "") -> AccessToken:
        """Return what a valid token grants. `host` is what the request names, for a resolver.

        Raises InvalidTokenError for any other, and UnavailableError where nobody can say now:
        the issuer's keys are needed and cannot be had, or a hook of the application's own raised.
        """
        if self._remembered is None:
            return (await self._verify(token, host)).access_token
        digest = self._remembered.digest(token)
        kept = self._remembered.get(digest)
        if kept is not None:
            if await self._holds(kept, host):
                if self._revoked is not None:
                    await self._refuse_revoked(self._revoked, kept.verified.access_token)
                return kept.verified.access_token
            self._remembered.forget(digest)
        verified = await self._verify(token, host)
        if self._remembered.seen_before(digest):
            said, expected = verified.access_token.claims, self.expected(verified.known)
            since, until = claims.validity(said, expected)
            self._remembered.put(digest, Kept(verified, since, until))
        return verified.access_token

    async def _holds(self, kept: Kept, host: str) -> bool:
        """Say whether what the full check found can be relied on still.

        Raises as `validate` does, where the issuer is not trusted any more or its keys are too old.
        """
        if not kept.since <= self.clock.time() < kept.until:
            return False
        token, known, key, kid, algorithm = kept.verified
        if known is not (
            self.issuers.at_hand(token.issuer) or await self.issuers.find(token.issuer, host)
        ):
            return False
        return key is (known.keys.at_hand(kid, algorithm) or await known.keys.find(kid, algorithm))

    async def _verify(self, token: str, host: str) -> Verified:
        """Check all there is. Raises as `validate` does."""
        parsed = jws.parse(token)
        header.check(parsed.header, strict=self.strict)
        # Before any request goes out (RFC 9068 §4).
        known = await self.issuers.find(parsed.claims.get("iss"), host)
        algorithm = accepted_algorithm(parsed.header, known)
        expected = self.expected(known)
        kid = parsed.header.get("kid")
        try:
            key = known.keys.at_hand(kid, algorithm) or await known.keys.find(kid, algorithm)
        except KeysUnavailableError:
            # What is bad without a key is bad, whoever is down.
            claims.check(parsed.claims, expected, self.clock.time())
            raise
        if not key.verifies(parsed.signature, parsed.signing_input, algorithm):
            raise InvalidTokenError(Reason.SIGNATURE)
        self.issuers.confirm(known.trusted.issuer, host)
        try:
            claims.check(parsed.claims, expected, self.clock.time())
        except InvalidTokenError as refusal:
            subject = parsed.claims.get("sub")
            refusal.subject = subject if isinstance(subject, str) else None
            raise
        access_token = granted(token, parsed)
        if self._revoked is not None:
            await self._refuse_revoked(self._revoked, access_token)
        return Verified(access_token, known, key, kid, algorithm)

    @property
    def authorization_servers(self) -> list[str]:
        """Who a client can ask for a token: the issuers known from the start that are URLs."""
        names = (known.trusted.issuer for known in self.issuers.listed)
        return [name for name in names if is_secure_url(name)]

    async def close(self) -> None:
        """End the fetches that are under way."""
        await self.issuers.close()

    def expected(self, known: KnownIssuer) -> claims.Expected:
        """Return what an issuer's tokens are compared with."""
        return claims.Expected(known.audience, self.leeway, self._max_age, self._rules)

    async def _refuse_revoked(self, revoked: Revoked, token: AccessToken) -> None:
        """Ask the hook. Raises InvalidTokenError, or UnavailableError where it failed."""
        refusal: AuthError
        try:
            answer = await ask(revoked, token, timeout=self.hook_timeout)
            if not isinstance(answer, bool):
                raise HookError(f"it returned {answer!r}, neither True nor False")  # noqa: TRY301
        except (HookError, AuthError):
            _logger.exception("the revocation hook failed, so it lets nobody in")
            refusal = UnavailableError(Reason.REVOCATION_UNAVAILABLE)
        else:
            if not answer:
                return
            refusal = InvalidTokenError(Reason.REVOKED)
        refusal.subject = token.subject
        raise refusal


def accepted_algorithm(token_header: Mapping[str, Any], known: KnownIssuer) -> str:
    """Return a token's `alg`, if the issuer's may have it (RFC 8725 §3.1).

    Raises InvalidTokenError.
    """
    algorithm = token_header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in known.algorithms:
        raise InvalidTokenError(Reason.ALGORITHM)
    return algorithm


def granted(token: str, parsed: jws.Token) -> AccessToken:
    """Return what a token grants, once everything about it was checked."""
    said = parsed.claims
    scopes = claims.names(said.get("scope", ()))
    if "scp" in said:  # how Okta and Entra ID write it
        scopes |= claims.names(said["scp"])
    return AccessToken(
        token=token,
        header=ReadOnly(parsed.header),
        claims=ReadOnly(said),
        issuer=said["iss"],
        subject=said.get("sub"),
        scopes=scopes,
        permissions=claims.names(said.get("permissions", ())),
        expires_at=said["exp"],
    )


def _trusted(
    issuer: str | None,
    audience: str | Collection[str] | None,
    algorithms: Collection[str] | None,
    issuers: Iterable[TrustedIssuer] | Resolver | None,
) -> Iterable[TrustedIssuer] | Resolver:
    if issuers is None:
        if issuer is None or audience is None:
            raise ValueError("give issuer and audience, or issuers")
        return [TrustedIssuer(issuer=issuer, audience=audience, algorithms=algorithms)]
    given = {"issuer": issuer, "audience": audience, "algorithms": algorithms}
    if beside := [name for name, value in given.items() if value is not None]:
        raise ValueError(
            f"give issuers or {' and '.join(beside)}, not both: each issuer says its own"
        )
    return issuers


def _fetched_keys(trusted: TrustedIssuer, *, fetch: Fetch, **policy: Any) -> FetchedKeys:
    return FetchedKeys(
        partial(load_signing_keys, trusted.issuer, trusted.jwks_uri, fetch), **policy
    )


def _fetch_with_aiohttp() -> Fetch:
    from .fetch import fetch  # noqa: PLC0415 - for who brings no other

    return fetch


def _check_seconds(name: str, seconds: float, *, zero: bool = False) -> None:
    # Without this a NaN would switch its rule off: no comparison with it is ever true.
    if not is_numeric_date(seconds) or seconds < 0 or (seconds == 0 and not zero):
        least = "from zero up" if zero else "above zero"
        raise ValueError(f"{name} is a number of seconds {least}, not {seconds!r}")
