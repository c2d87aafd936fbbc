"""When is the body of a request asked for, and when is it decompressed?

Not before its handler reads it. A request that is refused costs no more than its headers, whatever
its sender has put into the body.
"""

import asyncio
from collections.abc import Callable

from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import DeflateBuffer

_LIMIT_BYTES = 1 << 16


class _NoConnection(BaseProtocol):
    """A stand-in for the connection, which decompressed data neither pauses nor resumes.

    The body that LazyBody reads from does that already.
    """

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        pass


class LazyBody(StreamReader):
    """A body that is asked for and decompressed piece by piece, as it is read.

    `ask` tells the client to send it, if the client waits for that (RFC 9110 §10.1.1). `encoding`
    is how it is compressed, or None. Raises RequestPayloadError, as aiohttp does, when it is read
    and cannot be decompressed.
    """

    def __init__(
        self,
        source: StreamReader,
        *,
        ask: Callable[[], None] | None,
        encoding: str | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_NoConnection(loop), _LIMIT_BYTES, loop=loop)
        self._source = source
        self._ask = ask
        self._encoding = encoding
        self._buffer_of: DeflateBuffer | None = None
        self._more = False  # the last piece has not been decompressed to its end

    @property
    def unasked(self) -> bool:
        """The client waits to be asked, and has not been."""
        return self._ask is not None

    async def _wait(self, func_name: str) -> None:  # noqa: ARG002 - aiohttp's signature
        if self._ask is not None:
            self._ask()
            self._ask = None
        piece = b"" if self._more else await self._source.readany()
        if self._encoding is None:
            self.feed_data(piece, len(piece)) if piece else self.feed_eof()
            return
        try:
            if self._buffer_of is None:
                self._buffer_of = DeflateBuffer(self, self._encoding)
            if piece or self._more:
                self._more = self._buffer_of.feed_data(piece, len(piece))
            else:
                self._buffer_of.feed_eof()
        except Exception as error:
            # The sender's fault: what is raised for it is up to aiohttp and its decompressors.
            raise web.RequestPayloadError(f"not {self._encoding}") from error
