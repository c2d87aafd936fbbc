"""What may a check read of a request's body, and what is left of it for the handler?"""

import asyncio
import copy
import inspect
import traceback
from collections.abc import Awaitable, Callable
from json import JSONDecodeError
from typing import Any

from aiohttp import StreamReader, web

from hello.tokens import AccessToken, AuthError, Challenges, Reason

_UNLIMITED = 1 << 62  # bytes; the body was received already, so its stream has nothing to slow down
_METHODS = tuple(
    each.__code__ for each in (web.BaseRequest.text, web.BaseRequest.json, web.BaseRequest.post)
)
_OWN_ANSWERS = {*range(400, 500)} - {401, 407}  # these two need a challenge


class RefusedByCheckError(AuthError):
    """A check raised an HTTPException, or cannot read what the client sent.

    `answer` is the exception that the check itself has raised, or None.
    """

    def __init__(self, reason: Reason, error: web.HTTPException) -> None:
        super().__init__(reason)
        self.status = error.status
        self.message = error.reason
        self.answer = error if reason is Reason.CHECK else None

    def headers_with(self, _challenges: Challenges) -> dict[str, str]:
        """Return no challenge, because another token would not help."""
        return {}


class _Pieces:
    """The stream that comes from the client. Whoever reads it again gets it from the beginning."""

    def __init__(self, stream: StreamReader) -> None:
        self._stream = stream
        self._kept: list[bytes] = []
        self._next = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def begin(self) -> None:
        self._next = 0

    def forget(self) -> None:
        self._kept.clear()

    async def readany(self) -> bytes:
        if self._next == len(self._kept):
            self._kept.append(await self._stream.readany())
        self._next += 1
        return self._kept[self._next - 1]


class _Body:
    """The body of a request. It is read once, and not before a check reads it."""

    def __init__(self, request: web.Request) -> None:
        self._request = copy.copy(request)
        # If a check stops waiting for the rest, what has come already must not be lost.
        self._pieces = _Pieces(request.content)
        _set_stream(self._request, self._pieces)
        self.data: bytes | None = None
        self.error: Exception | None = None
        self.is_begun = False
        self.is_arriving = False
        self.is_with_handler = False

    async def read_for_check(self) -> bytes:
        """Return all of it, as `read` does, unless the handler may be reading it."""
        if self.is_with_handler and self.data is None and self.error is None:
            raise RuntimeError(
                "a check that is asked again can read the body only if it did so before"
            )
        return await self.read()

    async def read(self) -> bytes:
        """Return all of it. Raises what aiohttp raises, each time the same."""
        if self.data is None and self.error is None:
            self.is_begun = self.is_arriving = True
            self._pieces.begin()
            try:
                self.data = await self._request.read()
            except Exception as error:  # noqa: BLE001 - it is raised below
                self.error = error
            self._pieces.forget()
            self.is_arriving = False  # it stays True if the check is cancelled while it waits
        if self.error is not None:
            raise self.error
        return self.data or b""


_BODY = web.RequestKey("BODY", _Body)


class _Stream(StreamReader):
    """A body that is read whole as soon as anything of it is read."""

    def __init__(
        self, request: web.Request, body: _Body, read: Callable[[], Awaitable[bytes]]
    ) -> None:
        super().__init__(request.protocol, _UNLIMITED, loop=asyncio.get_running_loop())
        self._read_body = read
        if body.error is not None:
            self.set_exception(body.error)
        elif body.data is not None:
            self._feed(body.data)

    def _feed(self, data: bytes) -> None:
        if data:
            self.feed_data(data)
        self.feed_eof()

    async def _wait(self, func_name: str) -> None:  # noqa: ARG002 - aiohttp's signature
        self._feed(await self._read_body())


async def ask_check(check: Callable[..., Any], token: AccessToken, request: web.Request) -> Any:
    """Call a check that takes the request, and return its answer.

    The check gets the request with a body of its own, in whatever way it reads that. If it has read
    something, the handler gets the whole body afterwards. Raises RefusedByCheckError if the check
    raises an HTTPException of the status 400 or more, but neither 401, 407 nor one of a server's
    failure, or if it cannot read the body because of what the client sent, or sent too slowly.
    """
    lent, body = _lent(request) if request.body_exists else (request, None)
    try:
        answer = check(token, lent)
        return await answer if inspect.isawaitable(answer) else answer
    except web.HTTPException as error:
        if error.status not in _OWN_ANSWERS:
            raise
        reason = Reason.BODY if _is_of_body(error, body, lent) else Reason.CHECK
        # A check may raise one object for many requests. It would keep the stacks of them all.
        error.__traceback__ = None
        raise RefusedByCheckError(reason, error) from error
    except Exception as error:
        if not _is_of_body(error, body, lent):
            raise
        raise RefusedByCheckError(Reason.BODY, web.HTTPBadRequest()) from None
    except asyncio.CancelledError:
        if body is None or not body.is_arriving:
            raise
        raise RefusedByCheckError(Reason.BODY, web.HTTPRequestTimeout()) from None
    finally:
        if body is not None:
            _finish_form(lent, request)
            if body.is_begun and not body.is_with_handler:
                _set_stream(request, _Stream(request, body, body.read))


def _lent(request: web.Request) -> tuple[web.Request, _Body]:
    """Return a copy of a request, with a stream of its own, and the body that both have."""
    body = request.get(_BODY)
    if body is None:
        body = request[_BODY] = _Body(request)
    lent = copy.copy(request)
    lent._cache = dict(request._cache)  # noqa: SLF001
    lent._read_bytes = None  # noqa: SLF001
    _set_stream(lent, _Stream(request, body, body.read_for_check))
    return lent, body


def _finish_form(lent: web.Request, request: web.Request) -> None:
    """Close the files of a form that a check has read, or rewind those that are not its own."""
    if lent._post is not request._post:  # noqa: SLF001
        lent._finish()  # noqa: SLF001
        return
    for field in (lent._post or {}).values():  # noqa: SLF001 - a middleware has read it before
        if isinstance(field, web.FileField):
            field.file.seek(0)


def _set_stream(request: web.Request, stream: Any) -> None:
    request._payload = stream  # noqa: SLF001
    request._cache.pop("content", None)  # noqa: SLF001


def hand_over(request: web.Request) -> None:
    """Let no check read a body any more that the handler may be reading."""
    if _BODY in request:
        request[_BODY].is_with_handler = True


def _is_of_body(error: Exception, body: _Body | None, lent: web.Request) -> bool:
    """Return whether an error is about what the client sent, and none of the check itself."""
    if body is None:  # the client sent none: a check that read it has read nothing
        was_read = lent._read_bytes is not None  # noqa: SLF001
        return was_read and isinstance(error, JSONDecodeError) and error.doc == ""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(frame.f_globals["__name__"] == "aiohttp.multipart" for frame in frames):
        return True
    if isinstance(error, RuntimeError):  # a check reads what it cannot have
        return False
    if isinstance(error, JSONDecodeError) and error.doc.encode(errors="replace") == body.data:
        return True
    if isinstance(error, UnicodeDecodeError) and error.object == body.data:
        return True
    return any(
        frame.f_code in _METHODS or frame.f_locals.get("self") is lent.content for frame in frames
    )
