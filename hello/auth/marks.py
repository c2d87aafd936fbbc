"""How are handlers and groups marked, and how is a lost mark noticed?

A mark says what a handler demands. The middleware of `auth.setup` reads it and checks the request.
A decorator, a copied route or a forgotten `setup` can hide a mark from the middleware. So when a
marked handler is called, it makes sure that the middleware has read its mark.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar, cast

from aiohttp import web
from aiohttp.abc import AbstractView

from hello.tokens import Requirement, Validator
from hello.tokens.requirements.requirement import VALID_TOKEN

from .reading.awaiting import TokenPlace, awaiting
from .reading.mounting import note_protecting

_T = TypeVar("_T")

TOKEN_VALIDATOR = web.AppKey[Validator]("TOKEN_VALIDATOR")
"""The key for the validator of a protected application."""

MARK, GROUP_MARK = "__auth_mark__", "__auth_group_mark__"
"""The attributes for the mark of a handler, and for the mark of its table."""


class TokenUse(IntEnum):
    """Whether a handler needs a token. A greater value lets fewer requests in."""

    PUBLIC = 0  # a token is not read
    OPTIONAL = 1  # a request without a token is anonymous
    REQUIRED = 2  # a request without a token is refused


class Mark(NamedTuple):
    """What a handler or a group demands. There is a requirement only if a token is required."""

    use: TokenUse
    requirement: Requirement = VALID_TOKEN
    also_from: frozenset[TokenPlace] = frozenset()


APPLICATION_MARK = web.AppKey("AUTH_MARK", Mark)
"""The key for the mark of an application."""


class Policy(NamedTuple):
    """What the marks of a handler and of the groups around it demand together.

    If a token is read, it must be valid and meet all `requirements`. `marks` are all marks that
    were read, the one nearest to the handler first. `also_from` is that of the nearest one.
    """

    use: TokenUse
    requirements: tuple[Requirement, ...]
    marks: tuple[Mark, ...]
    also_from: frozenset[TokenPlace] = frozenset()

    def covers(self, mark: Mark) -> bool:
        """Return whether a request that this policy let in also satisfies a mark."""
        required = mark.requirement is VALID_TOKEN or mark.requirement in self.requirements
        return (self.use >= mark.use and required) or any(read is mark for read in self.marks)


POLICY = web.RequestKey("POLICY", Policy)
"""The key for the policy that the middleware applied to a request."""


class RouteTable(web.RouteTableDef):
    """A web.RouteTableDef that can be marked: `@auth.protected(...)(auth.RouteTable())`.

    The mark applies to every route of the table, even if the routes are added one by one.
    """

    mark: Mark | None = None

    def route(self, method: str, path: str, **kwargs: Any) -> Callable[[Any], Any]:
        """Add a handler, as web.RouteTableDef does."""
        add = super().route(method, path, **kwargs)

        def inner(handler: Any) -> Any:
            add(handler if self.mark is None else _in_group(handler, self.mark))
            return handler

        return inner

    def static(self, prefix: str, path: Any, **kwargs: Any) -> None:
        """Add a folder of files, as web.RouteTableDef does."""
        super().static(prefix, path, **kwargs)
        if self.mark is not None:
            self._items[-1] = _MarkedFiles(self._items[-1], self.mark)


class _MarkedFiles(web.AbstractRouteDef):
    """Files of a marked table. aiohttp makes their handler when it makes their routes."""

    def __init__(self, files: web.AbstractRouteDef, mark: Mark) -> None:
        self._files = files
        self._mark = mark

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        routes = self._files.register(router)
        for route in routes:
            route._handler = _in_group(route.handler, self._mark)  # noqa: SLF001
        return routes


def set_mark(target: _T, mark: Mark) -> _T:
    """Mark a function, a method, a View class, a RouteTable without routes, or an Application.

    Returns what to use in place of the target. Raises TypeError for any other target, and for a
    target that has a different mark already.
    """
    if mark.also_from and isinstance(target, web.RouteTableDef | web.Application):
        raise TypeError("also_from is for a single handler: mark the handlers of WebSockets")
    if isinstance(target, web.RouteTableDef):
        _mark_table(target, mark)
    elif isinstance(target, web.Application):
        _mark_application(target, mark)
    elif inspect.isclass(target) and issubclass(target, AbstractView):
        check_unmarked(vars(target).get(MARK), mark, target.__qualname__)
        setattr(target, MARK, mark)
        _guard_view(target, mark)
    elif inspect.ismethod(target):
        # Its function is not marked, because all instances of the class share it.
        check_unmarked(vars(target.__func__).get(MARK), mark, target.__qualname__)
        return cast("_T", _guarded(target, mark, MARK))
    elif inspect.isfunction(target):
        check_unmarked(vars(target).get(MARK), mark, target.__qualname__)
        setattr(target, MARK, mark)
        # A public handler needs no guard: if its mark is lost, a token is required.
        return target if mark.use is TokenUse.PUBLIC else cast("_T", _guarded(target, mark, MARK))
    else:
        raise TypeError(
            f"{target!r} is no handler: mark a function, a method, a View class, an "
            "auth.RouteTable or an Application"
        )
    return target


def _guarded(handler: Callable[..., Any], mark: Mark, attribute: str) -> Callable[..., Any]:
    """Return a marked handler that fails unless the middleware has read its mark."""
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def guard(*arguments: Any, **named: Any) -> Any:
            _check_read(mark, (*arguments, *named.values()))
            return await handler(*arguments, **named)

    else:

        @functools.wraps(handler)
        def guard(*arguments: Any, **named: Any) -> Any:
            _check_read(mark, (*arguments, *named.values()))
            return handler(*arguments, **named)

    setattr(guard, attribute, mark)
    return guard


def _guard_view(view: type[AbstractView], mark: Mark) -> None:
    run = view.__await__

    @functools.wraps(run)
    def guard(self: AbstractView) -> Any:
        _check_read(mark, (self,))
        return run(self)

    view.__await__ = guard  # type: ignore[method-assign]


@web.middleware
async def check_setup(request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
    """Fail in a marked application without `setup`, because nothing else reads its mark."""
    found = request.match_info.http_exception is None  # otherwise it is aiohttp's own 404 or 405
    if found and not any(TOKEN_VALIDATOR in app for app in request.match_info.apps):
        raise RuntimeError(_NO_SETUP)
    return cast("web.StreamResponse", await handler(request))


_NO_SETUP = "a marked handler was called, but auth.setup was not called for its application"


_NO_REQUEST = (
    "a marked handler was called without its request, and not by the task whose request auth.setup "
    "let in: put the mark above the decorator that calls it so"
)

# The policy that was applied to the request of a task. A library may call a handler without its
# request, so a guard then asks which request its own task serves. A task that outlives a request,
# such as a queue's, serves none.
_APPLIED: dict[asyncio.Task[Any] | None, Policy] = {}


async def call(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], request: web.Request
) -> web.StreamResponse:
    """Call the handler of a request, or the next middleware, after the policy was applied."""
    task, policy = asyncio.current_task(), request.get(POLICY)
    if policy is None:  # aiohttp's own 404 or 405
        return await handler(request)
    _APPLIED[task] = policy
    try:
        return await handler(request)
    finally:
        _APPLIED.pop(task, None)  # it is gone if a sub-application has a middleware of `setup`, too


def _applied_here() -> Policy | None:
    """Return the policy of the request that the current task serves, if it serves one."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # in another thread
        return None
    return None if task is None else _APPLIED.get(task)


