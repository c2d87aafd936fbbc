"""Was this proof seen before by any of the processes and machines that share a Redis server?"""

import math
import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .redis_client import RedisClient

_SPARE_SECONDS = 60  # a key lives longer by this, for a machine whose clock is behind
_URL = re.compile(r"[!-~]+")


class RedisReplayStore:
    """Remembers proofs in a Redis server, for all workers and machines that use this server.

    `url` is like `redis://user:password@host:6379/0`, `rediss://...` for TLS, or `unix:///path`.
    Options of redis-py may follow after a `?`. Each proof is a key that begins with `prefix` and
    expires by itself. Nothing is sent before it is used.

    Raises ValueError for any other URL or prefix, and ImportError if redis-py is not installed.
    """

    def __init__(self, url: str, *, prefix: str = "dpop:") -> None:
        if not _is_redis_url(url):
            # The URL is not shown, because it may have a password.
            raise ValueError(
                "url of RedisReplayStore is not like redis://user:password@host:6379/0 or unix:///path"
            )
        if not isinstance(prefix, str):
            raise ValueError(f"prefix of RedisReplayStore is a text, not {prefix!r}")
        try:
            from . import redis_client  # noqa: PLC0415 - it loads redis-py
        except ImportError:
            raise ImportError(
                "RedisReplayStore needs redis-py: python -m pip install 'redis>=6'"
            ) from None
        self._prefix = prefix
        self._new_client = partial(redis_client.RedisClient, url)
        self._new_client()  # so that wrong options raise here
        self._client: RedisClient | None = None

    async def add(self, proof: bytes, *, until: float, now: float) -> bool:
        """Remember a proof, and return whether it is new. Raises ReplayError."""
        # One that was closed is used again in another event loop, with connections of its own.
        self._client = self._client or self._new_client()
        # The server's own clock does not matter: it is told for how long, not until when.
        milliseconds = math.ceil((until - now + _SPARE_SECONDS) * 1000)
        return await self._client.set_new(
            f"{self._prefix}{proof.hex()}", milliseconds=max(1, milliseconds)
        )

    async def try_out(self) -> None:
        """Ask the server to remember something for a second. Raises ReplayError if it does not."""
        self._client = self._client or self._new_client()
        await self._client.set_new(f"{self._prefix}try-out", milliseconds=1000)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _is_redis_url(url: object) -> bool:
    if not isinstance(url, str) or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.fragment:
        return False
    if parts.scheme == "unix":
        return not host and re.fullmatch(r"/.+", parts.path) is not None
    # redis-py would take any other path for database 0.
    is_database = re.fullmatch(r"(/\d*)?", parts.path) is not None
    return parts.scheme in ("redis", "rediss") and bool(host) and is_database
