"""How long does a connection stay open, and how is it ended when its token is over?"""

import asyncio
import logging
import random
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, TypeVar

from aiohttp import WSMsgType, hdrs, web

from hello.auth.answers import is_client_gone
from hello.auth.protection import ACCESS_TOKEN
from hello.auth.reading.awaiting import awaiting, note_ended
from hello.auth.unguarded import NOT_ENTERED, ONLY_CALLED
from hello.tokens import (
    AuthError,
    InvalidTokenError,
    Reason,
    UnauthorizedError,
    UnavailableError,
)

from .credentials import Credentials
from .ending import ClientGoneError, say, say_end
from .messages import accepted, postponed, too_soon
from .socket import LiveSocket
from .watch import watch

_R = TypeVar("_R", bound=web.StreamResponse)

_logger = logging.getLogger("hello.auth")
_GONE = WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED
_IS_LIVE = web.RequestKey("IS_LIVE", bool)
_RENEW_SECONDS = 1  # between two new tokens: each of them is checked, counted and told
_LEAVE_SECONDS = 5  # for a handler to leave the block, before the connection is cut off


class Live(Generic[_R]):
    """What `async with` enters: a connection whose token is watched."""

    def __init__(
        self,
        request: web.Request,
        response: _R,
        credentials: Credentials,
        check_every: float,
        first_message_timeout: float,
    ) -> None:
        self._request = request
        self._response = response
        self._credentials = credentials
        self._check_every = check_every
        self._first_message_timeout = first_message_timeout
        self._clock = credentials.protection.validator.timing.clock
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in one
        self._task = task
        self._error: Exception | None = None  # why the block has to be left
        self._is_cancelled = False
        self._is_left = False
        self._is_gone = False  # the client left, or the server stopped, before there was a token
        self._checking: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._renewable_at = 0.0  # in seconds since the epoch
        request[ONLY_CALLED] = True
        if response.prepared:
            self._loop.call_soon(self._check_entered)

    def _check_entered(self) -> None:
        """End a stream that was begun before, and that nobody guards."""
        if ONLY_CALLED in self._request:
            _logger.error(NOT_ENTERED)
            self._cut_off()

    async def __aenter__(self) -> _R:
        self._request.pop(ONLY_CALLED, None)
        self._cancellations = self._task.cancelling()
        self._context = copy_context()
        response: web.StreamResponse = self._response
        if _IS_LIVE in self._request:
            raise RuntimeError("auth.live is around this request already: use it once at a time")
        waiting = awaiting(self._request)
        if waiting is not None:
            waiting.live = response
        elif not response.prepared:
            self._credentials.check_expiry()  # the answer can still be a 401
        if self._request.method == hdrs.METH_HEAD:  # RFC 9110 §9.3.2: it has no content
            end = web.HTTPOk(headers=response.headers)
            if response.prepared:
                note_ended(self._request, end, response)
            raise end
        if not response.prepared:
            await response.prepare(self._request)
        self._request[_IS_LIVE] = True
        try:
            if waiting is not None:
                await self._receive_first()
            self._credentials.check_expiry()  # it may have expired meanwhile
        except AuthError as refusal:
            await self._end(refusal)
            raise
        if isinstance(self._response, LiveSocket):
            self._response.renew = self._renew
        self._plan_check()
        watch().add(self)
        return self._response

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        watch().remove(self)
        del self._request[_IS_LIVE]
        self._is_left = True
        for task in (self._checking, self._renewing):
            if task is not None:
                task.cancel()
        if self._is_cancelled and self._task.uncancel() > self._cancellations:
            return  # somebody else ends the handler, too
        if self._error is None and isinstance(error, AuthError):
            self._error = error
        if isinstance(self._error, AuthError):
            await self._end(self._error)
        if self._error is not None:
            raise self._error
        if isinstance(error, ConnectionError) and is_client_gone(self._request):
            gone = ClientGoneError(*error.args)
            # Without this, aiohttp would log it as a failure of the handler.
            note_ended(self._request, gone, self._response)
            raise gone from error
        if error is None and isinstance(self._response, LiveSocket):
            await self._politely(self._response.close(drain=False))

    def look(self) -> None:
        """End the connection if it is time for that, or check the token if it is time for that."""
        now = self._clock.time()
        if now < self._due or self._error is not None:
            return
        if now >= self._credentials.expires_at:
            subject = self._request[ACCESS_TOKEN].subject
            self._leave(InvalidTokenError(Reason.EXPIRED, subject=subject))
        elif self._checking is None:
            self._checking = self._loop.create_task(self._check(), context=self._context)

    async def _check(self) -> None:
        try:
            await self._credentials.check_again()
        except UnavailableError:
            pass  # as far as anybody knows, the token is still good
        except Exception as error:  # noqa: BLE001 - it is raised in the handler
            self._leave(error)
        self._checking = None
        self._plan_check()

    def _plan_check(self) -> None:
        # Connections that began together, after a restart, are not all checked at once.
        seconds = self._check_every * random.uniform(0.8, 1)  # noqa: S311 - it is no secret
        self._due = min(self._clock.time() + seconds, self._credentials.expires_at)

    def _leave(self, error: Exception) -> None:
        """Make the handler leave the block. What it waits for is cancelled."""
        if self._error is not None or self._is_left:  # a hook may outlive its cancellation
            return
        self._error = error
        self._loop.call_later(_LEAVE_SECONDS, self._cut_off)
        self._is_cancelled = self._task.cancel()

    def _cut_off(self) -> None:
        """Break the connection, unless the request is over: then another one may have it."""
        if self._request.transport is not None and not self._task.done():
            self._request.transport.abort()

    async def _receive_first(self) -> None:
        """Take the token in the first message. Raises AuthError."""
        socket = self._response
        assert isinstance(socket, LiveSocket)  # noqa: S101 - a stream is refused by `live`
        await self._credentials.accept(await self._first_token(socket))
        await self._say_accepted()

    async def _first_token(self, socket: LiveSocket) -> str:
        token = None
        with suppress(TimeoutError):
            # Not the timeout of `receive`, which begins anew with each ping.
            async with asyncio.timeout(self._first_message_timeout):
                message = await socket.receive()
                self._is_gone = message.type in _GONE
                token = socket.token_in(message)
        if token is None:
            raise UnauthorizedError
        return token

    async def _renew(self, text: str) -> None:
        """Take a new token, in a task of its own: who waits for it may stop waiting.

        Raises AuthError if it is refused. The block has to be left then.
        """
        if self._error is not None:
            raise self._error
        wait = self._renewable_at - self._clock.time()
        if wait > 0 or self._renewing is not None:
            await say(self._response, too_soon(wait))
            return
        self._renewable_at = self._clock.time() + _RENEW_SECONDS
        self._renewing = self._loop.create_task(self._take(text), context=self._context)
        await asyncio.shield(self._renewing)

    async def _take(self, text: str) -> None:
        protection = self._credentials.protection
        try:
            await self._credentials.renew(text)
        except UnavailableError as outage:  # the present token is still good
            protection.note(self._request, outage, handled=True)
            await say(self._response, postponed(outage))
        except Exception as error:
            self._leave(error)
            raise
        else:
            protection.tell(self._request, None)
            self._plan_check()
            await self._say_accepted()
        finally:
            self._renewing = None

    async def _say_accepted(self) -> None:
        await say(self._response, accepted(self._credentials.expires_at - self._clock.time()))

    async def _end(self, refusal: AuthError) -> None:
        """Log a refusal, tell the client, and end the connection."""
        if not self._is_gone:
            self._credentials.protection.note(self._request, refusal, handled=True)
        note_ended(self._request, refusal, self._response)
        # For a stream: aiohttp writes its end when the handler has returned.
        self._loop.call_later(_LEAVE_SECONDS, self._cut_off)
        await self._politely(say_end(self._request, self._response, refusal))

    async def _politely(self, ending: Coroutine[Any, Any, object]) -> None:
        """Let a connection end, and break it if that does not succeed in time."""
        cancellations = self._task.cancelling()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await ending
        except ConnectionError:
            pass  # the client is gone
        except asyncio.CancelledError:
            self._cut_off()
            if self._task.cancelling() > cancellations:
                raise  # somebody ends the handler
        except Exception:  # noqa: BLE001 - whatever it is, the connection must not stay
            self._cut_off()