def _check_read(mark: Mark, arguments: Iterable[object]) -> None:
    request = _request_among(arguments)
    policy = _applied_here() if request is None else request.get(POLICY)
    if policy is None:
        raise RuntimeError(_NO_REQUEST if request is None else _NO_SETUP)
    # While the token is awaited, only the handler may run whose own mark allows that.
    waits = "message" in policy.also_from if request is None else awaiting(request) is not None
    covered = any(read is mark for read in policy.marks) if waits else policy.covers(mark)
    if not covered:
        raise RuntimeError(
            "a marked handler was called, but the middleware did not read its mark: a decorator "
            "without functools.wraps is around it, or another handler calls it"
        )


def _request_among(arguments: Iterable[object]) -> web.Request | None:
    for argument in arguments:
        if isinstance(argument, web.Request):
            return argument
        if isinstance(argument, AbstractView):
            return argument.request
    return None


def _in_group(handler: Any, mark: Mark) -> Any:
    """Return a handler that has the mark of its table."""
    if inspect.isclass(handler) and issubclass(handler, AbstractView):
        # A new class, because the same View may be in another table.
        members = {"__module__": handler.__module__, "__doc__": handler.__doc__, GROUP_MARK: mark}
        metaclass: Any = type(handler)
        view = metaclass(handler.__name__, (handler,), members)
        _guard_view(view, mark)
        return view
    return _guarded(handler, mark, GROUP_MARK)


def _mark_table(table: web.RouteTableDef, mark: Mark) -> None:
    if not isinstance(table, RouteTable):
        raise TypeError("a web.RouteTableDef cannot keep a mark: write auth.RouteTable()")
    check_unmarked(table.mark, mark, "this table of routes")
    if table.mark is None and len(table):
        # Its routes may have been added to an application already.
        raise TypeError("mark the table where it is made: @protected(...)(auth.RouteTable())")
    # The table itself is changed, so that nobody has to use what the decorator returns.
    table.mark = mark


def _mark_application(app: web.Application, mark: Mark) -> None:
    check_unmarked(app.get(APPLICATION_MARK), mark, "this application")
    if app.pre_frozen:
        raise TypeError("mark an application before it is started or added to another one")
    app[APPLICATION_MARK] = mark
    require_setup(app, mark)


def require_setup(app: web.Application, mark: Mark) -> None:
    """Let a marked application without `setup` answer nothing, unless the mark opens it."""
    if mark.use is not TokenUse.PUBLIC and check_setup not in app.middlewares:
        app.middlewares.append(check_setup)
    note_protecting(app)


def check_unmarked(there: Mark | None, mark: Mark, name: str) -> None:
    """Raise TypeError if there is a different mark already."""
    if there not in (None, mark):
        raise TypeError(
            f"{name} is marked twice, with different marks: write one @protected(...) with "
            "everything that is required, or @public, or @optional"
        )
