"""What does a handler ask of a token beyond being valid, and does this one have it?"""

import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .access_token import AccessToken
from .claims import ABSENT, is_numeric_date, names
from .errors import AuthError, InsufficientAuthenticationError, InsufficientScopeError, Reason
from .hooks import HookError, ask
from .validator import TokenValidator

Check = Callable[[AccessToken], bool | Awaitable[bool]]
"""A rule of one's own: True, and nothing else, lets the token's bearer through."""

_logger = logging.getLogger("hello.auth")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope-token of RFC 6749 §3.3: what a challenge can hold, too."""

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
            *(f"claim {name}={_shown(expected)}" for name, expected in self.claims.items()),
            *([f"login by {' or '.join(self.acr_values)}"] if self.acr_values else []),
            *([f"login within {self.max_auth_age} s"] if self.max_auth_age is not None else []),
            *([f"check {self.check_name}"] if self.check else []),
        ]
        return ", ".join(parts) or "a valid token"

    @property
    def check_name(self) -> str:
        """What the check is called in its source."""
        return str(getattr(self.check, "__name__", self.check))


def _shown(expected: Any) -> str:
    """Return a claim's value as it is in the source; a set in one order, and not in any."""
    if isinstance(expected, set | frozenset):
        return f"{{{', '.join(sorted(map(repr, expected)))}}}"
    return repr(expected)


ANY = Requirement()
"""Any valid token will do."""


def requirement(
    *,
    scopes: Collection[str],
    any_scope: Collection[str] | None,
    permissions: Collection[str],
    claims: Mapping[str, Any],
    check: Check | None,
    acr_values: Collection[str] | None,
    max_auth_age: int | None,
) -> Requirement:
    """Return a requirement. Raises TypeError, saying what to write, for one that makes no sense."""
    for option, value in (
        ("scopes", scopes),
        ("any_scope", any_scope),
        ("permissions", permissions),
        ("acr_values", acr_values),
    ):
        if value is not None:
            _check_names(option, value)
    if not isinstance(claims, Mapping):
        raise TypeError(f'claims is a mapping: write claims={{"name": "value"}}, not {claims!r}')
    if check is not None and not callable(check):
        raise TypeError(f"check is called with the AccessToken, and {check!r} cannot be called")
    if max_auth_age is not None and (type(max_auth_age) is not int or max_auth_age < 0):
        raise TypeError(f"max_auth_age is a whole number of seconds, not {max_auth_age!r}")
    asked = Requirement(
        scopes=frozenset(scopes),
        any_scope=tuple(any_scope or ()),
        permissions=frozenset(permissions),
        claims=dict(claims),
        check=check,
        acr_values=tuple(acr_values or ()),
        max_auth_age=max_auth_age,
    )
    return ANY if asked == ANY else asked


def _check_names(option: str, value: object) -> None:
    if isinstance(value, str):
        raise TypeError(f"{option} is a collection: write {option}={{{value!r}}}")
    if not isinstance(value, Collection):
        # An iterator too: it would be empty by the time that somebody asks for what is in it.
        raise TypeError(f"{option} is a set, a list or a tuple of strings, not {value!r}")
    if not all(isinstance(name, str) and name for name in value):
        raise TypeError(f"{option} are strings, not {value!r}")
    if not value and option in ("any_scope", "acr_values"):
        raise TypeError(f"{option} is empty, and nobody has one of none: leave {option} out")
    for name in () if option == "permissions" else value:
        if not SCOPE_TOKEN.fullmatch(name):
            raise TypeError(f"{option} has {name!r}: write each name as a string of its own")


async def refuse_unless_met(
    asked: Sequence[Requirement], token: AccessToken, validator: TokenValidator
) -> None:
    """Refuse a valid token that lacks any of what is asked, and say all that would do.

    `validator`: whose clock, leeway and patience with hooks count. Raises
    InsufficientAuthenticationError where another login would help (RFC 9470),
    InsufficientScopeError where none would (RFC 6750 §3.1), or what a check refuses with.
    """
    try:
        await _refuse_unless_met(asked, token, validator)
    except AuthError as refusal:
        refusal.subject = token.subject
        raise


async def _refuse_unless_met(
    asked: Sequence[Requirement], token: AccessToken, validator: TokenValidator
) -> None:
    now, leeway = validator.clock.time(), validator.leeway
    if not all(_has_scopes(each, token) for each in asked):
        raise InsufficientScopeError(Reason.SCOPE, scope=_would_do(asked, token))
    if not all(each.permissions <= token.permissions for each in asked):
        raise InsufficientScopeError(Reason.PERMISSIONS)
    for each in asked:
        for name, expected in each.claims.items():
            if not _meets(name, token.claims.get(name, ABSENT), expected):
                raise InsufficientScopeError(Reason.CLAIM)
    if not all(_authenticated(each, token, now, leeway) for each in asked):
        raise InsufficientAuthenticationError(
            acr_values=_acr_values(asked),
            max_age=min(
                (e.max_auth_age for e in asked if e.max_auth_age is not None), default=None
            ),
        )
    for each in asked:
        if each.check is not None and not await _passes(each.check, token, validator.hook_timeout):
            raise InsufficientScopeError(Reason.CHECK)


def _has_scopes(asked: Requirement, token: AccessToken) -> bool:
    return asked.scopes <= token.scopes and not (
        asked.any_scope and token.scopes.isdisjoint(asked.any_scope)
    )


def _would_do(asked: Sequence[Requirement], token: AccessToken) -> set[str]:
    """Return scopes with which all of it would be met (RFC 6750 §3)."""
    scopes = {name for each in asked for name in each.scopes}
    for each in asked:
        had = [name for name in each.any_scope if name in token.scopes]
        scopes.update((had or list(each.any_scope))[:1])
    return scopes


def _acr_values(asked: Sequence[Requirement]) -> tuple[str, ...]:
    """Return what every requirement takes; where they have nothing in common, the nearest's."""
    first, *others = [each.acr_values for each in asked if each.acr_values] or [()]
    common = tuple(name for name in first if all(name in names for names in others))
    return common or first


def _authenticated(asked: Requirement, token: AccessToken, now: float, leeway: float) -> bool:
    if asked.acr_values and token.claims.get("acr") not in asked.acr_values:
        return False
    if asked.max_auth_age is None:
        return True
    auth_time: Any = token.claims.get("auth_time")
    # One from the future, perhaps in milliseconds, would be recent enough for ever.
    return is_numeric_date(auth_time) and now - asked.max_auth_age <= auth_time <= now + leeway


def _meets(name: str, claim: Any, expected: Any) -> bool:
    if not isinstance(expected, _COLLECTIONS):
        return _equals(claim, expected)
    if isinstance(claim, str):
        # Only these are several names in one string; what a person writes has spaces, too.
        claim = names(claim) if name in ("scope", "scp") else [claim]
    return isinstance(claim, list | frozenset) and all(
        any(_equals(item, wanted) for item in claim) for wanted in expected
    )


def _equals(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        expected = list(expected)  # JSON has no other
    return type(value) is type(expected) and value == expected  # True is no 1 here


async def _passes(check: Check, token: AccessToken, timeout: float) -> bool:  # noqa: ASYNC109
    try:
        answer = await ask(check, token, timeout=timeout)
    except HookError:
        _logger.exception("a check failed, so it refuses")
        return False
    if not isinstance(answer, bool):
        kind = type(answer).__name__
        _logger.error("a check returned %s, neither True nor False, so it refuses", kind)
    return answer is True
