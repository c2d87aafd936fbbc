"""What does a route demand of a request, and which routes are there?

Marks are read from the handler outwards: its function, or the method and the class of its View; its
table of routes; its application and those around that. The nearest mark decides whether a token is
needed. If so, all requirements add up: no mark takes away what a group around it requires. The mark
of a path is read just before that of its application.
"""

import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from hello.tokens.requirements.requirement import VALID_TOKEN

from .marks import (
    APPLICATION_MARK,
    GROUP_MARK,
    MARK,
    TOKEN_VALIDATOR,
    Mark,
    Policy,
    TokenUse,
    check_setup,
)
from .reading.mounting import Apps, places_of

# The modules in which aiohttp-cors defines its handlers for preflights, which carry no token
# (Fetch §3.2.2). Only the module tells such a handler from one that an application wrote for
# OPTIONS, and the latter must stay closed.
_PREFLIGHT_MODULES = frozenset({"aiohttp_cors.preflight_handler", "aiohttp_cors.mixin"})

# The module of aiohttp-swagger3 that calls a handler: partial(_handle_swagger_call, route).
_SWAGGER3 = "aiohttp_swagger3.swagger"

PATH_MARKS = web.AppKey("PATH_MARKS", dict[object, Mark])
"""The key for the marks that `open_paths` gave to routes, and `protect_paths` to resources."""

UNGUARDED = "open: auth.setup was not called"
"""The access of a route without a mark, if no application around it has `setup`."""

BROKEN = "answers 500: auth.setup was not called"
"""The access of such a route if a mark asks for a token: nobody can read one."""

PREFLIGHT = "preflight"
"""The access of routes that aiohttp-cors added. They answer preflights, which carry no token."""


class RouteAccess(NamedTuple):
    """A route, and who may call it.

    `path` begins with the host if the route is in an application of `add_domain`. `access` is
    "public", "optional", PREFLIGHT, UNGUARDED or BROKEN, or it lists what is required of a token.
    If it begins with "optional: ", the list applies only if a token is sent.
    """

    method: str
    path: str
    access: str


class MountedRoute(NamedTuple):
    """A route for one method, the applications around it, the outermost first, and its policy.

    `prefix` is that of the innermost application, and `domain` the host that `add_domain` gave it;
    both are empty for the application that was asked about.
    """

    method: str
    path: str
    route: web.AbstractRoute
    apps: Apps
    policy: Policy
    prefix: str
    domain: str

    @property
    def guarded(self) -> bool:
        """Whether `setup` was called for one of the applications."""
        return any(TOKEN_VALIDATOR in app for app in self.apps)

    @property
    def preflight(self) -> bool:
        """Whether aiohttp-cors added the route, to answer preflights."""
        return _is_preflight(self.route.handler, self.method)

    @property
    def access(self) -> str:
        """Who may call the route, as in RouteAccess."""
        if self.preflight:
            return PREFLIGHT
        use, requirements, marks, also_from = self.policy
        if not self.guarded:
            asking = any(mark.use is not TokenUse.PUBLIC for mark in marks)
            if asking or any(check_setup in app.middlewares for app in self.apps):
                return BROKEN
            return use.name.lower() if marks else UNGUARDED
        words = ", ".join(map(str, requirements))
        if use is TokenUse.REQUIRED:
            places = f", also from {' or '.join(sorted(also_from))}" if also_from else ""
            return (words or str(VALID_TOKEN)) + places
        name = use.name.lower()
        return f"{name}: {words}" if words else name


def routes(app: web.Application) -> list[RouteAccess]:
    """Return every route of an application and of its sub-applications, by path and method.

    What is said of an application that is added to another one counts the marks of that, too.
    """
    listed = [RouteAccess(each.method, each.path, each.access) for each in mounted_routes(app)]
    return sorted(listed, key=lambda route: (route.path, route.method))


def mounted_routes(app: web.Application) -> Iterator[MountedRoute]:
    """Yield every route of an application and its sub-applications, once for each method.

    If the application is added to several others, it is yielded for each of them.
    """
    for apps in places_of(app):
        yield from routes_within(apps)


def routes_within(apps: Apps, prefix: str = "", domain: str = "") -> Iterator[MountedRoute]:
    """Yield those of the last of several applications, which are in one another."""
    for resource in apps[-1].router.resources():
        child = resource.get_info().get("app")
        if child is not None:
            prefix_there = resource.get_info().get("prefix", "")
            yield from routes_within((*apps, child), prefix_there, domain_of(resource) or domain)
            continue
        path = domain + resource.canonical
        for route in resource:
            for method in _methods(route):
                policy = policy_of(route, method, apps)
                yield MountedRoute(method, path, route, apps, policy, prefix, domain)


