"""How is a document fetched from the issuer, without trusting it with our memory or our time?"""

import aiohttp

from .jwks import FetchError

_MAXIMUM_BYTES = 512 * 1024
_CHUNK_BYTES = 64 * 1024


async def fetch(url: str) -> bytes:
    """GET a URL and return the body of its 200, decompressed.

    Raises FetchError for anything else: a redirect (keys are not fetched from where somebody
    points), another status, a network or certificate error, more than 512 KiB. The caller limits
    the time.
    """
    # A session for each fetch: there are two in ten minutes, and none is left to be closed.
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                url, allow_redirects=False, headers={"Accept": "application/json"}
            ) as response,
        ):
            if response.status != 200:  # noqa: PLR2004
                raise FetchError(f"{url} answered {response.status}")
            body = bytearray()
            # In pieces, since a few compressed bytes can become any number of others.
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > _MAXIMUM_BYTES:
                    raise FetchError(f"{url} answered with more than {_MAXIMUM_BYTES} bytes")
            return bytes(body)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # A certificate error is a ValueError too.
        raise FetchError(f"{url}: {type(error).__name__}: {error}") from error
