"""Does a page of another site open this WebSocket (RFC 6455 §10.2)?

Browsers let every page open a WebSocket to every host. They say in `Origin` which page it is. A
program that is no browser sends no `Origin`.
"""

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from hello.auth.reading.fields import field_values
from hello.tokens import AuthError, Challenges, Reason

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#*@\\]+")


class ForeignOriginError(AuthError):
    """A page of an origin that is not allowed opens a WebSocket (RFC 6455 §4.2.2)."""

    status = 403
    message = "Permission denied"

    def __init__(self, origin: str) -> None:
        super().__init__(Reason.ORIGIN, detail=f"origin={ascii(origin)[:100]}")

    def headers_with(self, _challenges: Challenges) -> dict[str, str]:
        """Return no challenge, because another token would not help."""
        return {}


def check_origin(request: web.Request, public_url: str | None, others: Collection[str]) -> None:
    """Raise ForeignOriginError if a page of a foreign origin sends a request.

    A page may come from the origin of `public_url`, or else from that of the request itself, and
    from `others`. Origins are compared exactly. "null" is never allowed. Raises ValueError if
    `others` has something that is no origin.
    """
    for each in [others] if isinstance(others, str) else others:
        if isinstance(others, str) or not _ORIGIN.fullmatch(each):
            raise ValueError(
                "origins are several texts such as https://app.example.com, without a path, and "
                f"not {each!r}"
            )
    sent = field_values(request, hdrs.ORIGIN)
    own = public_url or f"{request.scheme}://{request.headers.get(hdrs.HOST, '')}"
    allowed = {origin_of(own), *others}
    if sent and (len(sent) > 1 or sent[0] not in allowed):
        raise ForeignOriginError(", ".join(sent))


def origin_of(url: str) -> str:
    """Return the origin of a URL, as a browser writes it (RFC 6454 §6.2)."""
    parts = urlsplit(url.lower())
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.removesuffix(default)}"
