"""What does a handler ask of a token beyond being valid, and does this one have it?"""

import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .claims import is_numeric_date, names
from .errors import AuthError, InsufficientAuthenticationError, InsufficientScopeError, Reason
from .validator import AccessToken

Check = Callable[[AccessToken], bool | Awaitable[bool]]
"""A rule of one's own: True, and nothing else, lets the token's bearer through."""

_logger = logging.getLogger("hello.auth")
# A scope-token of RFC 6749 §3.3: what a challenge can hold, too.
_NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_COLLECTIONS = (set, frozenset, list, tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What is asked. All that is set must be met; nothing set means that any valid token will do.

    `scopes` and `permissions`: all of them. `any_scope`: at least one, the first being the one
    that a refusal suggests. `claims`: by name, what a claim equals or, for a collection, what it
    includes. `check`: a rule of one's own. `acr_values`: how the person logged in, one of these;
    `max_auth_age`: how long ago at most, in seconds.
    """

    scopes: frozenset[str] = frozenset()
    any_scope: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    check: Check | None = None
    acr_values: tuple[str, ...] = ()
    max_auth_age: int | None = None

    def __str__(self) -> str:
        parts = [
            *(f"scope {name}" for name in sorted(self.scopes)),
            *([f"scope {' or '.join(self.any_scope)}"] if self.any_scope else []),
            *(f"permission {name}" for name in sorted(self.permissions)),
            *(f"claim {name}={expected!r}" for name, expected in self.claims.items()),
            *([f"login by {' or '.join(self.acr_values)}"] if self.acr_values else []),
            *([f"login within {self.max_auth_age} s"] if self.max_auth_age is not None else []),
            *([f"check {getattr(self.check, '__name__', self.check)}"] if self.check else []),
        ]
        return ", ".join(parts) or "a valid token"


def requirement(
    *,
    scopes: Collection[str],
    any_scope: Collection[str],
    permissions: Collection[str],
    claims: Mapping[str, Any],
    check: Check | None,
    acr_values: Collection[str],
    max_auth_age: int | None,
) -> Requirement:
    """Return a requirement. Raises TypeError, saying what to write, for one that makes no sense."""
    for option, value in (
        ("scopes", scopes),
        ("any_scope", any_scope),
        ("permissions", permissions),
        ("acr_values", acr_values),
    ):
        if isinstance(value, str):
            raise TypeError(f"{option} is a collection: write {option}={{{value!r}}}")
        if not all(isinstance(name, str) and name for name in value):
            raise TypeError(f"{option} are strings, not {value!r}")
        for name in () if option == "permissions" else value:
            if not _NAME.fullmatch(name):
                raise TypeError(f"{option} has {name!r}: write each name as a string of its own")
    if not isinstance(claims, Mapping):
        raise TypeError(f'claims is a mapping: write claims={{"name": "value"}}, not {claims!r}')
    if check is not None and not callable(check):
        raise TypeError(f"check is called with the AccessToken, and {check!r} cannot be called")
    if max_auth_age is not None and (type(max_auth_age) is not int or max_auth_age < 0):
        raise TypeError(f"max_auth_age is a whole number of seconds, not {max_auth_age!r}")
    return Requirement(
        scopes=frozenset(scopes),
        any_scope=tuple(any_scope),
        permissions=frozenset(permissions),
        claims=dict(claims),
        check=check,
        acr_values=tuple(acr_values),
        max_auth_age=max_auth_age,
    )


async def refuse_unless_met(asked: Requirement, token: AccessToken, now: float) -> None:
    """Refuse a token that lacks what is asked. `now`: seconds since the epoch.

    Raises InsufficientAuthenticationError where another login would help (RFC 9470), and
    InsufficientScopeError where none would (RFC 6750 §3.1).
    """
    missing = asked.scopes - token.scopes
    unmet = asked.any_scope and token.scopes.isdisjoint(asked.any_scope)
    if missing or unmet:
        raise InsufficientScopeError(Reason.SCOPE, scope={*asked.scopes, *asked.any_scope[:1]})
    if not asked.permissions <= token.permissions:
        raise InsufficientScopeError(Reason.PERMISSIONS)
    for name, expected in asked.claims.items():
        if not _agrees(token.claims.get(name), expected):
            raise InsufficientScopeError(Reason.CLAIM)
    if not _authenticated(asked, token, now):
        raise InsufficientAuthenticationError(
            acr_values=asked.acr_values, max_age=asked.max_auth_age
        )
    if asked.check is not None and not await _passes(asked.check, token):
        raise InsufficientScopeError(Reason.CHECK)


def _authenticated(asked: Requirement, token: AccessToken, now: float) -> bool:
    if asked.acr_values and token.claims.get("acr") not in asked.acr_values:
        return False
    if asked.max_auth_age is None:
        return True
    auth_time: Any = token.claims.get("auth_time")
    return is_numeric_date(auth_time) and now - auth_time <= asked.max_auth_age


def _agrees(claim: Any, expected: Any) -> bool:
    if not isinstance(expected, _COLLECTIONS):
        return type(claim) is type(expected) and claim == expected  # True is no 1 here
    if isinstance(claim, str):
        return names(claim).issuperset(expected)
    return isinstance(claim, list) and all(
        any(_agrees(item, wanted) for item in claim) for wanted in expected
    )


async def _passes(check: Check, token: AccessToken) -> bool:
    try:
        result = check(token)
        if inspect.isawaitable(result):
            result = await result
    except AuthError:
        raise  # a refusal of its own
    except Exception:
        _logger.exception("a check raised, so it refuses")
        return False
    return result is True
