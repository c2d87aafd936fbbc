"""Who may call a handler, and what hears a client that may not?

`@protected`, `@optional` and `@public` mark a handler; `authenticate` reads the mark of the one
that a request is for. No mark means protected: a forgotten decorator is a 401, never an open door.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import asynccontextmanager
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from aiohttp import web

from .credentials import bearer_token
from .errors import AuthError, UnauthorizedError
from .requirements import Check, Requirement, refuse_unless_met, requirement
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
_ANY_TOKEN = Requirement()
_H = TypeVar("_H", bound=Callable[..., Any])


class Door(Enum):
    """How a handler that asks for nothing else treats a token."""

    PUBLIC = "public"  # nobody looks
    OPTIONAL = "optional"  # who sends one is known by it


_Mark = Requirement | Door


@overload
def protected(handler: _H, /) -> _H: ...


@overload
def protected(
    *,
    scopes: Collection[str] = (),
    any_scope: Collection[str] = (),
    permissions: Collection[str] = (),
    claims: Mapping[str, Any] = ...,
    check: Check | None = None,
    acr_values: Collection[str] = (),
    max_auth_age: int | None = None,
) -> Callable[[_H], _H]: ...


def protected(
    handler: _H | None = None,
    /,
    *,
    scopes: Collection[str] = (),
    any_scope: Collection[str] = (),
    permissions: Collection[str] = (),
    claims: Mapping[str, Any] = MappingProxyType({}),
    check: Check | None = None,
    acr_values: Collection[str] = (),
    max_auth_age: int | None = None,
) -> _H | Callable[[_H], _H]:
    """Mark a handler, a View class or one of its methods: it wants a valid access token.

    And more than that, all of it, else the answer is 403. `scopes`: all of them, from `scope` or
    `scp`. `any_scope`: one of them at least; a refusal suggests the first. `permissions`: all of
    them. `claims`: by name, a value that the claim equals, or a collection that it includes.
    `check`: a function of yours, sync or async, that gets the AccessToken and returns True.
    `acr_values`: the token's `acr` is one of these, and `max_auth_age`: its `auth_time` is at most
    so many seconds ago; else the answer is a 401 that asks for another login (RFC 9470).

    Raises TypeError at import for a bare string where a collection is meant, for what is no
    handler, and for what is marked otherwise.
    """
    if isinstance(handler, str):
        raise TypeError(f"write @protected(permissions={{{handler!r}}})")
    asked = requirement(
        scopes=scopes,
        any_scope=any_scope,
        permissions=permissions,
        claims=claims,
        check=check,
        acr_values=acr_values,
        max_auth_age=max_auth_age,
    )

    def mark(handler: _H) -> _H:
        return _mark(handler, asked)

    return mark if handler is None else mark(handler)


def optional(handler: _H, /) -> _H:
    """Mark a handler: anybody may call it, and who sends a valid token is known by it.

    It finds the token with `request.get(ACCESS_TOKEN)`. A token that is not valid is refused: who
    sends one does not want to be taken for nobody. Raises TypeError as `public` does.
    """
    return _mark(handler, Door.OPTIONAL)


def public(handler: _H, /) -> _H:
    """Mark a handler, a View class or one of its methods: anybody may call it.

    Raises TypeError at import for what is no handler, and what is marked otherwise.
    """
    return _mark(handler, Door.PUBLIC)


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
        if request.match_info.http_exception is None:  # not aiohttp's own 404 or 405
            asked = asked_by(request.match_info.handler, request.method)
            if asked is not Door.PUBLIC:
                await _admit(request, asked)
        return await handler(request)
    except AuthError as refusal:
        _log(request, refusal)
        if request.writer.output_size:
            raise  # half an answer is on its way, and a second one would be read as its rest
        return json_error(refusal.status, refusal.message, refusal.headers)


def json_error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that says no, in the one form that errors have."""
    return web.json_response({"message": message}, status=status, headers=headers)


async def _admit(request: web.Request, asked: Door | tuple[Requirement, ...]) -> None:
    """Find, validate and keep the token. Raises AuthError where it is not what is asked."""
    try:
        credentials = bearer_token(request.headers.getall("Authorization", ()))
    except UnauthorizedError:
        if asked is Door.OPTIONAL:
            return
        raise
    validator = request.app[TOKEN_VALIDATOR]
    token = await validator.validate(credentials)
    if isinstance(asked, tuple):
        try:
            for requirement in asked:
                await refuse_unless_met(requirement, token, validator.clock.time())
        except AuthError as refusal:
            refusal.subject = token.subject
            raise
    request[ACCESS_TOKEN] = token


def asked_by(handler: object, http_method: str) -> Door | tuple[Requirement, ...]:
    """Return what a handler asks of a request: requirements, which add up, or a door."""
    if isinstance(handler, type):
        return _asked_by_view(handler, http_method)
    if getattr(handler, "__module__", None) in _PREFLIGHT_MODULES:
        return Door.PUBLIC
    mark = _marked(handler)
    return mark if isinstance(mark, Door) else (mark or _ANY_TOKEN,)


def _asked_by_view(view: type, http_method: str) -> Door | tuple[Requirement, ...]:
    """Return what a View asks: its own mark alone can open it, and all else that is asked adds up.

    So neither a subclass nor an overridden method asks less than what it stems from.
    """
    name = http_method.lower()
    if getattr(getattr(view, name, None), "__module__", None) in _PREFLIGHT_MODULES:
        return Door.PUBLIC
    of_methods = [_marked(vars(base).get(name)) for base in view.__mro__]
    of_classes = [_marked(base) for base in view.__mro__]
    if isinstance(of_methods[0], Door):
        return of_methods[0]
    asked = [mark for mark in of_methods if isinstance(mark, Requirement)]
    if not asked and isinstance(of_classes[0], Door):
        return of_classes[0]
    asked += [mark for mark in of_classes if isinstance(mark, Requirement)]
    return tuple(asked) or (_ANY_TOKEN,)


def _mark(handler: _H, mark: _Mark) -> _H:
    function = getattr(handler, "__func__", handler)
    if not callable(function) or not hasattr(function, "__dict__"):
        raise TypeError(f"{handler!r} is no handler")
    if _marked(function) not in (None, mark):
        raise TypeError(f"{function.__qualname__} is marked twice, and not alike")
    setattr(function, _MARK, mark)
    return handler if isinstance(mark, Door) else _guarded(handler)


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


def _marked(handler: Any) -> _Mark | None:
    # The object's own, so that what merely resembles a marked handler stays closed.
    mark = getattr(handler, "__dict__", {}).get(_MARK)
    return mark if isinstance(mark, _Mark) else None


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
