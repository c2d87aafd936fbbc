"""What is marked, with what, and what do the marks on a request's way add up to?

From the handler outwards: its function, or its View's method and class; the table that its route
stands in; the application, and those around it. The nearest mark decides whether a token is asked
for. Where one is, everything that is asked for on the way adds up: no mark takes a requirement of
an outer one away, so who guards a group can rely on it.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar, cast, overload
from weakref import WeakKeyDictionary

from aiohttp import hdrs, web
from aiohttp.abc import AbstractView

from .requirements import ANY, Requirement
from .validator import TokenValidator

_T = TypeVar("_T")

TOKEN_VALIDATOR = web.AppKey("TOKEN_VALIDATOR", TokenValidator)
"""Where an application keeps its validator."""


class Open(Enum):
    """How a handler that asks for nothing else treats a token."""

    PUBLIC = "public"  # nobody looks
    OPTIONAL = "optional"  # who sends one is known by it


Mark = Requirement | Open


class Asked(NamedTuple):
    """What a request is asked for.

    `opened`: how a request without a token is let in, or None where it is not. `requirements`: what
    a token has to meet, where one is looked at; none where any valid one will do.
    """

    opened: Open | None
    requirements: tuple[Requirement, ...] = ()


_MARK = "__auth_requirement__"
_OF_APPLICATION = web.AppKey[Mark]("AUTH_REQUIREMENT")
_of_route: WeakKeyDictionary[web.AbstractRoute, Mark] = WeakKeyDictionary()
# Where aiohttp-cors defines its handlers for OPTIONS: a preflight never carries a token.
_PREFLIGHT_MODULES = frozenset({"aiohttp_cors.preflight_handler", "aiohttp_cors.mixin"})


def set_mark(target: _T, mark: Mark) -> _T:
    """Mark a handler, a View class, a RouteTableDef that is empty yet, or an Application.

    Returns what is marked. Raises TypeError for anything else, and for what is marked otherwise.
    """
    if isinstance(target, web.RouteTableDef):
        _mark_table(target, mark)
    elif isinstance(target, web.Application):
        _refuse_another(target.get(_OF_APPLICATION), mark, "this application")
        target[_OF_APPLICATION] = mark
    else:
        if inspect.ismethod(target):
            # A function of its own: the one behind it belongs to every instance of the class.
            target = cast("_T", _function_of(target))
        view = inspect.isclass(target) and issubclass(target, AbstractView)
        if not (view or inspect.isfunction(target)):
            raise TypeError(
                f"{target!r} is no handler: mark a function, a method, a View class, a "
                "RouteTableDef or an Application"
            )
        _refuse_another(_marked(target), mark, getattr(target, "__qualname__", ""))
        setattr(target, _MARK, mark)
    return target


def application_mark(app: web.Application) -> Mark | None:
    """Return what a whole application is marked with."""
    return app.get(_OF_APPLICATION)


def asked_for(route: web.AbstractRoute, method: str, apps: Sequence[web.Application]) -> Asked:
    """Return what a request is asked for; `apps` are the route's, from the outermost inwards."""
    own = _asked_by_handler(route.handler, method)
    opened, requirements = (None, []) if own is None else (own.opened, list(own.requirements))
    settled = own is not None
    for mark in (_of_route.get(route), *map(_closed_by_setup, reversed(apps))):
        if isinstance(mark, Requirement):
            requirements.append(mark)
        elif mark is not None and not settled:
            opened = mark
        settled = settled or mark is not None
    if opened is Open.PUBLIC:
        return Asked(opened)
    return Asked(opened, tuple(each for each in requirements if each is not ANY))


def is_preflight(handler: object, method: str) -> bool:
    """Say whether a handler is aiohttp-cors's, for what a browser asks without a token first."""
    if isinstance(handler, type):
        handler = getattr(handler, method.lower(), None)
    return getattr(handler, "__module__", None) in _PREFLIGHT_MODULES


def _closed_by_setup(app: web.Application) -> Mark | None:
    # Who calls setup for an application closes it, whatever stands open around it.
    return application_mark(app) or (ANY if TOKEN_VALIDATOR in app else None)


def _asked_by_handler(handler: object, method: str) -> Asked | None:
    """Return what a handler asks for by itself; None where it says nothing."""
    if is_preflight(handler, method):
        return Asked(Open.PUBLIC)
    if isinstance(handler, type):
        return _asked_by_view(handler, method)
    mark = _marked(handler)
    if isinstance(mark, Requirement):
        return Asked(None, (mark,))
    return None if mark is None else Asked(mark)


