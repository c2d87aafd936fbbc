"""What does JSON from a stranger say, if there is only one way to read it?

json.loads guesses encodings, takes NaN and Infinity, and of two members of one name keeps the
last; RFC 8725 §3.10 and RFC 8259 §8.1 leave no room for any of it.
"""

import json
from typing import Any, NoReturn


def load_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ValueError for anything else, whatever is wrong with it."""
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        # No ValueError by itself, and a thousand brackets fit in a header.
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all bad input
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name stands twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
