"""Which routes of an application are open, and what do the others ask for?"""

from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import hdrs, web

from .protection import TOKEN_VALIDATOR, asked_by
from .requirements import Requirement

UNGUARDED = "open: auth.setup was not called"
"""The access of every route of an application that nothing protects."""


class RouteAccess(NamedTuple):
    """A route and what it takes to be answered by it.

    `access` is "public", "optional", UNGUARDED, or what is asked of a token, in words.
    """

    method: str
    path: str
    access: str


def routes(app: web.Application) -> list[RouteAccess]:
    """Return every route of an application and of its sub-applications, by path and method."""
    return sorted(_routes(app, guarded=False), key=lambda route: (route.path, route.method))


def _routes(app: web.Application, *, guarded: bool) -> Iterator[RouteAccess]:
    guarded = guarded or TOKEN_VALIDATOR in app
    for resource in app.router.resources():
        child = resource.get_info().get("app")
        if child is not None:
            yield from _routes(child, guarded=guarded)
            continue
        for route in resource:
            for method in _methods(route):
                access = _access(route.handler, method) if guarded else UNGUARDED
                yield RouteAccess(method, resource.canonical, access)


def _methods(route: web.AbstractRoute) -> list[str]:
    if route.method == hdrs.METH_ANY and isinstance(route.handler, type):
        return [name for name in hdrs.METH_ALL if hasattr(route.handler, name.lower())]
    return [route.method]


def _access(handler: object, method: str) -> str:
    asked = asked_by(handler, method)
    if not isinstance(asked, tuple):
        return asked.value
    more = [str(requirement) for requirement in asked if requirement != Requirement()]
    return ", ".join(more) or str(Requirement())
