"""Which operation of a document is which route of an application?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from hello.auth.reading.mounting import places_of
from hello.auth.routes import RouteAccess

from .paths import Operation, Place, operations, own_routes, repeats_get, shape
from .reading import METHODS, Document, read

_BEFORE_PATH = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//[^/?#]*", re.IGNORECASE)


class Documented(NamedTuple):
    """An operation of a document, and the route that it is about, if there is one."""

    name: str
    said: dict[str, Any]
    operation: Operation | None


class OpenAPIGaps(NamedTuple):
    """Routes that a document leaves out, and its operations that have no route."""

    routes: list[RouteAccess]
    operations: list[str]


def openapi_gaps(document: Document, app: web.Application) -> OpenAPIGaps:
    """Return what a document and an application do not have in common.

    Preflights, and the HEAD that aiohttp adds to each GET, need no operation of their own. The
    routes of an application of `add_domain` belong into a document of its own.
    """
    apps = places_of(app)[0]
    found = list(documented(read(document), operations(apps)))
    told = {
        (each.operation.mounted.route, each.operation.mounted.method)
        for each in found
        if each.operation is not None
    }
    return OpenAPIGaps(
        [
            RouteAccess(each.method, each.path, each.access)
            for each in own_routes(apps)
            if (each.route, each.method) not in told and not repeats_get(each)
        ],
        [each.name for each in found if each.operation is None],
    )


def documented(document: Document, found: Mapping[Place, Operation]) -> Iterator[Documented]:
    """Yield the operations of a document that was read. `found` are those of the application."""
    for path, item in document.get("paths", {}).items():
        # Beside paths, there can be extensions.
        for method, said in item.items() if path.startswith("/") else ():
            if method in METHODS:
                places = ((shape(begin + path), method) for begin in _begins(document, item, said))
                operation = next((found[place] for place in places if place in found), None)
                yield Documented(f"{method.upper()} {path}", said, operation)


def _begins(document: Document, item: Document, said: Document) -> Iterator[str]:
    """Yield what may stand before a path, the most likely first.

    The last is nothing, because a proxy may remove what stands there before the application.
    """
    if base := document.get("basePath", "").rstrip("/"):
        yield base  # Swagger 2.0
    for server in said.get("servers") or item.get("servers") or document.get("servers") or ():
        url = server["url"]
        for name, variable in server.get("variables", {}).items():
            url = url.replace(f"{{{name}}}", variable["default"])
        yield re.split("[?#]", _BEFORE_PATH.sub("", url))[0].rstrip("/")
    yield ""
