"""Who may call a handler, and what hears a client that may not?

`@protected`, `@optional` and `@public` mark; `setup` installs the one middleware that reads the
marks. No mark means protected: a forgotten decorator is a 401, never an open door.
"""

import difflib
import functools
import inspect
import json
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from aiohttp import hdrs, web
from aiohttp.abc import AbstractView
from multidict import CIMultiDict

from .access_token import AccessToken
from .credentials import bearer_token
from .errors import AuthError, UnauthorizedError
from .marks import (
    TOKEN_VALIDATOR,
    Asked,
    Open,
    application_mark,
    asked_for,
    set_mark,
)
from .metadata import METADATA_URL, serve_metadata
from .requirements import ANY, Check, Requirement, refuse_unless_met, requirement
from .validator import TokenValidator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler

ACCESS_TOKEN = web.RequestKey("ACCESS_TOKEN", AccessToken)
"""Where a protected handler finds the token that let the request in.

Reading it raises KeyError where no token was asked for: in a public handler, and in an application
that `setup` was never called for.
"""

_ADMITTED = web.RequestKey[tuple[Requirement, ...]]("ADMITTED")
"""What was asked of the token, and met."""

_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})

_ASKED = web.AppKey[dict[web.AbstractRoute, Asked]]("ASKED")

_logger = logging.getLogger("hello.auth")
_OPENED_AS_A_WHOLE = (
    "an application with auth.setup is not opened as a whole: mark its handlers, a RouteTableDef, "
    "or a sub-application"
)
_Markable = Callable[..., Any] | web.RouteTableDef | web.Application
_H = TypeVar("_H", bound=_Markable)


@overload
def protected(handler: _H, /) -> _H: ...


@overload
def protected(
    *,
    scopes: Collection[str] = (),
    any_scope: Collection[str] | None = None,
    permissions: Collection[str] = (),
    claims: Mapping[str, Any] = ...,
    check: Check | None = None,
    acr_values: Collection[str] | None = None,
    max_auth_age: int | None = None,
) -> Callable[[_H], _H]: ...


def protected(
    handler: _H | None = None,
    /,
    *,
    scopes: Collection[str] = (),
    any_scope: Collection[str] | None = None,
    permissions: Collection[str] = (),
    claims: Mapping[str, Any] = MappingProxyType({}),
    check: Check | None = None,
    acr_values: Collection[str] | None = None,
    max_auth_age: int | None = None,
    **unknown: Any,
) -> _H | Callable[[_H], _H]:
    """Mark what wants a valid access token: a handler, or a group of them.

    The middleware of `setup` asks for it; a marked coroutine function looks whether that was done.
    A handler is a function, a View class or one of its methods; a group is a RouteTableDef, a
    sub-application or an Application. What is asked for on the way to a handler adds up.

    All of these must be met, else the answer is 403. `scopes`: all of them, from `scope` or
    `scp`. `any_scope`: one of them at least; a refusal suggests the first. `permissions`: all of
    them. `claims`: by name, a value that the claim equals, or a collection whose items are all in
    it. `check`: a function of yours, sync or async, that gets the AccessToken and returns True.
    `acr_values`: the token's `acr` is one of these, and `max_auth_age`: its `auth_time` is at most
    so many seconds ago; else the answer is a 401 that asks for another login (RFC 9470).

    Raises TypeError at import, saying what to write, for a bare string where a collection is meant,
    an unknown keyword, what cannot be marked, and for what is marked otherwise.
    """
    given: object = handler
    if isinstance(given, str | set | frozenset | list | tuple | dict):
        names = {given} if isinstance(given, str) else given
        raise TypeError(f"write @protected(permissions={names!r}), or scopes={names!r}")
    for name in unknown:
        _, *known, _ = inspect.signature(protected).parameters
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or known
        raise TypeError(f"@protected knows no {name}: write {' or '.join(close)}")
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
        return _guarded(set_mark(handler, asked), asked)

    return mark if handler is None else mark(handler)


def optional(handler: _H, /) -> _H:
    """Mark a handler or a group: anybody may call it, and who sends a valid token is known by it.

    It finds the token with `request.get(ACCESS_TOKEN)`. A token that is not valid is refused: who
    sends one does not want to be taken for nobody. So is one that lacks what the groups around the
    handler ask for. Raises TypeError as `public` does.
    """
    return _open(handler, Open.OPTIONAL)


def public(handler: _H, /) -> _H:
    """Mark a handler or a group: anybody may call it, and no token is looked at.

    What is marked otherwise inside of the group is not opened. Raises TypeError at import for what
    cannot be marked, what is marked otherwise, and for an application with `setup`.
    """
    return _open(handler, Open.PUBLIC)


