"""Which operation of a document is which route of an application?"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from hello.auth.reading.mounting import places_of
from hello.auth.routes import RouteAccess

from .paths import Operation, Place, canonical, operations, own_routes, repeats_get, shape
from .reading import METHODS, Document, operations_of, read

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

    Preflights, the HEAD that aiohttp adds to each GET, and methods that OpenAPI does not know need
    no operation. The routes of an application of `add_domain` belong into a document of its own.
    """
    apps, given = places_of(app)[0], read(document)
    found = list(documented(given, operations(apps), whole_paths=True))
    newest = given.get("openapi", "").startswith("3.2")  # it can have every method
    told = {
        (each.operation.mounted.route, each.operation.mounted.method)
        for each in found
        if each.operation is not None
    }
    return OpenAPIGaps(
        [
            RouteAccess(each.method, each.path, each.access)
            for each in own_routes(apps)
            if (each.route, each.method) not in told
            and not repeats_get(each)
            and (each.method.lower() in (*METHODS, hdrs.METH_ANY) or newest)
        ],
        [each.name for each in found if each.operation is None],
    )


def documented(
    document: Document, found: Mapping[Place, Operation], *, whole_paths: bool
) -> Iterator[Documented]:
    """Yield the operations of a document that was read. `found` are those of the application.

    `whole_paths` says that a path is one of the router if there is such a route. Otherwise, what
    `basePath` or `servers` have stands before it, if there is such a route.
    """
    for path, item in document.get("paths", {}).items():
        # Beside paths, there can be extensions.
        for method, said in operations_of(item) if path.startswith("/") else ():
            places = (
                (form(begin + path), each)
                for begin in ("", *_begins(document, item, said))[0 if whole_paths else 1 :]
                for form in (canonical, shape)  # routes may differ in these names only
                for each in (method, hdrs.METH_ANY)
            )
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