def _asked_by_view(view: type, method: str) -> Asked | None:
    """Return what a View asks for: its own mark alone can open it, and all else adds up.

    So neither a subclass nor an overridden method asks less than what it stems from.
    """
    name = method.lower()
    of_methods = [_marked(vars(base).get(name)) for base in view.__mro__]
    of_classes = [_marked(base) for base in view.__mro__]
    narrow = [mark for mark in of_methods if isinstance(mark, Requirement)]
    wide = [mark for mark in of_classes if isinstance(mark, Requirement)]
    opened = None
    if isinstance(of_methods[0], Open):
        opened = of_methods[0]
    elif isinstance(of_classes[0], Open) and not narrow:
        opened = of_classes[0]
    says_nothing = opened is None and not narrow and not wide
    return None if says_nothing else Asked(opened, (*narrow, *wide))


def _marked(handler: Any) -> Mark | None:
    # The object's own, so that what merely resembles a marked handler stays closed.
    mark = getattr(handler, "__dict__", {}).get(_MARK)
    return mark if isinstance(mark, Requirement | Open) else None


def _function_of(method: Any) -> Callable[..., Any]:
    if not inspect.iscoroutinefunction(method):
        raise TypeError(f"{method!r} is no handler: a method to be marked is a coroutine function")

    @functools.wraps(method)
    async def function(*arguments: Any, **named: Any) -> Any:
        return await method(*arguments, **named)

    return function


def _refuse_another(there: Mark | None, mark: Mark, name: str) -> None:
    if there not in (None, mark):
        raise TypeError(
            f"{name} is marked twice, and not alike: write one @protected(...) with all that is "
            "asked for, or @public, or @optional"
        )


class _MarkedTable(web.RouteTableDef):
    """A table that hands its mark to each route that is made of it."""

    mark: Mark

    def __iter__(self) -> Iterator[web.AbstractRouteDef]:
        return (_MarkedRouteDef(item, self.mark) for item in super().__iter__())

    @overload
    def __getitem__(self, index: int) -> web.AbstractRouteDef: ...

    @overload
    def __getitem__(self, index: slice) -> list[web.AbstractRouteDef]: ...

    def __getitem__(self, index: int | slice) -> web.AbstractRouteDef | list[web.AbstractRouteDef]:
        return list(self)[index]


class _MarkedRouteDef(web.AbstractRouteDef):
    def __init__(self, item: web.AbstractRouteDef, mark: Mark) -> None:
        self._item = item
        self._mark = mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        routes = self._item.register(router)
        item = self._item
        heads: list[web.AbstractRoute] = []
        if (
            isinstance(item, web.RouteDef)
            and item.method == hdrs.METH_GET
            and item.kwargs.get("allow_head", True)
        ):
            # The HEAD that comes with a GET is not among those that aiohttp returns. A resource
            # has one HEAD at most, so it is this one, and not another table's.
            heads = [r for r in routes[0].resource or () if r.method == hdrs.METH_HEAD]
        for route in (*routes, *heads):
            _of_route[route] = self._mark
        return routes


def _mark_table(table: web.RouteTableDef, mark: Mark) -> None:
    if isinstance(table, _MarkedTable):
        _refuse_another(table.mark, mark, "this table of routes")
        return
    if type(table) is not web.RouteTableDef:
        raise TypeError(f"mark a plain web.RouteTableDef, not {type(table).__qualname__}")
    if len(table):
        # It may have been added to an application already, and then a mark would come too late.
        raise TypeError("mark the table where it is made: @protected(...)(web.RouteTableDef())")
    # In place, so that it does not matter whether anybody keeps what the decorator returns.
    table.__class__ = _MarkedTable
    table.mark = mark  # type: ignore[attr-defined]


class MountedRoute(NamedTuple):
    """A route of an application, for one method, and the applications on the way to it."""

    method: str
    path: str
    route: web.AbstractRoute
    apps: tuple[web.Application, ...]

    @property
    def asked(self) -> Asked:
        """What a request for it is asked for."""
        return asked_for(self.route, self.method, self.apps)


def mounted_routes(
    app: web.Application, around: tuple[web.Application, ...] = ()
) -> Iterator[MountedRoute]:
    """Yield every route of an application and its sub-applications, once for each method."""
    apps = (*around, app)
    for resource in app.router.resources():
        child = resource.get_info().get("app")
        if child is not None:
            yield from mounted_routes(child, apps)
            continue
        for route in resource:
            for method in _methods(route):
                yield MountedRoute(method, resource.canonical, route, apps)


def _methods(route: web.AbstractRoute) -> list[str]:
    if route.method == hdrs.METH_ANY and isinstance(route.handler, type):
        return [name for name in hdrs.METH_ALL if hasattr(route.handler, name.lower())]
    return [route.method]
