"""Which request does the application get, and what is noted about it before that?"""

import asyncio
from functools import partial
from typing import Any

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from .auth.reading.forwarded import ForwardedHeader, forwarded_address
from .auth.reading.proxies import TrustedProxies
from .bodies import LazyBody
from .logs.requests import note_request


class NewRequest:
    """Makes the requests of a server. `factory` is that of its application.

    With `lazy_bodies`, a body is decompressed when it is read. The `proxies` may name the address
    of the client, in the `forwarded_header` if they write only that one.
    """

    def __init__(
        self,
        factory: Any,
        *,
        lazy_bodies: bool,
        proxies: TrustedProxies | None,
        forwarded_header: ForwardedHeader | None,
    ) -> None:
        self._factory = factory
        self._lazy_bodies = lazy_bodies
        self._proxies = proxies
        self._forwarded_header = forwarded_header

    def __call__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        """Make the request that the application gets, or one that it does not get to see."""
        headers: object = message.headers
        if not isinstance(headers, CIMultiDictProxy):  # a dict in aiohttp's for what is not HTTP
            message = message._replace(headers=CIMultiDictProxy(CIMultiDict()))
        if message.chunked:
            # Trailers may follow the body. aiohttp's parser takes the last of them for a header of
            # the next request on this connection, so there must not be one.
            message = message._replace(should_close=True)
        ask, expect = None, message.headers.get(hdrs.EXPECT)
        if expect is not None and message.version >= HttpVersion11:
            # aiohttp would answer it before the middlewares are called.
            kept = CIMultiDict(message.headers)
            kept.popall(hdrs.EXPECT)
            if expect.lower() == "100-continue":
                ask = partial(_continue, protocol, writer)
            else:
                kept[hdrs.EXPECT] = "unknown"  # aiohttp repeats it in its refusal
            message = message._replace(headers=CIMultiDictProxy(kept))
        encoding = message.compression if self._lazy_bodies else None
        if payload is not EMPTY_PAYLOAD and (ask is not None or encoding is not None):
            payload = LazyBody(payload, ask=ask, encoding=encoding)
        try:
            request = self._factory(message, payload, protocol, writer, task)
        except Exception:  # noqa: BLE001 - yarl and idna raise what they like for a bad target
            message = message._replace(path="/", url=URL("/"))
            # Not a web.Request, so the server refuses it.
            loop = asyncio.get_running_loop()
            request = web.BaseRequest(message, payload, protocol, writer, task, loop)
        if self._proxies is not None:
            address = forwarded_address(request, self._proxies, self._forwarded_header)
            request = request if address is None else request.clone(remote=address)
        note_request(request)
        return request  # type: ignore[no-any-return]


def _continue(protocol: web.RequestHandler, writer: AbstractStreamWriter) -> None:
    if protocol.transport is not None and not writer.output_size:
        protocol.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
