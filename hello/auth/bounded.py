"""What is remembered, at most so much of it, and the least recently used goes first?"""

from collections import OrderedDict
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")
_D = TypeVar("_D")


class Bounded(Generic[_K, _V]):
    """A map of at most `most` entries."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[_K, _V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _K, default: _D) -> _V | _D:
        """Return an entry, which is the most recently used from now on, or the default."""
        found = self._entries.get(key, default)
        if found is not default:
            self._entries.move_to_end(key)
        return found

    def put(self, key: _K, value: _V) -> None:
        """Keep an entry, and if there are too many then, forget the least recently used."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, key: _K) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)
