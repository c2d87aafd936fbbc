"""What is a rule for a header or for claims, and which rule does a token break first?"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from hello.tokens.errors import InvalidTokenError, Reason

_C = TypeVar("_C")

ABSENT: Any = object()
"""The value of a member that is absent. A member that is null is present."""


class Rule(NamedTuple, Generic[_C]):
    """What one header parameter or one claim must be like.

    `check` is called with the value and what it is compared with, and returns the reason to refuse
    the value, or None. `wants` says what is accepted. `optional` members may be absent.
    """

    name: str
    check: Callable[[Any, _C], Reason | None]
    wants: str
    optional: bool = True

    def broken_by(self, members: Mapping[str, Any], expected: _C) -> Reason | None:
        """Return the reason to refuse these members, or None."""
        value = members.get(self.name, ABSENT)
        return None if value is ABSENT and self.optional else self.check(value, expected)


def check_rules(
    rules: Iterable[Rule[_C]], members: Mapping[str, Any], expected: _C, subject: str | None = None
) -> None:
    """Raise InvalidTokenError with the reason of the first rule that these members break."""
    for rule in rules:
        reason = rule.broken_by(members, expected)
        if reason is not None:
            raise InvalidTokenError(reason, subject=subject)
