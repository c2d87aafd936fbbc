"""Who may call a handler or a group of handlers?

`@protected`, `@optional` and `@public` mark them, and the middleware of `setup` reads the marks.
"""

from collections.abc import Callable, Collection
from typing import Any, TypeVar, Unpack, get_args, overload

from aiohttp import web

from hello.tokens import Requirement, RequirementOptions
from hello.tokens.requirements.requirement import VALID_TOKEN

from .marks import TOKEN_VALIDATOR, Mark, TokenUse, set_mark
from .reading.awaiting import TokenPlace

APPLICATION_IS_CLOSED = (
    "an application with auth.setup cannot be marked public or optional: mark its handlers, an "
    "auth.RouteTable or a sub-application"
)
"""Why a mark on a protected application is refused."""

_Markable = Callable[..., Any] | web.RouteTableDef | web.Application
_H = TypeVar("_H", bound=_Markable)


@overload
def protected(handler: _H, /) -> _H: ...


@overload
def protected(
    *, also_from: Collection[TokenPlace] = (), **requirements: Unpack[RequirementOptions]
) -> Callable[[_H], _H]: ...


def protected(
    handler: _H | None = None,
    /,
    *,
    also_from: Collection[TokenPlace] = (),
    **requirements: Unpack[RequirementOptions],
) -> _H | Callable[[_H], _H]:
    """Mark a handler or a group whose requests need a valid access token.

    A handler is a function, a method, a View class or one of its methods. A group is an
    `auth.RouteTable`, a sub-application or an Application. The requirements of a handler and of the
    groups around it add up.

    The options are those of RequirementOptions, and a token must meet all of them. If it does not,
    the answer is 403; for `acr_values` and `max_auth_age`, it is a 401 that asks for another login
    (RFC 9470).

    `also_from` is for handlers of WebSockets, because a page in a browser can send no header with
    one. "subprotocol": the token may be a sub-protocol. "message": it may be in the first message;
    the handler then runs before there is a token, and has to call `auth.live`.

    Raises TypeError at import for options that make no sense, and for a target that cannot be
    marked or has a different mark already. The message says what to write.
    """
    given: object = handler
    if isinstance(given, str | set | frozenset | list | tuple | dict):
        names = {given} if isinstance(given, str) else given
        raise TypeError(f"write @protected(permissions={names!r}), or scopes={names!r}")
    mark = mark_requiring(**requirements)._replace(also_from=_places(also_from))

    def decorate(target: _H) -> _H:
        # A mark of its own, so that the guard of one target is not satisfied by that of another.
        return set_mark(target, mark._replace())

    return decorate if handler is None else decorate(handler)


def mark_requiring(**requirements: Unpack[RequirementOptions]) -> Mark:
    """Return the mark of `@protected` with these options."""
    requirement = Requirement(**requirements)
    return Mark(TokenUse.REQUIRED, VALID_TOKEN if requirement == VALID_TOKEN else requirement)


def _places(also_from: Collection[TokenPlace]) -> frozenset[TokenPlace]:
    places = get_args(TokenPlace)
    if isinstance(also_from, str) and also_from in places:
        raise TypeError(f"also_from is a set: write also_from={{{also_from!r}}}")
    # An iterator is refused, too: it would be empty when it is read for the second time.
    if not isinstance(also_from, set | frozenset | list | tuple) or not all(
        place in places for place in also_from
    ):
        raise TypeError(
            f"also_from is a set of {' and '.join(map(repr, places))}, not {also_from!r}; leave it "
            "out if the token is in the header only"
        )
    return frozenset(also_from)


def optional(handler: _H, /) -> _H:
    """Mark a handler or a group that serves both anonymous requests and requests with a token.

    The handler calls `token_or_none`. A token that is not valid is refused, because its sender does
    not want to be anonymous. A token that does not meet the requirements of the groups around the
    handler is refused too. Raises TypeError as `public` does.
    """
    return _open(handler, TokenUse.OPTIONAL)


def public(handler: _H, /) -> _H:
    """Mark a handler or a group that anybody may call. A token is not read.

    A handler inside the group keeps its own mark. Raises TypeError at import for a target that
    cannot be marked or has a different mark already, and for an application with `setup`.
    """
    return _open(handler, TokenUse.PUBLIC)


def _open(handler: _H, use: TokenUse) -> _H:
    if isinstance(handler, web.Application) and TOKEN_VALIDATOR in handler:
        raise TypeError(APPLICATION_IS_CLOSED)
    return set_mark(handler, Mark(use))
