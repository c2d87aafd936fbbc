"""What does the sandbox remember of its logins, and for how long?"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .people import Person

_T = TypeVar("_T")
_MOST = 10_000  # entries of a kind: it is a sandbox, and need not remember more


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's login. `auth_time`: seconds since the epoch."""

    id: str
    person: Person
    auth_time: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What a person allowed a client. `audience` is None where the client named no API."""

    client_id: str
    person: Person
    scopes: frozenset[str]
    audience: str | None
    nonce: str | None
    session: Session


@dataclass(slots=True)
class Family:
    """The refresh tokens that follow from one login (RFC 9700 §4.14.2): only the last is good."""

    grant: Grant
    current: str | None = None
    revoked: bool = False


@dataclass(slots=True)
class Code:
    """An authorization code's terms (RFC 6749 §4.1.2, RFC 7636 §4.4). It works once."""

    family: Family
    redirect_uri: str
    code_challenge: str
    used: bool = False


class Memory(Generic[_T]):
    """Things by a name that nobody can guess, for a number of seconds."""

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._entries: dict[str, tuple[_T, float]] = {}

    def keep(self, value: _T, name: str | None = None) -> str:
        """Remember a value, and return its name."""
        name = name or secrets.token_urlsafe(32)
        if len(self._entries) >= _MOST:
            del self._entries[next(iter(self._entries))]
        self._entries[name] = value, self._clock() + self._lifetime
        return name

    def get(self, name: str | None) -> _T | None:
        """Return what goes by a name, or None where there is nothing any more."""
        value, until = self._entries.get(name or "", (None, 0.0))
        return value if self._clock() < until else None

    def forget(self, name: str | None) -> _T | None:
        """Return what goes by a name, for the last time."""
        value = self.get(name)
        self._entries.pop(name or "", None)
        return value
