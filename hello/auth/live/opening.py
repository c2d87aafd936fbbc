"""How does a handler say that a connection stays open, and are the options good?"""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar, Unpack, overload

from aiohttp import web

from hello.auth.reading.awaiting import awaiting
from hello.tokens import UnauthorizedError
from hello.tokens.timing import check_seconds

from .connection import Live
from .credentials import Credentials
from .origins import check_origin
from .socket import LiveSocket, SocketOptions, protocols_for

_R = TypeVar("_R", bound=web.StreamResponse)

_NAMES = "protocols", "origins", "check_every", "first_message_timeout"


@overload
def live(
    request: web.Request,
    *,
    protocols: Sequence[str] = (),
    origins: Collection[str] = (),
    check_every: float = 60,
    first_message_timeout: float = 5,
    **options: Unpack[SocketOptions],
) -> Live[LiveSocket]: ...


@overload
def live(request: web.Request, response: _R, *, check_every: float = 60) -> Live[_R]: ...


def live(
    request: web.Request,
    response: web.StreamResponse | None = None,
    *,
    protocols: Sequence[str] = (),
    origins: Collection[str] = (),
    check_every: float = 60,
    first_message_timeout: float = 5,
    **options: Unpack[SocketOptions],
) -> Live[Any]:
    """Open a WebSocket, or a stream, and keep it open no longer than its token is good.

    Use it as `async with auth.live(request) as socket`. The socket is a web.WebSocketResponse, and
    `options` are those of that class; `heartbeat` is 20 s and `max_msg_size` 64 KiB if they are not
    given. Or give a `response`, such as a web.StreamResponse; it is prepared if that is necessary.

    The block is left with an AuthError when the token expires, when it is refused in a check, which
    comes about every `check_every` seconds, or when the client sends a new token that is refused. A
    WebSocket is then closed with 4401 or 4403, and an event stream gets a last event. The client
    can send a new token in time, as the JSON `{"access_token": "..."}`, and it gets an answer.

    `origins` are those whose pages may open the WebSocket, besides the own one. `protocols` are the
    sub-protocols that the handler speaks. If the route has `also_from={"message"}`, the token has
    to come within `first_message_timeout` seconds.

    Raises TypeError for an option that does not exist or is not for this response, RuntimeError if
    the request has no token, and ValueError for values that cannot work. When the block begins,
    raises AuthError if the origin is foreign or the token in the first message is refused, and
    HTTPBadRequest if the request does not open a WebSocket or offers only sub-protocols that are
    unknown here.
    """
    check_seconds("check_every", check_every)
    check_seconds("first_message_timeout", first_message_timeout)
    of_sockets: dict[str, object] = {"protocols": protocols, "origins": origins}
    given = [*options, *(name for name, value in of_sockets.items() if value)]
    _check_names(given, is_socket=response is None)
    credentials = Credentials(request)
    if response is None:
        check_origin(request, credentials.protection.public_url, origins)
        response = LiveSocket(protocols_for(request, protocols), options)
    else:
        _check_stream(response)
        if awaiting(request) is not None:
            raise UnauthorizedError  # a stream has no first message
    return Live(request, response, credentials, check_every, first_message_timeout)


def _check_names(given: Collection[str], *, is_socket: bool) -> None:
    for name in given:
        if name not in (*_NAMES, *SocketOptions.__annotations__):
            raise TypeError(
                f"{name} is no option of auth.live: the options are {', '.join(_NAMES)}, and "
                "those of web.WebSocketResponse"
            )
        if not is_socket:
            raise TypeError(f"{name} is for WebSockets: leave it out, or leave the response out")


def _check_stream(response: web.StreamResponse) -> None:
    if isinstance(response, web.WebSocketResponse):
        raise TypeError("auth.live makes the WebSocket itself: give it the options of yours")
    if isinstance(response, web.Response | web.FileResponse):
        raise TypeError(
            "auth.live takes a web.StreamResponse that the handler writes to, and not "
            f"{type(response).__name__}"
        )
