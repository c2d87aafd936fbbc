"""May the token of a request come later, in the first message of its WebSocket?

Then the handler runs before there is a token. Until `auth.live` has one, nothing may leave.
"""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from weakref import WeakKeyDictionary

from aiohttp import HttpVersion11, hdrs, web

from hello.tokens import AuthError

from .fields import field_values

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

ENDED: WeakKeyDictionary[AuthError, web.StreamResponse] = WeakKeyDictionary()
"""The refusals that `auth.live` has logged, told and sent to the client, and their responses."""

_SOCKET_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")  # RFC 6455 §4.1: 16 bytes in base64
_VERSION = "13"


def is_handshake(request: web.Request) -> bool:
    """Return whether a request opens a WebSocket (RFC 6455 §4.2.1)."""
    connection = ",".join(field_values(request, hdrs.CONNECTION)).lower().split(",")
    keys = field_values(request, hdrs.SEC_WEBSOCKET_KEY)
    return (
        request.method == hdrs.METH_GET
        and request.version >= HttpVersion11
        and [each.lower() for each in field_values(request, hdrs.UPGRADE)] == ["websocket"]
        and "upgrade" in (each.strip(" \t") for each in connection)
        and [*field_values(request, hdrs.SEC_WEBSOCKET_VERSION)] == [_VERSION]
        and len(keys) == 1
        and _SOCKET_KEY.fullmatch(keys[0]) is not None
    )


def await_token(request: web.Request, who: object) -> None:
    """Remember that a request was let through to its handler without a token."""
    if _AWAITING not in request:
        request[_AWAITING] = Awaiting()
    request[_AWAITING].who.append(who)


def awaiting(request: web.Request) -> Awaiting | None:
    """Return who waits for the token of a request, or None if nobody does, or does any more."""
    state = request.get(_AWAITING)
    return state if state is not None and state.who else None


async def check_nothing_leaves(request: web.Request, response: web.StreamResponse) -> None:
    """Raise RuntimeError if a handler answers before there is a token.

    An error may leave, and a redirect.
    """
    is_success = response.status < HTTPStatus.MULTIPLE_CHOICES
    waiting = awaiting(request)
    if waiting is not None and is_success and waiting.live is not response:
        raise RuntimeError(
            "the token of this request comes with its first message, and only auth.live reads "
            "that: write `async with auth.live(request) as socket`"
        )
