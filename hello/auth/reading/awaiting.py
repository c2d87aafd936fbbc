"""May the token of a request come later, in the first message of its WebSocket?

Then the handler runs before there is a token. Until `auth.live` has one, nothing may leave.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

from aiohttp import HttpVersion11, hdrs, web

from .fields import field_values

if TYPE_CHECKING:
    import asyncio

TokenPlace = Literal["subprotocol", "message"]
"""Where else than in the header the token of a WebSocket may be."""


@dataclass(eq=False)
class Awaiting:
    """Who waits for the token of a request: one for each application with `setup`.

    It is shared by a request and its clones, which a middleware may make.
    """

    who: list[object] = field(default_factory=list)
    live: web.StreamResponse | None = None  # that of `auth.live`, which reads the first message


_AWAITING = web.RequestKey("AWAITING", Awaiting)

# What `auth.live` has raised after all was sent. An application may raise one exception for many
# requests, so it has the response of each. A request and its clones have one task.
_ended = WeakKeyDictionary[Exception, dict["asyncio.Task[None]", web.StreamResponse]]()

_SOCKET_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # RFC 6455 §4.1: 16 bytes in base64
_VERSION = "13"


def is_handshake(request: web.Request) -> bool:
    """Return whether a request opens a WebSocket (RFC 6455 §4.2.1)."""
    keys = field_values(request, hdrs.SEC_WEBSOCKET_KEY)
    return (
        _asks_for_socket(request)
        and _is_version_known(request)
        and len(keys) == 1
        and _SOCKET_KEY.fullmatch(keys[0]) is not None
    )


def check_version(request: web.Request) -> None:
    """Raise HTTPBadRequest if a request asks for a WebSocket of an unknown version.

    The answer says which version is known (RFC 6455 §4.4).
    """
    if _asks_for_socket(request) and not _is_version_known(request):
        raise web.HTTPBadRequest(headers={hdrs.SEC_WEBSOCKET_VERSION: _VERSION})


def _asks_for_socket(request: web.Request) -> bool:
    connection = ",".join(field_values(request, hdrs.CONNECTION)).lower().split(",")
    return (
        request.method == hdrs.METH_GET
        and request.version >= HttpVersion11
        and [each.lower() for each in field_values(request, hdrs.UPGRADE)] == ["websocket"]
        and "upgrade" in (each.strip(" \t") for each in connection)
    )


def _is_version_known(request: web.Request) -> bool:
    return [*field_values(request, hdrs.SEC_WEBSOCKET_VERSION)] == [_VERSION]


def note_ended(request: web.Request, end: Exception, response: web.StreamResponse) -> None:
    """Remember that all was sent before an exception is raised. A refusal was logged, too."""
    _ended.setdefault(end, {})[request.task] = response


def ended(request: web.Request, end: Exception) -> web.StreamResponse | None:
    """Return the response that an exception ends, or None if `auth.live` has not ended any."""
    return _ended[end].pop(request.task, None) if end in _ended else None


def await_token(request: web.Request, who: object) -> None:
    """Remember that a request was let through to its handler without a token."""
    if _AWAITING not in request:
        request[_AWAITING] = Awaiting()
    request[_AWAITING].who.append(who)


def awaiting(request: web.Request) -> Awaiting | None:
    """Return who still waits for the token of a request, or None."""
    state = request.get(_AWAITING)
    return state if state is not None and state.who else None
