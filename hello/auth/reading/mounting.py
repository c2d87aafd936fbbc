"""Which applications are around an application, so that their marks count for its routes?

aiohttp tells an application what it contains, and not where it is added. So this file remembers the
applications that matter for others: those with `setup`, and the marked ones.
"""

from collections.abc import Iterator
from weakref import WeakSet

from aiohttp import web

Apps = tuple[web.Application, ...]
"""Applications in one another, the outermost first."""

_PROTECTING: WeakSet[web.Application] = WeakSet()


def note_protecting(app: web.Application) -> None:
    """Remember that an application has `setup` or a mark."""
    _PROTECTING.add(app)


def places_of(app: web.Application) -> list[Apps]:
    """Return an application with the ones around it, for each place where it is added.

    Outer applications without `setup` and without a mark are left out. Places that differ in their
    domain only are one. Raises TypeError if it is no Application.
    """
    if not isinstance(app, web.Application):
        raise TypeError(f"app is a web.Application, and not a {type(app).__name__}")
    ways: dict[Apps, None] = {(app,): None}
    for outer in [*_PROTECTING]:
        ways |= dict.fromkeys(_ways(outer, app))
    # A way that is the end of another one begins at an application that is not the outermost.
    return [way for way in ways if not any(_ends(other, way) for other in ways)]


def _ways(outer: web.Application, app: web.Application) -> Iterator[Apps]:
    """Yield the applications between two of them, both included."""
    for resource in outer.router.resources():
        child = resource.get_info().get("app")
        if child is app:
            yield outer, app
        elif child is not None:
            yield from ((outer, *way) for way in _ways(child, app))


def _ends(way: Apps, other: Apps) -> bool:
    return len(way) > len(other) and way[-len(other) :] == other
