"""How do event streams and WebSockets end when the server stops?

Their requests have no end of their own. So each client is told, and each handler is cancelled. A
download ends by itself, so it is not a stream here.
"""

import asyncio

from aiohttp import WSCloseCode, web

from .auth.answers import is_partly_answered

EVENT_STREAM = "text/event-stream"

_STREAM = web.RequestKey("STREAM", web.StreamResponse)
_ENDING = web.RequestKey("ENDING", bool)

_END_SECONDS = 5  # for a client to answer a close frame, and for a handler to send a last event
_LOOK_SECONDS = 0.05


def note_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Remember the stream that a request opens.

    nginx is told not to hold back the events of an event stream.
    """
    if isinstance(response, web.WebSocketResponse):
        request[_STREAM] = response
    elif response.content_type == EVENT_STREAM:
        request[_STREAM] = response
        response.headers.setdefault("X-Accel-Buffering", "no")


def ended_stream(request: web.Request) -> web.StreamResponse | None:
    """Return the stream of a request whose handler `end_streams` has cancelled, or None."""
    return request.get(_STREAM) if _ENDING in request else None


async def end_streams(server: web.Server) -> None:
    """End the streams of a server, those that begin meanwhile too, until it is cancelled."""
    endings: set[asyncio.Task[None]] = set()
    try:
        while True:
            for connection in server.connections:
                request = connection._current_request  # noqa: SLF001 - while its handler runs
                if request is None or _STREAM not in request or _ENDING in request:
                    continue
                if is_partly_answered(request):  # otherwise its head will be sent in a moment
                    request[_ENDING] = True
                    endings.add(asyncio.create_task(_end(request)))
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        for ending in endings:
            ending.cancel()
        if endings:
            await asyncio.wait(endings)


async def _end(request: web.BaseRequest) -> None:
    """Tell the client and the handler that the stream ends, and cut it off if they do not end it.

    A WebSocket is closed with 1001 (RFC 6455 §7.4.1). A handler that then waits for something else
    than a message is cancelled when the time is up. The handler of an event stream is cancelled at
    once. It may still send a last event before the stream ends.
    """
    # If the client is gone, there is no transport, but the handler may not have noticed it yet.
    task, transport, stream = request.task, request.transport, request[_STREAM]
    try:
        async with asyncio.timeout(_END_SECONDS):
            if isinstance(stream, web.WebSocketResponse):
                await stream.close(code=WSCloseCode.GOING_AWAY)
            else:
                task.cancel()
            await asyncio.wait({task})
    except TimeoutError:
        task.cancel()
        if transport is not None:
            transport.abort()
