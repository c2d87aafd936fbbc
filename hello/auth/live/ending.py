"""What is the client of a live connection told, and what is it told at the end?"""

import asyncio
from contextlib import suppress

from aiohttp import web

from hello.tokens import AuthError, UnavailableError

from .messages import close_code, close_reason, last_event, postponed
from .socket import LiveSocket

_LOOK_SECONDS = 0.05  # between two looks at whether a slow client has read


class ClientGoneError(ConnectionResetError):
    """The client of a live connection has left, and its handler wanted to send something."""


async def say(socket: web.StreamResponse, text: str) -> None:
    """Send a text to the client of a WebSocket, if it is still there."""
    assert isinstance(socket, LiveSocket)  # noqa: S101 - nobody else receives a token
    with suppress(ConnectionError):  # if the client is gone, `receive` will say so
        await socket.send_str(text)


async def say_end(request: web.Request, response: web.StreamResponse, refusal: AuthError) -> None:
    """Tell the client why its connection ends. It may take as long as the client likes."""
    if isinstance(response, LiveSocket):
        if isinstance(refusal, UnavailableError):
            await say(response, postponed(refusal))
        reason = close_reason(refusal).encode()
        # Without waiting for the client to read: what was cancelled may have waited for that,
        # and then aiohttp can wait for it no more.
        await response.close(code=close_code(refusal), message=reason, drain=False)
        return
    while request.protocol.writing_paused:  # noqa: ASYNC110 - see above
        await asyncio.sleep(_LOOK_SECONDS)
    if response.content_type == "text/event-stream":
        with suppress(RuntimeError):  # the handler has ended it
            await response.write(last_event(refusal))
