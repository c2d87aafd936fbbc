"""What did the API receive, answer and log for a request of the demo client's page?

A page sees only a part of it: CORS hides most headers, and the browser sends preflights by itself.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from hello.auth.decisions.decision import REQUEST_ID
from hello.logs import LineFormatter, RequestFilter
from hello.logs.cleaning import cleaned
from hello.logs.lines import TEXT_FORMAT

_MAX_REQUESTS = 100
_MAX_LINES = 20  # of one request
_SECRET = frozenset({"authorization", "cookie", "dpop", "proxy-authorization"})
_SHOWN = 4  # characters of a secret's end


class _Exchange(NamedTuple):
    method: str
    path: str
    request: str
    status_line: str
    headers: Mapping[str, str]  # the server adds some after the application has seen them

    def shown(self) -> dict[str, Any]:
        return {"request": self.request, "answer": _head(self.status_line, self.headers)}


class Witness(logging.Handler):
    """Remembers an application's latest requests from the pages of one origin.

    Tokens and proofs are cut before they are remembered. Create it after the application and before
    it is served.
    """

    def __init__(self, app: web.Application, origin: str) -> None:
        super().__init__()
        self._origin = origin
        self._requests = OrderedDict[str, _Exchange]()
        self._lines = OrderedDict[str, list[str]]()
        self.setFormatter(LineFormatter(TEXT_FORMAT))
        self.addFilter(RequestFilter())
        # After the application's own signals, so that the headers are those that are sent.
        app.on_response_prepare.append(self._remember)
        app.cleanup_ctx.append(self._listening)

    def about(self, name: str) -> dict[str, Any] | None:
        """Return what is known about the request with an id, or None.

        It has `request` and `answer`, which are texts as in HTTP/1.1 without the bodies, `log`, a
        list of lines, and `preflight`. That is the latest preflight to this path, with a `request`
        and an `answer` too, or None.
        """
        known = self._requests.get(name)
        if known is None:
            return None
        preflights = [
            other
            for other in self._requests.values()
            if other.method == hdrs.METH_OPTIONS and other.path == known.path
        ]
        preflight = preflights[-1].shown() if preflights else None
        return {**known.shown(), "log": self._lines.get(name, []), "preflight": preflight}

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a line of the log, if it is about a request."""
        name = getattr(record, "request_id", None)
        if name is None:
            return
        lines = self._lines.setdefault(name, [])
        if len(lines) < _MAX_LINES:
            lines.append(self.format(record))
        _forget(self._lines)

    async def _listening(self, _app: web.Application) -> Any:
        logger = logging.getLogger("hello")
        logger.addHandler(self)
        yield
        logger.removeHandler(self)

    async def _remember(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.headers.get(hdrs.ORIGIN) != self._origin:
            return
        version = f"HTTP/{request.version.major}.{request.version.minor}"
        asked = _head(f"{request.method} {request.path_qs} {version}", request.headers)
        first = f"{version} {response.status} {response.reason}"
        self._requests[request[REQUEST_ID]] = _Exchange(
            request.method, request.path, asked, first, response.headers
        )
        _forget(self._requests)


def _head(first: str, headers: Mapping[str, str]) -> str:
    return "\n".join((cleaned(first), *(_line(*header) for header in headers.items())))


def _line(name: str, value: str) -> str:
    if name == hdrs.WWW_AUTHENTICATE:  # it holds no token, and `cleaned` takes realm= for one
        return f"{name}: {value}"
    return cleaned(f"{name}: {_cut(value) if name.lower() in _SECRET else value}")


def _cut(value: str) -> str:
    scheme, space, secret = value.rpartition(" ")
    return f"{scheme}{space}…{secret[-_SHOWN:] if len(secret) > 10 * _SHOWN else ''}"


def _forget(requests: OrderedDict[str, Any]) -> None:
    if len(requests) > _MAX_REQUESTS:
        requests.popitem(last=False)
