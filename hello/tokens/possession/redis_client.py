"""How is a Redis server asked, and what if it does not answer?

This loads redis-py, so only `redis_replay` imports it, and only when there is a server to ask.
"""

import asyncio
import math
from contextlib import suppress

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .replay import ReplayError

_SECONDS = 2  # for one question: until a connection is free, is open, and has brought the answer
_CONNECTIONS = 50  # of one process

# After one of these errors, the idle connections are useless, too: the server has become a replica,
# or something on the way has forgotten them.
_STALE = (ReadOnlyError, RedisTimeoutError, TimeoutError)


class RedisClient:
    """A client of one Redis server, for one event loop. It connects when it is asked.

    Raises ValueError if the URL has options that redis-py does not know.
    """

    def __init__(self, url: str) -> None:
        try:
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                socket_connect_timeout=_SECONDS,  # closing a connection takes no longer, either
                # In RESP3, redis-py does not look whether an idle connection was closed.
                protocol=2,
                # A command that is sent twice would find what it has set itself.
                retry=Retry(NoBackoff(), 0),
            )
            self._pool.make_connection()  # type: ignore[no-untyped-call] # it only reads options
        except (AttributeError, TypeError, ValueError, RedisError):
            raise ValueError(
                "url of RedisReplayStore has options that redis-py does not know"
            ) from None
        self._redis = Redis.from_pool(self._pool)
        self._reconnected_at = -math.inf
        options = self._pool.connection_kwargs
        self._place = options.get("path") or "{host}:{port}".format_map(
            {"host": "localhost", "port": 6379, **options}
        )
        self._password = options.get("password")

    async def set_new(self, key: str, *, milliseconds: int) -> bool:
        """Set a key for some time unless it is there, and return whether it was not.

        It is one atomic command. Raises ReplayError if the server cannot be asked or refuses.
        """
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._redis.set(key, b"", nx=True, px=milliseconds) is True
        # A server that is no Redis makes redis-py raise all kinds of errors.
        except Exception as error:  # noqa: BLE001
            if isinstance(error, _STALE):
                await self._reconnect()
            raise ReplayError(f"Redis at {self._place}: {self._reason(error)}") from None

    async def close(self) -> None:
        """Close all connections."""
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _reconnect(self) -> None:
        """Close the idle connections, at most once a second."""
        now = asyncio.get_running_loop().time()
        if now < self._reconnected_at + 1:
            return
        self._reconnected_at = now
        with suppress(RedisError, OSError):
            await self._pool.disconnect(inuse_connections=False)

    def _reason(self, error: Exception) -> str:
        if isinstance(error, (TimeoutError, RedisTimeoutError)):
            return "no answer in time"
        name = type(error).__name__
        if not isinstance(error, (ResponseError, RedisConnectionError)):
            return name  # it may quote bytes, with the password in other characters
        text = str(error)
        # A server may repeat a command that it does not understand.
        return f"{name}: {text.replace(self._password, '...') if self._password else text}"
