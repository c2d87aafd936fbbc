"""What is an operator told, by the id of the advice?"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

_FILES = ("advice.toml", "origins.toml")
_SENTENCES: Mapping[str, Any] = {
    name: said
    for file in _FILES
    for name, said in tomllib.loads(Path(__file__).with_name(file).read_text("utf-8")).items()
}


class Advice(NamedTuple):
    """What to do. The `id` is stable. The `text` is for a person, and its words may change."""

    id: str
    text: str


def sentence(name: str, **values: str) -> Advice:
    """Return the advice with an id, with values in place of the names in its braces."""
    found: Any = _SENTENCES
    for key in name.split("."):
        found = found[key]
    return Advice(name, found.strip().format(**values))
