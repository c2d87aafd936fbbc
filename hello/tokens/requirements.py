"""What else must a token grant, besides being valid, and does it grant that?"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

from .access_token import AccessToken
from .errors import InsufficientAuthenticationError, InsufficientScopeError, Reason
from .hooks import HookError, ask, takes_request
from .jwt.claim_rules import names_in
from .jwt.rules import ABSENT
from .timing import DEFAULT_TIMING, Timing, is_numeric_date

Check = (
    Callable[[AccessToken], bool | Awaitable[bool]]
    | Callable[[AccessToken, Any], bool | Awaitable[bool]]
)
"""A function of the application, sync or async. Only if it returns True, the token is accepted.

It is called with the token alone, or with the token and the request: with both if it has a second
parameter that has no default or is called `request`.
"""

Names = AbstractSet[str] | list[str] | tuple[str, ...]
"""A collection of names. A string is not accepted: it would be a collection of characters."""

_logger = logging.getLogger("hello.auth")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope-token (RFC 6749 §3.3). A challenge can contain each of its characters."""

_SIMILAR = {
    "scope": "scopes",
    "any_scopes": "any_scope",
    "scopes_any": "any_scope",
    "permission": "permissions",
    "claim": "claims",
    "checks": "check",
    "acr": "acr_values",
    "auth_age": "max_auth_age",
}
_OPTIONS_OF_ISSUERS = ("audience", "issuer", "algorithms")
_OPTIONS_OF_VALIDATORS = ("max_age", "required_claims", "strict", "leeway", "revoked")
_COLLECTIONS = (set, frozenset, list, tuple)


class RequirementOptions(TypedDict, total=False):
    """What can be required of a token. It must meet every option that is given."""

    scopes: Names  # it has all of these in `scope` or `scp`
    any_scope: Names | None  # it has at least one of these; a refusal suggests the first
    permissions: Names  # it has all of these in `permissions`
    claims: Mapping[str, Any]  # each claim equals its value, or has every item of a collection
    check: Check | None  # called with the AccessToken, or with it and the request; returns True
    acr_values: Names | None  # its `acr` is one of these (RFC 9470 §4)
    max_auth_age: int | None  # its `auth_time` is at most so many seconds ago (RFC 9470 §4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a token must meet: the options of RequirementOptions. They are all optional.

    Raises TypeError for options that make no sense. The message says what to write.
    """

    scopes: Names = ()
    any_scope: Names | None = None
    permissions: Names = ()
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False)
    check: Check | None = None
    acr_values: Names | None = None
    max_auth_age: int | None = None
    _claims_shown: tuple[str, ...] = field(init=False, repr=False)  # as text, True differs from 1
    check_takes_request: bool = field(init=False, repr=False, compare=False)

    def __new__(cls, **options: Any) -> Self:
        """Raise TypeError for an unknown option. The message says what to write."""
        # Python itself would suggest a name that looks alike: scopes in place of roles.
        for name, value in options.items():
            if name not in RequirementOptions.__annotations__:
                raise TypeError(f"{name} is no option here: {_instead_of(name, value)}")
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for option in ("scopes", "any_scope", "permissions", "acr_values"):
            _check_names(option, getattr(self, option))
        if not isinstance(self.claims, Mapping):
            raise TypeError(
                f'claims is a mapping: write claims={{"name": "value"}}, not {self.claims!r}'
            )
        if self.check is not None and not callable(self.check):
            raise TypeError(f"check is called with the AccessToken, so it is not {self.check!r}")
        age = self.max_auth_age
        if age is not None and (type(age) is not int or age < 0):
            raise TypeError(f"max_auth_age is a whole number of seconds, not {age!r}")
        claims = sorted(self.claims.items())
        for name, value in (
            ("scopes", frozenset(self.scopes)),
            ("any_scope", tuple(self.any_scope or ())),
            ("permissions", frozenset(self.permissions)),
            ("claims", dict(self.claims)),
            ("acr_values", tuple(self.acr_values or ())),
            ("_claims_shown", tuple(f"{name}={_shown(value)}" for name, value in claims)),
            ("check_takes_request", self.check is not None and takes_request(self.check)),
        ):
            object.__setattr__(self, name, value)  # frozen: nobody sets them afterwards

    def __str__(self) -> str:
        parts = [
            *(f"scope {name}" for name in sorted(self.scopes)),
            *([f"scope {' or '.join(self.any_scope)}"] if self.any_scope else []),
            *(f"permission {name}" for name in sorted(self.permissions)),
            *(f"claim {shown}" for shown in self._claims_shown),
            *([f"login by {' or '.join(self.acr_values)}"] if self.acr_values else []),
            *([f"login within {self.max_auth_age} s"] if self.max_auth_age is not None else []),
            *([f"check {self.check_name}"] if self.check else []),
        ]
        return ", ".join(parts) or "a valid token"

    @property
    def check_name(self) -> str:
        """The name of the check's function."""
        return str(getattr(self.check, "__name__", self.check))


def _instead_of(name: str, value: object) -> str:
    """Return what to write in place of an option that does not exist."""
    if name in _SIMILAR:
        return f"write {_SIMILAR[name]}={value!r}"
    if name in _OPTIONS_OF_ISSUERS:
        return "it is an option of TokenValidator and of TrustedIssuer, for all routes"
    if name in _OPTIONS_OF_VALIDATORS:
        return "it is an option of TokenValidator, for all routes"
    return (
        f"the options are {', '.join(RequirementOptions.__annotations__)}. To require a claim of "
        f"that name, write claims={{{name!r}: {value!r}}}"
    )


