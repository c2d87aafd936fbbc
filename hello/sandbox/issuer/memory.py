"""What does the issuer store about logins and access tokens, and for how long?"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .people import Person

_T = TypeVar("_T")
_MAX_ENTRIES = 10_000  # of one store: a sandbox needs no more


@dataclass(frozen=True, slots=True)
class Session:
    """The login of a person in a browser. `auth_time` is in seconds since the epoch."""

    id: str
    person: Person
    auth_time: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person allowed a client to do. `audience` is None if the client named no API.

    `organization` is the one that the person logged in to, or None.
    """

    client_id: str
    person: Person
    scopes: frozenset[str]
    audience: str | None
    organization: str | None
    nonce: str | None
    session: Session


@dataclass(slots=True)
class TokenFamily:
    """All tokens of one login: `revoked` ends them together (RFC 6749 §4.1.2, RFC 9700 §4.14.2).

    Of its refresh tokens only `current`, the latest, is valid. It is good for who got it: if
    `authenticated`, for a client that authenticates; or else for one that proves to have `key`,
    unless this is None (RFC 9449 §5).
    """

    grant: Grant
    current: str | None = None
    authenticated: bool = False
    key: str | None = None
    revoked: bool = False


@dataclass(slots=True)
class AuthorizationCode:
    """What a code was issued for (RFC 6749 §4.1.2, RFC 7636 §4.4). It can be used once.

    It is good for a client that proves to have `key`, unless this is None (RFC 9449 §10).
    """

    family: TokenFamily
    redirect_uri: str
    code_challenge: str
    key: str | None
    used: bool = False


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token that the issuer gave.

    `answer` is what introspection says about it while it is valid (RFC 7662 §2.2). `family` has the
    tokens of the same login; it is None if nobody logged in for this token.
    """

    answer: Mapping[str, Any]
    family: TokenFamily | None

    @property
    def revoked(self) -> bool:
        """Whether the login that gave the token was revoked."""
        return self.family is not None and self.family.revoked


class ExpiringStore(Generic[_T]):
    """Stores values under keys that nobody can guess.

    Each is kept for `lifetime` seconds, unless `add` says until when.
    """

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._entries: dict[str, tuple[_T, float]] = {}

    def add(self, value: _T, key: str | None = None, *, until: float | None = None) -> str:
        """Store a value, and return its key: the one that is given, or a random one.

        `until` is in seconds since the epoch.
        """
        key = key or secrets.token_urlsafe(32)
        if len(self._entries) >= _MAX_ENTRIES:
            oldest = next(iter(self._entries))
            del self._entries[oldest]
        self._entries[key] = value, self._clock() + self._lifetime if until is None else until
        return key

    def get(self, key: str | None) -> _T | None:
        """Return the value of a key, or None if it is unknown or has expired."""
        value, expires_at = self._entries.get(key or "", (None, 0.0))
        return value if self._clock() < expires_at else None

    def pop(self, key: str | None) -> _T | None:
        """Return the value of a key as `get` does, and remove it."""
        value = self.get(key)
        self._entries.pop(key or "", None)
        return value
