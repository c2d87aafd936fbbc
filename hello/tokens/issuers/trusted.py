"""Which issuer is trusted, and what must its tokens be like?

The application says so, and what it says is checked at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeGuard

from hello.tokens.keys.discovery import Fetch, load_signing_keys
from hello.tokens.keys.fetched import FetchedKeys, KeyPolicy
from hello.tokens.keys.key_set import GivenKeys, Keys, load_keys
from hello.tokens.keys.signing_key import ALGORITHMS, HASH_BYTES, SecretKey, SigningKey
from hello.tokens.timing import Clock
from hello.tokens.urls import is_secure_url

KeySource = GivenKeys | FetchedKeys
"""Where the keys of an issuer come from. `find` returns the key for a token's `kid` and `alg`."""


@dataclass(frozen=True, slots=True, eq=False, init=False)
class TrustedIssuer:
    """An issuer, and what its tokens must be like.

    `issuer` must equal the `iss` exactly. Auth0's ends with a slash. `audience` is the API's
    identifier, or several identifiers, and a token must name one. `algorithms` are names of RFC
    7518 §3.1, RFC 8812 or RFC 9864. The default is RS256, or HS256 if there is a secret.

    The keys are fetched from `jwks_uri` or, without it, from the URL in the issuer's metadata. If
    `keys` or `secret` are given, nothing is fetched. A secret is for HS256, HS384 and HS512, and it
    is at least as long as the hash (RFC 7518 §3.2).

    Raises ValueError for options that cannot work, alone or together.
    """

    issuer: str
    audience: frozenset[str]
    algorithms: frozenset[str]
    jwks_uri: str | None
    given_keys: GivenKeys | None = field(repr=False)

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        algorithms: Collection[str] | None = None,
        jwks_uri: str | None = None,
        keys: Keys | Sequence[Keys] | None = None,
        secret: str | bytes | None = None,
    ) -> None:
        sources = {"keys": keys, "secret": secret, "jwks_uri": jwks_uri}
        given = [name for name, value in sources.items() if value is not None]
        if not isinstance(issuer, str) or not issuer:
            raise ValueError(f"issuer is what its tokens have as iss, not {issuer!r}")
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} say where keys come from: give one of them")
        if keys is None and secret is None:
            _check_urls(issuer, jwks_uri)
        accepted = _algorithms(algorithms, secret)
        given_keys = None
        if secret is not None:
            given_keys = GivenKeys([SecretKey(secret, accepted)])
        elif keys is not None:
            given_keys = GivenKeys(_fitting_keys(keys, accepted))
        for name, value in (
            ("issuer", issuer),
            ("audience", _audience(audience)),
            ("algorithms", accepted),
            ("jwks_uri", jwks_uri),
            ("given_keys", given_keys),
        ):
            object.__setattr__(self, name, value)  # frozen: nobody sets them afterwards

    def accepts(self, algorithm: object) -> TypeGuard[str]:
        """Return whether a token may have this `alg` (RFC 8725 §3.1)."""
        return isinstance(algorithm, str) and algorithm in self.algorithms

    def key_source(self, *, fetch: Fetch, policy: KeyPolicy, clock: Clock) -> KeySource:
        """Return the keys that were given, or else a new FetchedKeys."""
        if self.given_keys is not None:
            return self.given_keys
        return FetchedKeys(
            partial(load_signing_keys, self.issuer, self.jwks_uri, fetch), policy, clock
        )


def _check_urls(issuer: str, jwks_uri: str | None) -> None:
    if not is_secure_url(issuer):
        raise ValueError(f"issuer is an https URL (http on loopback only), not {issuer!r}")
    if set(issuer) & {"?", "#"}:
        raise ValueError(f"issuer has no query and no fragment (RFC 8414 §2): {issuer!r}")
    if jwks_uri is not None and not is_secure_url(jwks_uri):
        raise ValueError(f"jwks_uri is an https URL (http on loopback only), not {jwks_uri!r}")


def _algorithms(given: Collection[str] | None, secret: str | bytes | None) -> frozenset[str]:
    if given is None:
        return frozenset({"RS256"} if secret is None else {"HS256"})
    if isinstance(given, str):
        raise ValueError(f"algorithms is a collection of names: write [{given!r}]")  # noqa: TRY004
    if not all(isinstance(name, str) for name in given):
        raise ValueError(f"algorithms are names, not {given!r}")
    algorithms = frozenset(given)
    if secret is None and not algorithms.isdisjoint(HASH_BYTES):
        raise ValueError(
            f"algorithms are {sorted(algorithms)}: HS256, HS384 and HS512 want a secret=, and "
            "cannot be combined with other algorithms"
        )
    known = ALGORITHMS if secret is None else frozenset(HASH_BYTES)
    if not algorithms or not algorithms <= known:
        raise ValueError(f"algorithms are some of {sorted(known)}, not {sorted(algorithms)}")
    return algorithms


def _fitting_keys(given: Keys | Sequence[Keys], algorithms: frozenset[str]) -> list[SigningKey]:
    keys = load_keys(given)
    if not keys:
        raise ValueError(f"keys are {given!r}: give at least one")
    kids = [key.kid for key in keys if key.kid is not None]
    if len(set(kids)) < len(kids):
        raise ValueError(f"keys have a kid twice: {sorted(kids)}")
    for algorithm in sorted(algorithms):
        fitting = [key for key in keys if algorithm in key.algorithms]
        if not fitting:
            raise ValueError(f"no key in keys fits {algorithm}, which algorithms has")
        if len([key for key in fitting if key.kid is None]) > 1:
            raise ValueError(
                f"several keys without a kid fit {algorithm}: give them as JWKs with a kid each"
            )
    return keys


def _audience(given: str | Collection[str]) -> frozenset[str]:
    names = [given] if isinstance(given, str) else given
    if (
        not names
        or not isinstance(names, Collection)
        or not all(isinstance(n, str) and n for n in names)
    ):
        raise ValueError(
            f"audience is the API's identifier, a string, or a collection of them, not {given!r}"
        )
    return frozenset(names)