def _shown(expected: Any) -> str:
    """Return a value as it is written in Python. The items of a set are sorted."""
    if isinstance(expected, set | frozenset):
        return f"{{{', '.join(sorted(map(repr, expected)))}}}"
    return repr(expected)


def _check_names(option: str, value: object) -> None:
    if value is None and option in ("any_scope", "acr_values"):
        return
    if isinstance(value, str):
        raise TypeError(f"{option} is a collection: write {option}={{{value!r}}}")
    if not isinstance(value, _COLLECTIONS):
        # An iterator is refused too: it would be empty when it is read for the second time.
        raise TypeError(f"{option} is a set, a list or a tuple of strings, not {value!r}")
    if not all(isinstance(name, str) and name for name in value):
        raise TypeError(f"{option} are strings, not {value!r}")
    if not value and option in ("any_scope", "acr_values"):
        raise TypeError(f"{option} is empty, so no token could meet it: leave {option} out")
    for name in () if option == "permissions" else value:
        if not SCOPE_TOKEN.fullmatch(name):
            raise TypeError(f"{option} has {name!r}: write each name as a string of its own")


async def check_requirements(
    requirements: Sequence[Requirement],
    token: AccessToken,
    timing: Timing = DEFAULT_TIMING,
    *,
    request: object = None,
) -> None:
    """Refuse a valid token that does not meet all the requirements.

    `request` is that of your framework, for checks that take it. Without it, they refuse.

    Raises InsufficientScopeError (RFC 6750 §3.1), InsufficientAuthenticationError if a stronger or
    a more recent login is required (RFC 9470 §3), or the AuthError that a check raises. If a check
    fails, the HookError is the cause of the InsufficientScopeError.
    """
    subject = token.subject
    for each in requirements:
        unmet = each.any_scope and token.scopes.isdisjoint(each.any_scope)
        if unmet or not token.scopes.issuperset(each.scopes):
            scope = _sufficient_scopes(requirements, token)
            raise InsufficientScopeError(Reason.SCOPE, scope=scope, subject=subject)
    if not all(token.permissions.issuperset(each.permissions) for each in requirements):
        raise InsufficientScopeError(Reason.PERMISSIONS, subject=subject)
    for each in requirements:
        for name, expected in each.claims.items():
            if not meets(name, token.claims.get(name, ABSENT), expected):
                raise InsufficientScopeError(Reason.CLAIM, subject=subject)
    if not all(_authenticated(each, token, timing) for each in requirements):
        ages = (each.max_auth_age for each in requirements if each.max_auth_age is not None)
        raise InsufficientAuthenticationError(
            acr_values=_acr_values(requirements), max_age=min(ages, default=None), subject=subject
        )
    for each in requirements:
        await _ask_check(each, token, request, timing.hook_timeout)


def _sufficient_scopes(requirements: Iterable[Requirement], token: AccessToken) -> set[str]:
    """Return scopes that meet all the requirements together, if possible the token's own."""
    scopes = {name for each in requirements for name in each.scopes}
    for any_scope in [tuple(each.any_scope) for each in requirements if each.any_scope]:
        scopes.add(next((name for name in any_scope if name in token.scopes), any_scope[0]))
    return scopes


def _acr_values(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """Return the values that every requirement accepts, or else those of the nearest one."""
    given = [tuple(each.acr_values) for each in requirements if each.acr_values]
    first, *others = given or [()]
    common = tuple(name for name in first if all(name in values for values in others))
    return common or first


def _authenticated(requirement: Requirement, token: AccessToken, timing: Timing) -> bool:
    if requirement.acr_values and token.claims.get("acr") not in requirement.acr_values:
        return False
    if requirement.max_auth_age is None:
        return True
    auth_time: Any = token.claims.get("auth_time")
    if not is_numeric_date(auth_time):
        return False
    now = timing.clock.time()
    # A time in the future, perhaps in milliseconds, would count as recent for ever.
    oldest, newest = now - requirement.max_auth_age, now + timing.leeway
    return bool(oldest <= auth_time <= newest)


def meets(name: str, claim: Any, expected: Any) -> bool:
    """Return whether a claim has a value, or every item of a collection."""
    if not isinstance(expected, _COLLECTIONS):
        return _equals(claim, expected)
    if isinstance(claim, str):
        # Only these two claims have several names in one string. Spaces elsewhere separate nothing.
        claim = names_in(claim) if name in ("scope", "scp") else [claim]
    return isinstance(claim, list | frozenset) and all(
        any(_equals(item, wanted) for item in claim) for wanted in expected
    )


def _equals(value: Any, expected: Any) -> bool:
    if isinstance(expected, tuple):
        expected = list(expected)  # JSON has only lists
    return type(value) is type(expected) and value == expected  # True equals 1 in Python


async def _ask_check(
    requirement: Requirement,
    token: AccessToken,
    request: object,
    timeout: float,  # noqa: ASYNC109
) -> None:
    """Raise InsufficientScopeError unless a check, if there is one, lets the token pass."""
    check: Any = requirement.check
    if check is None:
        return
    try:
        if requirement.check_takes_request and request is None:
            raise HookError("check_requirements was called without the request that it takes")
        arguments = (token, request) if requirement.check_takes_request else (token,)
        passes = await ask(check, *arguments, timeout=timeout, returns=(bool,))
    except HookError as failure:
        _logger.exception("%s: a check failed, so the request is refused", Reason.CHECK)
        raise InsufficientScopeError(Reason.CHECK, subject=token.subject) from failure
    if not passes:
        raise InsufficientScopeError(Reason.CHECK, subject=token.subject)


VALID_TOKEN = Requirement()
"""A requirement that every valid token meets."""
