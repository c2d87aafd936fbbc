"""How does a WebSocket with a token open, and what does its handler receive?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

from aiohttp import WSMessage, WSMsgType, hdrs, web

from hello.auth.marks import POLICY
from hello.auth.reading.awaiting import check_version, is_handshake
from hello.auth.reading.fields import field_values
from hello.auth.reading.subprotocols import BEARER, offered
from hello.auth.unguarded import GuardedSocket

from .messages import token_in


class SocketOptions(TypedDict, total=False):
    """The options of web.WebSocketResponse, which `auth.live` takes, too. All times in seconds."""

    timeout: float  # for the client to answer a close frame
    receive_timeout: float | None  # for each message
    autoclose: bool
    autoping: bool
    heartbeat: float | None  # between two pings
    compress: bool
    max_msg_size: int  # in bytes
    writer_limit: int  # in bytes
    decode_text: bool


DEFAULTS: SocketOptions = {
    "heartbeat": 20,  # who does not answer within half of that is gone
    "max_msg_size": 64 * 1024,  # without a token yet, anybody can send as much
}
"""The options whose default is another one than aiohttp's."""

Renew = Callable[[str], Awaitable[None]]
"""A function that takes a new token."""


class LiveSocket(GuardedSocket):
    """A web.WebSocketResponse that `auth.live` has opened, and closes when its token is over.

    Messages with new tokens do not reach the handler.
    """

    def __init__(self, protocols: Sequence[str], options: SocketOptions) -> None:
        given: SocketOptions = {**DEFAULTS, **options}
        super().__init__(protocols=protocols, **given)
        self._timeout_of_each = options.get("receive_timeout")
        self.renew: Renew | None = None  # until the first token is there, nobody takes a second

    async def receive(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - aiohttp's own
        """Return the next message, as web.WebSocketResponse does.

        Raises AuthError if the client sent a token that is refused, or if the token is over.
        """
        seconds = timeout or self._timeout_of_each
        until = self._seconds_now() + seconds if seconds else None
        while True:
            message: WSMessage = await super().receive(seconds)
            token = None if self.renew is None else self.token_in(message)
            if self.renew is None or token is None:
                return message
            async with asyncio.timeout_at(until):
                await self.renew(token)
            if until is not None:  # a new token gives no more time
                seconds = max(0.001, until - self._seconds_now())

    @staticmethod
    def _seconds_now() -> float:
        return asyncio.get_running_loop().time()

    @staticmethod
    def token_in(message: WSMessage) -> str | None:
        """Return the token in a message, or None. Raises InvalidTokenError if it is no text."""
        if message.type is not WSMsgType.TEXT:
            return None
        data = message.data
        return token_in(data if isinstance(data, str) else data.decode(errors="replace"))


def protocols_for(request: web.Request, known: Sequence[str]) -> tuple[str, ...]:
    """Return the sub-protocol for a WebSocket: one that its client offers, or none.

    Of several, it is the one that the client wants most. `known` are those of the handler. "bearer"
    is chosen if it stands before the token and no other fits: a browser gives up a connection if
    it offers protocols and none is chosen. A token is never chosen.

    Raises HTTPBadRequest if the request opens no WebSocket of the only version, or if it offers
    protocols and none fits.
    """
    check_version(request)
    # aiohttp reads only the first of several header fields.
    fields = field_values(request, hdrs.SEC_WEBSOCKET_PROTOCOL)
    if not is_handshake(request) or len(fields) > 1:
        raise web.HTTPBadRequest
    names = offered(request)
    if isinstance(known, str):
        raise ValueError(f"protocols are several texts, and not {known!r}")
    possible = [name for name in names if name in known]
    if "subprotocol" in request[POLICY].also_from and BEARER in names:
        possible.append(BEARER)
    if fields and not possible:
        raise web.HTTPBadRequest
    return tuple(possible[:1])