def domain_of(mount: web.AbstractResource) -> str:
    """Return for which domain a sub-application is there, perhaps with `*`; or an empty text."""
    rule = mount.get_info().get("rule")
    return "" if rule is None else rule.get_info().get("domain") or rule.canonical


def policy_of(route: web.AbstractRoute, method: str, apps: Sequence[web.Application]) -> Policy:
    """Return what a route demands of a request. `apps` are around it, the outermost first."""
    marks: list[Mark] = []
    around = (mark for app in reversed(apps) for mark in _application_marks(route, app))
    for mark in (*_handler_marks(route.handler, method), *around):
        if mark is not None and not any(mark is other for other in marks):
            marks.append(mark)
    use = marks[0].use if marks else TokenUse.REQUIRED
    # One decorator may mark several of these targets. Its requirement counts once.
    requirements = {id(mark.requirement): mark.requirement for mark in marks}
    requirements.pop(id(VALID_TOKEN), None)
    also_from = marks[0].also_from if marks else frozenset()
    return Policy(
        use, () if use is TokenUse.PUBLIC else tuple(requirements.values()), tuple(marks), also_from
    )


def _application_marks(route: web.AbstractRoute, app: web.Application) -> Iterator[Mark | None]:
    """Yield the mark that an application has for a route's path, then its own."""
    if PATH_MARKS in app:
        marks = app[PATH_MARKS]
        yield marks.get(route)
        yield marks.get(route.resource)
    # An application with `setup` is closed, even if an application around it is open.
    closed = Mark(TokenUse.REQUIRED) if TOKEN_VALIDATOR in app else None
    yield app.get(APPLICATION_MARK) or closed


def _handler_marks(handler: object, method: str) -> Iterator[Mark]:
    """Yield the marks of a handler and of what it wraps, then those of its tables."""
    if _is_preflight(handler, method):
        yield Mark(TokenUse.PUBLIC)
    links = list(wrapped(handler))
    for view in filter(inspect.isclass, links):
        yield from _view_marks(view, method)
    # An outer mark that opens does not hide an inner one that requires a token.
    yield from sorted(_marks(links, MARK), key=lambda mark: mark.use is not TokenUse.REQUIRED)
    yield from _marks(links, GROUP_MARK)


def _view_marks(view: type, method: str) -> Iterator[Mark]:
    """Yield the marks of a View's method, then those of the View.

    A class is opened by its own mark only, and `also_from` is that of its own mark only.
    Requirements are inherited: a subclass cannot require less, and a method that overrides another
    cannot either.
    """
    classes = [each for each in view.__mro__ if GROUP_MARK not in vars(each)]
    name = method.lower()
    of_methods = [(each, vars(each).get(name)) for each in classes]
    for owner, marked in (*of_methods, *((each, each) for each in classes)):
        for mark in _marks(wrapped(marked), MARK):
            if owner is classes[0]:
                yield mark
            elif mark.use is TokenUse.REQUIRED:
                yield mark._replace(also_from=frozenset()) if mark.also_from else mark


def wrapped(handler: Any) -> Iterator[Any]:
    """Yield a handler and everything that it wraps, with functools or for aiohttp-swagger3."""
    while handler is not None:
        yield handler
        if not isinstance(handler, functools.partial | functools.partialmethod):
            handler = getattr(handler, "__wrapped__", None)
        elif getattr(handler.func, "__module__", None) == _SWAGGER3:
            handler = handler.args[0].handler
        else:
            handler = handler.func


def _marks(links: Iterable[Any], name: str) -> Iterator[Mark]:
    for link in links:
        # The object's own attribute: an object that inherits or imitates a mark stays closed.
        mark = getattr(link, "__dict__", {}).get(name)
        if isinstance(mark, Mark):
            yield mark


def _is_preflight(handler: object, method: str) -> bool:
    """Return whether a handler is one of aiohttp-cors for preflights."""
    if isinstance(handler, type):
        handler = getattr(handler, method.lower(), None)
    return getattr(handler, "__module__", None) in _PREFLIGHT_MODULES


def _methods(route: web.AbstractRoute) -> list[str]:
    view = next(filter(inspect.isclass, wrapped(route.handler)), None)
    if route.method == hdrs.METH_ANY and view is not None:
        return [name for name in hdrs.METH_ALL if hasattr(view, name.lower())]
    return [route.method]
