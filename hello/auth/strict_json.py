"""What does JSON from a stranger say, if there is only one way to read it?

json.loads guesses encodings, takes NaN and Infinity, and of two members of one name keeps the
last; RFC 8725 §3.10 and RFC 8259 §8.1 leave no room for any of it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

MOST_LEVELS = 64
"""How deep objects and arrays may lie in each other: Python's own readers give up at a thousand."""


def load_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError for anything else, whatever is wrong with it.

    And for one of more than 64 levels (RFC 8259 §9), so that whoever walks it needs no care.
    """
    text = data.decode("utf-8").strip(_WHITESPACE)
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        # No ValueError by itself, and a thousand brackets fit in a header.
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("something follows the JSON")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all bad input
    if text.count("{") + text.count("[") > MOST_LEVELS and _is_too_deep(value):
        raise ValueError("nested too deeply")
    return value


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


class ReadOnly(Mapping[str, Any]):
    """A JSON object that nobody can change: what is nested in it is handed out as a copy.

    A verified token is remembered, and what one request's handler does with a list of permissions
    must not be there for the next one.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        return _copy(self._members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(self._members)


def _copy(value: Any) -> Any:
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, dict):
        return {name: _copy(member) for name, member in value.items()}
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name stands twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_WHITESPACE = " \t\n\r"  # RFC 8259 §2
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
