"""Who may call a handler, and what hears a client that may not?

`@protected` and `@public` only mark a handler; `authenticate` reads the mark of the one that a
request is for. No mark means protected: a forgotten decorator is a 401, never an open door.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from aiohttp import web

from .credentials import bearer_token
from .errors import AuthError, InsufficientScopeError, Reason
from .validator import AccessToken, TokenValidator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler

TOKEN_VALIDATOR = web.AppKey("TOKEN_VALIDATOR", TokenValidator)
"""Where an application keeps its validator."""

ACCESS_TOKEN = web.RequestKey("ACCESS_TOKEN", AccessToken)
"""Where a protected handler finds the token that let the request in.

Reading it raises KeyError where no token was asked for: in a public handler, and in an application
that `setup` was never called for.
"""

_logger = logging.getLogger("hello.auth")
_MARK = "__auth_requirement__"
# Where aiohttp-cors defines its handlers for OPTIONS: a preflight never carries a token.
_PREFLIGHT_MODULES = frozenset({"aiohttp_cors.preflight_handler", "aiohttp_cors.mixin"})
_H = TypeVar("_H", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Requirement:
    """What a handler asks of a request: a token or, where it is public, none."""

    token: bool = True
    permissions: frozenset[str] = frozenset()


_PUBLIC = _Requirement(token=False)
_PROTECTED = _Requirement()


@overload
def protected(handler: _H, /) -> _H: ...


@overload
def protected(*, permissions: Collection[str] = ()) -> Callable[[_H], _H]: ...


def protected(
    handler: _H | None = None, /, *, permissions: Collection[str] = ()
) -> _H | Callable[[_H], _H]:
    """Mark a handler, a View class or one of its methods: it wants a valid access token.

    `permissions`: all of them must be in the token's `permissions` claim, else 403. Raises
    TypeError at import for a bare string, what is no handler, and what is marked otherwise.
    """
    if isinstance(permissions, str):
        raise TypeError(f"permissions is a collection: write permissions={{{permissions!r}}}")
    if isinstance(handler, str):
        raise TypeError(f"write @protected(permissions={{{handler!r}}})")
    requirement = _Requirement(permissions=frozenset(permissions))

    def mark(handler: _H) -> _H:
        return _mark(handler, requirement)

    return mark if handler is None else mark(handler)


def public(handler: _H, /) -> _H:
    """Mark a handler, a View class or one of its methods: anybody may call it.

    Raises TypeError at import for what is no handler, and what is marked otherwise.
    """
    return _mark(handler, _PUBLIC)


def setup(app: web.Application, validator: TokenValidator) -> None:
    """Protect an application, its sub-applications included, with a validator.

    This is the one way to install it. Raises RuntimeError where it was installed before.
    """
    if TOKEN_VALIDATOR in app:
        raise RuntimeError("this application is protected already: call auth.setup once")
    app[TOKEN_VALIDATOR] = validator
    app.middlewares.append(authenticate)
    app.cleanup_ctx.append(_close_validator)


@web.middleware
async def authenticate(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Let a request through to its handler, or answer with the refusal."""
    try:
        requirement = _requirement_for(request)
        if requirement.token:
            validator = request.app[TOKEN_VALIDATOR]
            credentials = bearer_token(request.headers.getall("Authorization", ()))
            token = await validator.validate(credentials)
            _authorize(token, requirement)
            request[ACCESS_TOKEN] = token
        return await handler(request)
    except AuthError as refusal:
        _log(request, refusal)
        if request.writer.output_size:
            raise  # half an answer is on its way, and a second one would be read as its rest
        return json_error(refusal.status, refusal.message, refusal.headers)


def json_error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that says no, in the one form that errors have."""
    return web.json_response({"message": message}, status=status, headers=headers)


def _authorize(token: AccessToken, requirement: _Requirement) -> None:
    if not requirement.permissions <= token.permissions:
        refusal = InsufficientScopeError(Reason.PERMISSIONS)
        refusal.subject = token.subject
        raise refusal


def _requirement_for(request: web.Request) -> _Requirement:
    if request.match_info.http_exception is not None:
        return _PUBLIC  # aiohttp's own 404 and 405
    handler = request.match_info.handler
    if isinstance(handler, type):
        return _requirement_of_view(handler, request.method)
    if getattr(handler, "__module__", None) in _PREFLIGHT_MODULES:
        return _PUBLIC
    return _marked(handler) or _PROTECTED


def _requirement_of_view(view: type, http_method: str) -> _Requirement:
    """Return what a View asks: its own mark alone can open it, and all else that is asked adds up.

    So neither a subclass nor an overridden method asks less than what it stems from.
    """
    name = http_method.lower()
    if getattr(getattr(view, name, None), "__module__", None) in _PREFLIGHT_MODULES:
        return _PUBLIC
    of_methods = [_marked(vars(base).get(name)) for base in view.__mro__]
    of_classes = [_marked(base) for base in view.__mro__]
    if of_methods[0] == _PUBLIC:
        return _PUBLIC
    asked = [mark for mark in of_methods if mark is not None and mark.token]
    if not asked and of_classes[0] == _PUBLIC:
        return _PUBLIC
    asked += [mark for mark in of_classes if mark is not None and mark.token]
    return _Requirement(permissions=frozenset().union(*(mark.permissions for mark in asked)))


def _mark(handler: _H, requirement: _Requirement) -> _H:
    function = getattr(handler, "__func__", handler)
    if not callable(function) or not hasattr(function, "__dict__"):
        raise TypeError(f"{handler!r} is no handler")
    if _marked(function) not in (None, requirement):
        raise TypeError(f"{function.__qualname__} is marked twice, and not alike")
    setattr(function, _MARK, requirement)
    return _guarded(handler) if requirement.token else handler


def _guarded(handler: _H) -> _H:
    """Return a handler that fails where nobody has looked at the token: `setup` was forgotten.

    A View class and a function that was routed before it was marked stay as they are; their marks
    count all the same.
    """
    if not inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    async def guarded(*arguments: Any) -> Any:
        last = arguments[-1]
        request = last.request if isinstance(last, web.View) else last
        if ACCESS_TOKEN not in request:
            raise RuntimeError("a protected handler in an application without auth.setup")
        return await handler(*arguments)

    return cast("_H", guarded)


def _marked(handler: Any) -> _Requirement | None:
    # The object's own, so that what merely resembles a marked handler stays closed.
    mark = getattr(handler, "__dict__", {}).get(_MARK)
    return mark if isinstance(mark, _Requirement) else None


def _log(request: web.Request, refusal: AuthError) -> None:
    resource = request.match_info.route.resource
    route = "-" if resource is None else resource.canonical
    _logger.warning(
        "refused %d %s: %s %s sub=%s",
        refusal.status,
        refusal.reason,
        request.method,
        route,
        "-" if refusal.subject is None else ascii(refusal.subject),
    )


@asynccontextmanager
async def _close_validator(app: web.Application) -> "AsyncIterator[None]":
    yield
    await app[TOKEN_VALIDATOR].close()
