"""Whose tokens are good, and which of them?

What an application says about an issuer that it trusts, checked when it says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .keys import ALGORITHMS, HASH_BYTES, KeySet, SecretKey, load_keys
from .urls import is_secure_url

Keys = str | bytes | Mapping[str, Any]
"""A public key or a certificate in PEM; a JWK or a JWK Set, in JSON or parsed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrustedIssuer:
    """An issuer, and what its tokens must be like.

    `issuer` is compared exactly with `iss`: Auth0's ends with a slash. `audience` is the API's
    identifier, or several of which one is enough. `algorithms` are names of RFC 7518 §3.1, RFC 8812
    or RFC 9864: RS256 alone, or HS256 with a secret, where nothing else is said.

    The keys are fetched from where the issuer's metadata says, or from `jwks_uri`. Or they are
    given directly and nothing is ever fetched: `keys`, or `secret` for HS256, HS384 and HS512, at
    least as long as its hash (RFC 7518 §3.2).

    Raises ValueError for options that could not work, or not together.
    """

    issuer: str
    audience: str | Collection[str]
    algorithms: Collection[str] | None = None
    jwks_uri: str | None = None
    keys: Keys | Sequence[Keys] | None = field(default=None, repr=False)
    secret: str | bytes | None = field(default=None, repr=False)
    given_keys: KeySet | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        given = [name for name in ("keys", "secret", "jwks_uri") if getattr(self, name) is not None]
        fetched = "keys" not in given and "secret" not in given
        if not isinstance(self.issuer, str) or not self.issuer:
            raise ValueError(f"issuer is what its tokens have as iss, not {self.issuer!r}")
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} say where keys come from: give one of them")
        if fetched and not is_secure_url(self.issuer):
            raise ValueError(f"issuer is an https URL (http on loopback only), not {self.issuer!r}")
        if fetched and set(self.issuer) & {"?", "#"}:
            raise ValueError(f"issuer has no query and no fragment (RFC 8414 §2): {self.issuer!r}")
        if self.jwks_uri is not None and not is_secure_url(self.jwks_uri):
            raise ValueError(
                f"jwks_uri is an https URL (http on loopback only), not {self.jwks_uri!r}"
            )
        self._set("audience", _names("audience", self.audience))
        algorithms = self._checked_algorithms()
        self._set("algorithms", algorithms)
        if self.secret is not None:
            secret = SecretKey(self._checked_secret(algorithms), algorithms)
            self._set("given_keys", KeySet([secret]))
        elif self.keys is not None:
            self._set("given_keys", _checked_keys(self.keys, algorithms))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # frozen, once it is made

    def _checked_algorithms(self) -> frozenset[str]:
        if self.algorithms is None:
            return frozenset({"RS256"} if self.secret is None else {"HS256"})
        if isinstance(self.algorithms, str):
            raise ValueError(f"algorithms is a collection of names: write [{self.algorithms!r}]")  # noqa: TRY004
        if not all(isinstance(name, str) for name in self.algorithms):
            raise ValueError(f"algorithms are names, not {self.algorithms!r}")
        algorithms = frozenset(self.algorithms)
        if self.secret is None and not algorithms.isdisjoint(HASH_BYTES):
            raise ValueError(
                f"algorithms are {sorted(algorithms)}: HS256, HS384 and HS512 want a secret=, and "
                "no other algorithm beside them"
            )
        known = ALGORITHMS if self.secret is None else frozenset(HASH_BYTES)
        if not algorithms or not algorithms <= known:
            raise ValueError(f"algorithms are some of {sorted(known)}, not {sorted(algorithms)}")
        return algorithms

    def _checked_secret(self, algorithms: frozenset[str]) -> bytes:
        secret = self.secret.encode() if isinstance(self.secret, str) else self.secret
        needed = max(HASH_BYTES[name] for name in algorithms)
        if not isinstance(secret, bytes) or len(secret) < needed:
            raise ValueError(
                f"secret has fewer than the {needed} bytes that {sorted(algorithms)} ask for"
            )
        return secret


def _checked_keys(given: Keys | Sequence[Keys], algorithms: frozenset[str]) -> KeySet:
    several: Sequence[Any] = [given]
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        several = given
    keys = [key for one in several for key in load_keys(one)]
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
    return KeySet(keys)


def _names(option: str, value: str | Collection[str]) -> frozenset[str]:
    given = [value] if isinstance(value, str) else value
    names = frozenset(given) if isinstance(given, Collection) else frozenset()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(
            f"{option} is the API's identifier, a string, or a collection of them, not {value!r}"
        )
    return names
