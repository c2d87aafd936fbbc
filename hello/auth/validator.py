"""Is this access token good, and what does it grant?

The path of a token: taken apart, its header checked, its issuer known, a key found, its signature
verified, its claims checked. Whatever fails is a refusal; nothing falls through.
"""

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from . import claims, jws
from .errors import InvalidTokenError, KeysUnavailableError, Reason
from .issuer import Fetch, is_secure_url, load_signing_keys
from .jwks import Clock, SigningKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token.

    `header` and `claims` are the token's own, not to be changed; `scopes` and `permissions` are
    empty where it has none; `expires_at` is seconds since the epoch. Its repr is fit for
    a log: it leaves out what could be used again or is personal.
    """

    token: str = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    subject: str | None
    scopes: frozenset[str]
    permissions: frozenset[str]
    expires_at: float


class TokenValidator:
    """Validates the access tokens (JWTs) that one issuer signs for one audience.

    `issuer` is compared exactly with `iss` and with the issuer's own metadata: Auth0's ends with a
    slash. `algorithms` are names of RFC 7518 §3.1 and RFC 9864. Times are in seconds: `leeway` for
    clocks that differ, `max_age` since a token's `iat`, `jwks_max_age` for keys in use,
    `jwks_max_stale` for keys during an outage, `jwks_cooldown` between fetches that unknown keys
    force, `jwks_timeout` for one fetch. `strict` asks for RFC 9068's `typ` and claims. `fetch` and
    `clock` are for tests and other frameworks.

    To be used in one event loop at a time. Raises ValueError for options that could not work.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithms: Collection[str] = ("RS256",),
        leeway: float = 5,
        max_age: float | None = None,
        strict: bool = False,
        jwks_max_age: float = 600,
        jwks_max_stale: float = 3600,
        jwks_cooldown: float = 10,
        jwks_timeout: float = 5,
        fetch: Fetch | None = None,
        clock: Clock = time,
    ) -> None:
        if not is_secure_url(issuer):
            raise ValueError(f"issuer is an https URL (http on loopback only), not {issuer!r}")
        if not isinstance(audience, str) or not audience:
            raise ValueError(f"audience is the API's identifier, a string, not {audience!r}")
        if isinstance(algorithms, str):
            raise ValueError(f"algorithms is a collection of names: write [{algorithms!r}]")  # noqa: TRY004
        if not algorithms or not jws.ALGORITHMS.issuperset(algorithms):
            raise ValueError(f"algorithms are some of {sorted(jws.ALGORITHMS)}, not {algorithms!r}")
        if leeway != 0:
            _check_seconds("leeway", leeway)
        if max_age is not None:
            _check_seconds("max_age", max_age)
        _check_seconds("jwks_max_age", jwks_max_age)
        _check_seconds("jwks_max_stale", jwks_max_stale)
        _check_seconds("jwks_cooldown", jwks_cooldown)
        _check_seconds("jwks_timeout", jwks_timeout)
        if jwks_max_stale < jwks_max_age:
            raise ValueError("jwks_max_stale is at least jwks_max_age: both count from one fetch")
        if fetch is None:
            from . import fetch as with_aiohttp  # noqa: PLC0415 - for who brings no other

            fetch = with_aiohttp.fetch
        self.issuer = issuer
        self._algorithms = frozenset(algorithms)
        self._strict = strict
        self._expected = claims.Expected(
            audience=audience, leeway=leeway, max_age=max_age, strict=strict
        )
        self.clock = clock
        self._keys = SigningKeys(
            partial(load_signing_keys, issuer, fetch),
            max_age=jwks_max_age,
            max_stale=jwks_max_stale,
            cooldown=jwks_cooldown,
            timeout=jwks_timeout,
            clock=clock,
        )

    async def validate(self, token: str) -> AccessToken:
        """Return what a valid token grants.

        Raises InvalidTokenError for any other, and KeysUnavailableError where the issuer's keys
        are needed and cannot be had.
        """
        parsed = jws.parse(token)
        jws.check_header(parsed.header, self._algorithms, strict=self._strict)
        if parsed.claims.get("iss") != self.issuer:
            raise InvalidTokenError(Reason.ISSUER)  # before any request goes out (RFC 9068 §4)

        algorithm = parsed.header["alg"]
        try:
            key = await self._keys.find(parsed.header.get("kid"), algorithm)
        except KeysUnavailableError:
            self._check(parsed.claims)  # what is bad without a key is bad, whoever is down
            raise
        if not key.verifies(parsed.signature, parsed.signing_input, algorithm):
            raise InvalidTokenError(Reason.SIGNATURE)

        subject = parsed.claims.get("sub")
        try:
            self._check(parsed.claims)
        except InvalidTokenError as refusal:
            refusal.subject = subject if isinstance(subject, str) else None
            raise
        return AccessToken(
            token=token,
            header=MappingProxyType(parsed.header),
            claims=MappingProxyType(parsed.claims),
            subject=subject,
            # `scp`: how Okta and Entra ID write it.
            scopes=claims.names(parsed.claims.get("scope", ""))
            | claims.names(parsed.claims.get("scp", "")),
            permissions=claims.names(parsed.claims.get("permissions", ())),
            expires_at=parsed.claims["exp"],
        )

    async def close(self) -> None:
        """End a fetch that is under way."""
        await self._keys.close()

    def _check(self, token_claims: Mapping[str, Any]) -> None:
        claims.check(token_claims, self._expected, self.clock.time())


def _check_seconds(name: str, seconds: float) -> None:
    # Without this a NaN would switch its rule off: no comparison with it is ever true.
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} is a number of seconds above zero, not {seconds!r}")
