"""What does a JSON text from a stranger say, if there is only one way to read it?

json.loads guesses encodings, accepts NaN and Infinity, and keeps the last of two members with the
same name. RFC 8725 §3.10 and RFC 8259 §8.1 allow none of this.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, NoReturn

MAX_DEPTH = 64
"""How deep objects and arrays may be nested. Python's own reader fails at about a thousand."""


def load_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError for anything else.

    An object that is nested more than 64 deep is refused too (RFC 8259 §9 allows a limit). So code
    that walks through it cannot exceed Python's recursion limit.
    """
    return _load(data.decode("utf-8"))


def load_document(data: bytes) -> dict[str, Any]:
    """Read a JSON object that an issuer or the application wrote, with any Unicode encoding.

    Raises ValueError as `load_object` does.
    """
    return _load(decoded(data))


def decoded(data: bytes) -> str:
    """Return a text whose first bytes show its encoding, without a byte order mark.

    RFC 8259 §8.1 wants UTF-8 without the mark, and lets readers ignore it. Editors and shells of
    Windows write the mark, and UTF-16 too. Raises ValueError.
    """
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")


def _load(text: str) -> dict[str, Any]:
    text = text.strip(_WHITESPACE)
    try:
        value, end = _DECODER.raw_decode(text)
        brackets = text.count("{") + text.count("[")
        too_deep = brackets > MAX_DEPTH and _is_too_deep(value)
    except RecursionError:
        # It is not a ValueError, and a header has room for enough brackets to cause it.
        too_deep = True
    if too_deep:
        raise ValueError("nested too deeply")
    if end != len(text):
        raise ValueError("something follows the JSON")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _is_too_deep(value: Any) -> bool:
    """Return whether a value is nested too deeply. A large document has very many values."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        # `type` is exact here, and faster than isinstance.
        level = [each for each in level if type(each) in (dict, list)]
        if not level:
            return False
        level = [part for each in level for part in (each.values() if type(each) is dict else each)]
    return True


class ReadOnly(Mapping[str, Any]):
    """A JSON object that nobody can change: reading a member returns a copy.

    Verified tokens are cached. If a handler changes a list of permissions, the next request with
    the same token must not see that.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __getitem__(self, name: str) -> Any:
        return deepcopy(self._members[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(self._members)

    def __sizeof__(self) -> int:
        """Return how many bytes all the members take: a few characters can be many objects."""
        total, waiting = sys.getsizeof(self._members), [self._members]
        while waiting:
            value: Any = waiting.pop()
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            total += sum(map(sys.getsizeof, parts))
            waiting += [part for part in parts if type(part) in (dict, list)]
        return total


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name stands twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_WHITESPACE = " \t\n\r"  # RFC 8259 §2
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