def setup(app: web.Application, validator: TokenValidator, *, resource: str | None = None) -> None:
    """Protect an application, its sub-applications included, with a validator.

    `resource` is the URL that clients know this application by. If given, its metadata is served
    under `/.well-known/oauth-protected-resource`, and every challenge names it (RFC 9728).

    This is the one way to install it. Raises RuntimeError where it was installed before, TypeError
    for an application that is marked as open, and ValueError for what is no resource's URL.
    """
    if TOKEN_VALIDATOR in app:
        raise RuntimeError("this application is protected already: call auth.setup once")
    if isinstance(application_mark(app), Open):
        raise TypeError(_OPENED_AS_A_WHOLE)
    if authenticate not in app.middlewares:
        # First of all: without the rest, which may raise, it lets nobody in.
        app.middlewares.append(authenticate)
    if resource is not None:
        serve_metadata(app, validator, resource)
    app[TOKEN_VALIDATOR] = validator
    app[_ASKED] = {}
    app.cleanup_ctx.append(_close_validator)


@web.middleware
async def authenticate(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Let a request through to its handler, or answer with the refusal."""
    try:
        if request.match_info.http_exception is None:  # not aiohttp's own 404 or 405
            asked = _asked(request)
            if asked.opened is not Open.PUBLIC:
                await _admit(request, asked)
        return await handler(request)
    except AuthError as refusal:
        refusal.resource_metadata = request.app.get(METADATA_URL)
        _log(request, refusal)
        if request.writer.output_size:
            raise  # half an answer is on its way, and a second one would be read as its rest
        return json_error(refusal.status, refusal.message, refusal.headers)


def json_error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer that says no, in the one form that errors have."""
    response = web.Response(body=_error_body(message), status=status, headers=_JSON)
    if headers is not None:
        response.headers.update(headers)
    return response


@functools.lru_cache(maxsize=64)  # there are few, but who uses this may have others
def _error_body(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


def _asked(request: web.Request) -> Asked:
    """Return what a request is asked for, which is worked out once for each route."""
    match_info = request.match_info
    route = match_info.route
    found = request.app[_ASKED]
    asked = found.get(route)
    if asked is None:
        asked = asked_for(route, request.method, match_info.apps)
        if not isinstance(route.handler, type):  # a View's is up to the method
            found[route] = asked
    return asked


async def _admit(request: web.Request, asked: Asked) -> None:
    """Find, validate and keep the token. Raises AuthError where it is not what is asked."""
    try:
        credentials = bearer_token(request.headers.getall("Authorization", ()))
    except UnauthorizedError:
        if asked.opened is Open.OPTIONAL:
            return
        raise
    validator = request.app[TOKEN_VALIDATOR]
    host = request.host if validator.issuers.by_resolver else ""
    token = await validator.validate(credentials, host=host)
    if asked.requirements:
        await refuse_unless_met(asked.requirements, token, validator)
        request[_ADMITTED] = asked.requirements
    request[ACCESS_TOKEN] = token


def _open(handler: _H, how: Open) -> _H:
    if isinstance(handler, web.Application) and TOKEN_VALIDATOR in handler:
        raise TypeError(_OPENED_AS_A_WHOLE)
    return set_mark(handler, how)


def _guarded(handler: _H, asked: Requirement) -> _H:
    """Return a handler that asks for itself where the middleware did not ask for it.

    That is where its mark was lost, under a decorator that does not use functools.wraps. And where
    `setup` was forgotten it fails. A group, a View class and a function that was routed before it
    was marked stay as they are; their marks count all the same.
    """
    if not inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    async def guarded(*arguments: Any, **named: Any) -> Any:
        request = _request_among(arguments)
        if ACCESS_TOKEN not in request:
            raise RuntimeError(
                "a protected handler was called without a token having been asked for: its "
                "application has no auth.setup, or it is called by an open handler"
            )
        if asked is not ANY and asked not in request.get(_ADMITTED, ()):
            validator = request.config_dict[TOKEN_VALIDATOR]
            await refuse_unless_met((asked,), request[ACCESS_TOKEN], validator)
        return await handler(*arguments, **named)

    return cast("_H", guarded)


def _request_among(arguments: tuple[Any, ...]) -> web.Request:
    for argument in arguments:
        if isinstance(argument, web.Request):
            return argument
        if isinstance(argument, AbstractView):
            return argument.request
    raise TypeError("a protected handler was called without a request")


def _log(request: web.Request, refusal: AuthError) -> None:
    resource = request.match_info.route.resource
    route = "-" if resource is None else resource.canonical
    subject = refusal.subject
    if subject is None and ACCESS_TOKEN in request:  # the handler's own refusal
        subject = request[ACCESS_TOKEN].subject
    _logger.warning(
        "refused %d %s: %s %s sub=%s",
        refusal.status,
        refusal.reason,
        request.method,
        route,
        "-" if subject is None else ascii(subject),
    )


@asynccontextmanager
async def _close_validator(app: web.Application) -> "AsyncIterator[None]":
    yield
    await app[TOKEN_VALIDATOR].close()
