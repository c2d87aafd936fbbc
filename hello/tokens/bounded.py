"""How do a cache and the log stay small, and is an option a size, a flag or a list of names?"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

_AT_ONCE = 5  # lines of a kind
_MAX_KINDS = 100  # that are told apart


class Bounded(Generic[_K, _V]):
    """A map whose entries weigh at most `size` together. New ones replace the least recently used.

    `weigh` returns the weight of a value; without it each weighs one.
    """

    def __init__(self, size: int, weigh: Callable[[_V], int] = lambda _: 1) -> None:
        self._size = size
        self._weigh = weigh
        self.weight: int = 0  # of all entries together
        self._entries: OrderedDict[_K, tuple[_V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _K) -> _V | None:
        """Return an entry, or None. The entry becomes the most recently used one."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: _K, value: _V) -> None:
        """Add an entry, and remove the least recently used ones if that is too much."""
        self.forget(key)
        weight = self._weigh(value)
        if weight > self._size:
            return  # it would push out all others, and then itself
        self._entries[key] = value, weight
        self.weight += weight
        while self.weight > self._size:
            self.weight -= self._entries.popitem(last=False)[1][1]

    def forget(self, key: _K) -> None:
        """Remove an entry, if it is there."""
        self.weight -= self._entries.pop(key, (None, 0))[1]


class Allowance:
    """Says what gets a line in the log: a few of each kind at once, and one more for each second.

    `monotonic` returns seconds that never decrease.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left: dict[str, tuple[float, float]] = {}  # lines, and at what time, by kind

    def take(self, kind: str) -> bool:
        """Return whether there is a line left for a kind, which is then used."""
        if kind not in self._left and len(self._left) >= _MAX_KINDS:
            kind = "other"
        now = self._monotonic()
        lines, at = self._left.get(kind, (_AT_ONCE, now))
        lines = min(_AT_ONCE, lines + now - at)
        is_left = lines >= 1
        self._left[kind] = lines - is_left, now
        return is_left


def check_flag(name: str, value: object) -> None:
    """Raise ValueError unless an option is True or False. A text such as "false" would be true."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is True or False, not {value!r}")


def check_names(name: str, value: object) -> None:
    """Raise ValueError unless an option is a list, a set or a tuple of strings."""
    if isinstance(value, str):
        raise ValueError(f"{name} is a collection: write [{value!r}]")
    if not isinstance(value, Collection) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is a list or a set of strings, not {value!r}")


def check_size(name: str, number: object, *, least: int) -> None:
    """Raise ValueError unless an option is a whole number that is not below the least one."""
    if type(number) is not int or number < least:
        raise ValueError(f"{name} is a whole number from {least} up, not {number!r}")
