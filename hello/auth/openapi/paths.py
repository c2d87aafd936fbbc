"""Which operations does an application have, in the words of OpenAPI?"""

import inspect
import re
from collections.abc import Iterator
from functools import partial, partialmethod
from itertools import accumulate
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import hdrs, web

from hello.auth.reading.mounting import Apps
from hello.auth.routes import MountedRoute, routes_within, wrapped

from .reading import METHODS

Place = tuple[str, str]
"""A path without the names of its parameters, and a method."""

_FILE = "filename"
_ESCAPED = re.compile("%[0-9a-f]{2}", re.IGNORECASE)
_PARAMETER = re.compile(r"\{([^{}:]+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")
# A part of a regular expression: an escaped character, a set of characters, or one character.
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
# What Python's regular expressions have and those of JSON Schema (ECMA-262) have not.
_ONLY_PYTHON = re.compile(r"\(\?(?!:|=|!|<=|<!)|\\[AZ]")


class Operation(NamedTuple):
    """A method of a path, and the route behind it. `method` is in small letters."""

    path: str
    method: str
    mounted: MountedRoute

    @property
    def place(self) -> Place:
        """What the router looks at: names of parameters make no difference."""
        return shape(self.path), self.method


def repeats_get(mounted: MountedRoute) -> bool:
    """Return whether a route is the HEAD that aiohttp adds to a GET (RFC 9110 §9.3.2)."""
    resource = mounted.route.resource
    if mounted.method != hdrs.METH_HEAD or resource is None:
        return False
    return isinstance(resource, web.StaticResource) or any(
        each.method == hdrs.METH_GET and each.handler == mounted.route.handler for each in resource
    )


def shape(path: str) -> str:
    """Return a path with `{}` in place of each parameter."""
    return _quoted(_PARAMETER.sub("{}", path))


def canonical(path: str) -> str:
    """Return a path with the names of its parameters only, without their patterns."""
    return _quoted(_PARAMETER.sub(r"{\1}", path))


def _quoted(path: str) -> str:
    """Return a path as it is in a URL (OpenAPI 3.1 §4.8.8.1). A quoted one stays quoted."""
    return _ESCAPED.sub(lambda found: found[0].upper(), quote(path, safe="/{}%:@!$&'()*+,;=~"))


def own_routes(apps: Apps) -> Iterator[MountedRoute]:
    """Yield the routes of the last of several applications that are in one another.

    Those of an application for another host (`add_domain`) are left out: a document of this one
    would tell everybody that there is such a host. Preflights are left out, too.
    """
    for mounted in routes_within(apps):
        if not mounted.domain and not mounted.preflight:
            yield mounted


def operations(apps: Apps) -> dict[Place, Operation]:
    """Return what can be called of these routes, by its place.

    If routes share a place, the one is returned that aiohttp asks first; the others are found by
    the path with the names of its parameters. A route for every method has an operation for each
    that OpenAPI knows, and one for `*`.
    """
    found: dict[Place, Operation] = {}
    for operation in _all(apps):
        found.setdefault(operation.place, operation)
        found.setdefault((operation.path, operation.method), operation)
    return found


def _all(apps: Apps) -> Iterator[Operation]:
    for mounted in own_routes(apps):
        path = _quoted(mounted.path) or "/"
        if isinstance(mounted.route.resource, web.StaticResource):
            path = f"{path.rstrip('/')}/{{{_FILE}}}"
        every = mounted.method == hdrs.METH_ANY
        for method in (*METHODS, hdrs.METH_ANY) if every else (mounted.method.lower(),):
            yield Operation(path, method, mounted)


def described(operation: Operation, path: str) -> dict[str, Any]:
    """Return what the router and the handler's docstring say about an operation.

    `path` is how the document writes its path. Its parameters may have other names.
    """
    said = _docstring(operation.mounted)
    tag = operation.mounted.prefix.strip("/")
    if tag:
        said["tags"] = [tag]
    names = zip(parameters(operation.path), parameters(path), strict=True)
    taken = [_parameter(operation.mounted, ours, shown) for ours, shown in names]
    return said | ({"parameters": taken} if taken else {})


def parameters(path: str) -> list[str]:
    """Return the names of the parameters in a path."""
    return _PARAMETER.findall(path)


def _parameter(mounted: MountedRoute, name: str, shown: str) -> dict[str, Any]:
    schema = {"type": "string"}
    resource = mounted.route.resource
    if isinstance(resource, web.DynamicResource):
        wanted = _regex(resource.get_info()["pattern"].pattern, name)
        if wanted != web.DynamicResource.GOOD and not _ONLY_PYTHON.search(wanted):
            schema["pattern"] = f"^(?:{wanted})$"
    return {"name": shown, "in": "path", "required": True, "schema": schema}


def _regex(pattern: str, name: str) -> str:
    """Return the regular expression of one parameter in that of a path."""
    _, _, rest = pattern.partition(f"(?P<{name}>")
    parts = list(_PART.finditer(rest))
    depths = accumulate((part[0] == "(") - (part[0] == ")") for part in parts)
    ends = (part.start() for part, depth in zip(parts, depths, strict=True) if depth < 0)
    return rest[: next(ends)]


def _docstring(mounted: MountedRoute) -> dict[str, Any]:
    """Return the first paragraph of the handler's docstring, and the others."""
    handler = _first(mounted.route.handler)
    if inspect.isclass(handler):
        handler = _first(inspect.getattr_static(handler, mounted.method.lower(), None))
    # Some libraries write YAML into docstrings, below three dashes.
    text = re.split(r"^---", inspect.getdoc(handler) or "", maxsplit=1, flags=re.MULTILINE)[0]
    summary, _, more = text.strip().partition("\n\n")
    said = {"summary": " ".join(summary.split()), "description": more.strip()}
    return {name: words for name, words in said.items() if words}


def _first(handler: object) -> object:
    """Return the first of what a handler wraps that has a docstring of its own."""
    links = (link for link in wrapped(handler) if not isinstance(link, partial | partialmethod))
    return next(links, None)
