"""What can a route require of a token, besides that it is valid?"""

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

from hello.tokens.access_token import AccessToken
from hello.tokens.challenges import in_order, is_scope
from hello.tokens.hooks import takes_request

Check = (
    Callable[[AccessToken], bool | Awaitable[bool]]
    | Callable[[AccessToken, Any], bool | Awaitable[bool]]
)
"""A function of the application, sync or async. Only if it returns True, the token is accepted.

With one parameter it gets the token, and with two it gets the token and the request. A second
parameter with a default is left alone, unless its name is `request`.
"""

AskCheck = Callable[[Callable[..., Any], AccessToken, Any], Any]
"""A function that calls a check with the token and the request, and returns its answer."""

Names = AbstractSet[str] | list[str] | tuple[str, ...]
"""A collection of names. A string is not accepted: it would be a collection of characters."""

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
COLLECTIONS = (set, frozenset, list, tuple)
"""What is a collection of values, and not one value."""


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
    scopes_in_order: tuple[str, ...] = field(init=False, repr=False, compare=False)
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
            ("scopes_in_order", in_order(self.scopes)),
            ("scopes", frozenset(self.scopes)),
            ("any_scope", in_order(self.any_scope or ())),
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
    if not isinstance(value, COLLECTIONS):
        # An iterator is refused too: it would be empty when it is read for the second time.
        raise TypeError(f"{option} is a set, a list or a tuple of strings, not {value!r}")
    if not all(isinstance(name, str) and name for name in value):
        raise TypeError(f"{option} are strings, not {value!r}")
    if not value and option in ("any_scope", "acr_values"):
        raise TypeError(f"{option} is empty, so no token could meet it: leave {option} out")
    for name in () if option == "permissions" else value:
        if not is_scope(name):
            raise TypeError(f"{option} has {name!r}: write each name as a string of its own")


VALID_TOKEN = Requirement()
"""A requirement that every valid token meets."""
