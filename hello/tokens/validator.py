"""Is this access token good, and what does it grant?

`TokenValidator._verify` reads as the path of a token. A token that fails any step is refused.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack, overload

from .access_token import AccessToken
from .bounded import check_size
from .cache import Verified, VerifiedTokens
from .challenges import Challenges
from .errors import (
    AuthError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    UnavailableError,
    untrusted,
)
from .hooks import HookError, Listeners, ask, check_hook, log_failure
from .introspection.introspector import Introspector
from .issuers.listed import ListedIssuers
from .issuers.resolved import ResolvedIssuers, Resolver, chosen
from .issuers.trusted import TrustedIssuer
from .jwt.claim_rules import Expected, claim_rules, time_difference, validity
from .jwt.compact import KeyName, begins_like_jws, parse
from .jwt.header_rules import header_rules
from .jwt.rules import Rule, check_rules
from .keys.discovery import Fetch, Place, fetch_with_aiohttp
from .keys.fetched import KeyPolicy
from .keys.signing_key import signer
from .keys.state import KeyFetch
from .possession.binding import can_be_proved, check_binding
from .possession.dpop import DPoP, Mode
from .presented import Presented
from .requirements.included import included_scopes
from .requirements.requirement import Names
from .timing import Clock, Timing
from .urls import is_secure_url

Revoked = Callable[[AccessToken], bool | Awaitable[bool]]
"""A function of the application, sync or async. If it returns True, the valid token is refused."""


class _Options(TypedDict, total=False):
    leeway: float
    max_age: float | None
    required_claims: Collection[str]
    strict: bool
    revoked: Revoked | None
    scope_includes: Mapping[str, Names] | None
    jwks_max_age: float
    jwks_max_stale: float
    jwks_cooldown: float
    jwks_timeout: float
    hook_timeout: float
    max_issuers: int
    token_cache_size: int
    dpop: DPoP | Mode
    fetch: Fetch | None
    clock: Clock


class TokenValidator:
    """Validates the access tokens (JWTs) of one issuer or of several.

    Give `issuer` and `audience`, and `algorithms` if the issuer does not sign with RS256: these are
    options of a TrustedIssuer. Or give `issuers`, which is a list of TrustedIssuers or a resolver.
    A resolver is a coroutine function. It is called with the unverified `iss` of a token and with
    the host that the request names, and it returns the TrustedIssuer or None. Its answers for up to
    `max_issuers` issuers are remembered, a TrustedIssuer for 60 s and None for 10 s.

    These times are in seconds: `leeway` is how far two clocks may differ. `max_age` is how long ago
    a token may have been issued (`iat`). The `jwks_` times are those of a KeyPolicy. `hook_timeout`
    limits one call of a resolver, a check or `revoked`.

    Verified tokens are cached until their `exp`, in at most `token_cache_size` bytes. For a cached
    token, too, every request checks the time, the issuer, its key, its binding and `revoked`.

    Claims in `required_claims` must be present and not null. `strict` requires the `typ` and the
    claims of RFC 9068. `revoked` is called for each valid token on every request; if it raises, the
    answer is 503. `scope_includes` says which scopes a scope includes: a token with it has those,
    too, and what they include. `dpop` says whether tokens that are bound to a key (RFC 9449) are
    "allowed" beside bearer tokens, "required" or "off"; a DPoP has more options. `fetch` gets a URL
    and returns the body of a GET, or raises FetchError. `clock` is for tests.

    Use a validator in one event loop at a time. Raises ValueError for options that cannot work.
    """

    @overload
    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        algorithms: Collection[str] | None = None,
        **options: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self, *, issuers: Iterable[TrustedIssuer] | Resolver, **options: Unpack[_Options]
    ) -> None: ...

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
        scope_includes: Mapping[str, Names] | None = None,
        jwks_max_age: float = 600,
        jwks_max_stale: float = 3600,
        jwks_cooldown: float = 10,
        jwks_timeout: float = 5,
        hook_timeout: float = 5,
        max_issuers: int = 1000,
        token_cache_size: int = 16 << 20,
        dpop: DPoP | Mode = "allowed",
        fetch: Fetch | None = None,
        clock: Clock = time,
    ) -> None:
        check_size("max_issuers", max_issuers, least=1)
        check_size("token_cache_size", token_cache_size, least=0)
        check_hook("revoked", revoked, "the AccessToken")
        check_hook("fetch", fetch, "a URL")
        self.timing: Timing = Timing(leeway=leeway, hook_timeout=hook_timeout, clock=clock)
        self._max_age, self._revoked = max_age, revoked
        self._scope_includes = included_scopes(scope_includes or {})
        self.dpop: DPoP | None = DPoP.of(dpop)
        self.challenges: Challenges = self.dpop.challenges(clock) if self.dpop else Challenges()
        self.header_rules: tuple[Rule[frozenset[str]], ...] = header_rules(strict=strict)
        self._claim_rules: tuple[Rule[Expected], ...] = claim_rules(
            required=required_claims, strict=strict, max_age=max_age
        )
        policy = KeyPolicy(
            max_age=jwks_max_age,
            max_stale=jwks_max_stale,
            cooldown=jwks_cooldown,
            timeout=jwks_timeout,
        )
        send = fetch or fetch_with_aiohttp
        self.fetch_listeners: Listeners[KeyFetch] = Listeners[KeyFetch]("fetches of keys")
        new_fetched = partial(
            Place.keys, fetch=send, policy=policy, clock=clock, listeners=self.fetch_listeners
        )
        issuers = chosen(issuers, issuer, audience, algorithms)
        self.issuers: ListedIssuers | ResolvedIssuers = (
            ResolvedIssuers(issuers, new_fetched=new_fetched, size=max_issuers, timing=self.timing)
            if callable(issuers)
            else ListedIssuers(issuers, new_fetched=new_fetched)
        )
        names = [trusted.issuer for trusted in self.issuers.listed]
        self.authorization_servers: list[str] = [name for name in names if is_secure_url(name)]
        ask_issuer = partial(
            Introspector, fetch=send, policy=policy, clock=clock, size=token_cache_size
        )
        self.introspected: tuple[TrustedIssuer, Introspector] | None = None
        for trusted in self.issuers.listed:
            if trusted.introspection is not None:  # at most one has it
                self.introspected = trusted, ask_issuer(trusted.issuer, trusted.introspection)
        self.verified: VerifiedTokens = VerifiedTokens(
            self._verify, self._still_holds, size=token_cache_size
        )

    async def validate(self, presented: Presented) -> AccessToken:
        """Return what a valid token grants.

        Raises InvalidTokenError for every other token, and InvalidProofError for a bad DPoP proof.
        Raises UnavailableError if it is unknown at the moment whether the token is valid.
        """
        verified = await self.verified.verify(presented)
        token, bound_to = verified.access_token, verified.confirmation
        if not presented.proved:  # a live connection has proved it when it was opened
            await check_binding(self.dpop, presented, token, bound_to, self.timing)
        await self.refuse_revoked(token)
        return token

    async def close(self) -> None:
        """End what is under way, and close the connections."""
        await self.issuers.close()
        if self.dpop is not None:
            await self.dpop.close()
        if self.introspected is not None:
            await self.introspected[1].close()

    async def _verify(self, presented: Presented) -> Verified:
        """Check everything except revocation. Raises what `validate` raises."""
        try:
            token = parse(presented.token)
        except ValueError:
            return await self._introspect(presented.token)
        header, claims = token.header, token.claims
        # RFC 9068 §4: the issuer is checked before anything is fetched from it.
        issuer = await self.issuers.find(claims.get("iss"), presented.host)
        check_rules(self.header_rules, header, issuer.types)
        algorithm, name = header.get("alg"), token.key_name
        if not issuer.accepts(algorithm):
            raise InvalidTokenError(Reason.ALGORITHM)
        source = self.issuers.keys_of(issuer, algorithm)
        try:
            keys = await source.find(name, algorithm)
        except KeysUnavailableError:
            # Bad claims make the token invalid, whatever its key is: that is a 401, not a 503.
            self._check_claims(claims, issuer, authentic=False)
            if not can_be_proved(presented, claims.get("cnf", {})):
                raise InvalidTokenError(Reason.BOUND) from None
            raise
        key = signer(keys, token.signature, token.signing_input, algorithm)
        if key is None:
            # The issuer may have replaced the key and kept its kid.
            newer = await source.find_newer(name, algorithm, than=keys)
            key = signer(newer, token.signature, token.signing_input, algorithm)
            if key is None:
                raise InvalidTokenError(Reason.SIGNATURE)
        self.issuers.note_valid_signature(issuer, presented.host)
        expected = self._check_claims(claims, issuer, authentic=True)
        granted = AccessToken.of(presented.token, header, claims, self._scope_includes)
        times = validity(claims, expected)
        return Verified(granted, issuer, key, name, algorithm, *times, claims.get("cnf"))

    async def _introspect(self, text: str) -> Verified:
        """Ask the issuer about a token that is no JWT. Raises what `validate` raises."""
        if self.introspected is None or begins_like_jws(text):
            raise InvalidTokenError(Reason.MALFORMED)
        issuer, introspector = self.introspected
        claims = await introspector.ask(text)
        if claims["iss"] != issuer.issuer:
            raise untrusted(claims["iss"])
        expected = self._check_claims(claims, issuer, authentic=True)
        # RFC 9449 §6.2: a bound token has the type DPoP. Its binding is checked with each request.
        expected = expected._replace(token_type="DPoP" if "cnf" in claims else "Bearer")
        check_rules(issuer.answer_rules, claims, expected, subject=claims.get("sub"))
        introspector.note_valid(text)
        granted = AccessToken.of(text, {}, claims, self._scope_includes)
        times = validity(claims, expected)
        # No key verified it, so it is not cached like a JWT: the introspector caches the answer.
        return Verified(granted, issuer, None, KeyName(), "", *times, claims.get("cnf"))

    def _check_claims(
        self, claims: Mapping[str, Any], issuer: TrustedIssuer, *, authentic: bool
    ) -> Expected:
        """Return what the claims were compared with. Raises InvalidTokenError.

        `authentic` says that the issuer made the claims. Then a refusal may name their subject, and
        how far a time is from this machine's.
        """
        expected, sub = self.expected(issuer), claims.get("sub")
        subject = sub if authentic and isinstance(sub, str) else None
        try:
            check_rules(self.rules_for(issuer), claims, expected, subject=subject)
        except InvalidTokenError as refusal:
            if not authentic:
                raise
            detail = time_difference(refusal.reason, claims, expected.now)
            raise InvalidTokenError(refusal.reason, subject=subject, detail=detail) from None
        return expected

    async def _still_holds(self, verified: Verified, presented: Presented) -> bool:
        """Return False if a cached token has to be checked in full. Raises what `validate` does."""
        if not verified.since <= self.timing.clock.time() < verified.until:
            return False
        issuer = await self.issuers.find(verified.access_token.issuer, presented.host)
        if issuer is not verified.issuer:
            return False
        source = self.issuers.keys_of(issuer, verified.algorithm)
        return verified.key in await source.find(verified.key_name, verified.algorithm)

    async def refuse_revoked(self, token: AccessToken) -> None:
        """Raise InvalidTokenError for a revoked token, UnavailableError if the hook failed."""
        if self._revoked is None:
            return
        try:
            timeout = self.timing.hook_timeout
            revoked = await ask(self._revoked, token, timeout=timeout, returns=(bool,))
        except (HookError, AuthError) as error:  # an AuthError, too: the hook answers True or False
            log_failure(f"{Reason.REVOCATION_UNAVAILABLE}: revoked failed", error, self.timing)
            raise UnavailableError(Reason.REVOCATION_UNAVAILABLE, subject=token.subject) from None
        if revoked:
            raise InvalidTokenError(Reason.REVOKED, subject=token.subject)

    def rules_for(self, issuer: TrustedIssuer) -> tuple[Rule[Expected], ...]:
        """Return the rules for the claims of an issuer's tokens."""
        return issuer.claim_rules + self._claim_rules

    def expected(self, issuer: TrustedIssuer) -> Expected:
        """Return what the claims of an issuer's token are compared with at this moment."""
        now = self.timing.clock.time()
        return Expected(issuer.audience, self.timing.leeway, self._max_age, now)
