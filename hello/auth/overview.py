"""Which routes of an application are open, and what do the others ask for?"""

from typing import NamedTuple

from aiohttp import web

from .marks import TOKEN_VALIDATOR, MountedRoute, is_preflight, mounted_routes

UNGUARDED = "open: auth.setup was not called"
"""The access of every route of an application that nothing protects."""

PREFLIGHT = "preflight"
"""The access of what aiohttp-cors answers browsers with, which send no token with that."""


class RouteAccess(NamedTuple):
    """A route and what it takes to be answered by it.

    `access` is "public", "optional", PREFLIGHT, UNGUARDED, or what is asked of a token, in words;
    after "optional: " it is asked of one that is sent.
    """

    method: str
    path: str
    access: str


def routes(app: web.Application) -> list[RouteAccess]:
    """Return every route of an application and of its sub-applications, by path and method."""
    listed = [RouteAccess(each.method, each.path, _access(each)) for each in mounted_routes(app)]
    return sorted(listed, key=lambda route: (route.path, route.method))


def _access(mounted: MountedRoute) -> str:
    if not any(TOKEN_VALIDATOR in app for app in mounted.apps):
        return UNGUARDED
    if is_preflight(mounted.route.handler, mounted.method):
        return PREFLIGHT
    opened, requirements = mounted.asked
    words = ", ".join(map(str, requirements))
    if opened is None:
        return words or "a valid token"
    return f"{opened.value}: {words}" if words else opened.value
