"""When is a live connection looked at?

One timer of the event loop is for all connections together, however many there are.
"""

import asyncio
from contextvars import Context
from typing import Protocol
from weakref import WeakKeyDictionary

_LOOK_SECONDS = 0.5


class Watched(Protocol):
    """What can be looked at."""

    def look(self) -> None:
        """Find out whether it is time for something. It has to be quick."""


class Watch:
    """Looks at all connections of an event loop twice a second, as long as there are any."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, each: Watched) -> None:
        """Begin to look at a connection."""
        self._watched.add(each)
        if self._timer is None:
            self._look_later()

    def remove(self, each: Watched) -> None:
        """Look at a connection no more."""
        self._watched.discard(each)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._look_later()
        for each in tuple(self._watched):
            each.look()

    def _look_later(self) -> None:
        # In a context of its own, because that of a request would be kept with it.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look, context=Context())


_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


def watch() -> Watch:
    """Return the watch of the running event loop."""
    return _WATCHES.setdefault(asyncio.get_running_loop(), Watch())
