"""What is in the OpenAPI document of an application, and how is it served?"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import hdrs, web

from hello.auth.answers import JSON_HEADERS
from hello.auth.decorators import public
from hello.auth.marks import TOKEN_VALIDATOR
from hello.auth.protection import arguments_of
from hello.auth.reading.mounting import Apps, places_of

from .adding import with_marks
from .paths import described, operations, repeats_get, shape
from .reading import METHODS, Document, copied, read, referred

_GIVEN = web.AppKey[dict[str, Any]]("OPENAPI_DOCUMENT", dict)
_VERSION = "3.1.0"
_INFO = {"title": "API", "version": "1.0.0"}
# A cache asks again before it answers (RFC 9111 §5.2.2.4): a new version may have other marks.
_HEADERS = {**JSON_HEADERS, hdrs.CACHE_CONTROL: "no-cache"}


def openapi(app: web.Application, document: Document | None = None) -> dict[str, Any]:
    """Return the OpenAPI document of an application: its routes, and who may call them.

    `document` is what you write yourself: `info`, `servers`, what handlers get and answer, or
    anything else that a document can have. Without it, that of `serve_openapi` is taken, if it was
    called. It is not changed. All of it is kept, and what it lacks is added: the paths and their
    parameters; from a handler's docstring, the summary and the description; tags for
    sub-applications; `operationId`; and what `add_security` adds. A `document` with
    `"openapi": "3.0.3"` gives a document of that version.

    The HEAD of a GET is not listed (RFC 9110 §9.3.2), and preflights are not either. If two routes
    differ only in the names or the patterns of their parameters, the first one is listed, because a
    document can hold no more. An application of `add_domain` has a document of its own, so that
    nobody learns its host from this one. If the application is added to another one, the marks of
    that count, as for a request.

    Call it after all routes were added. Raises RuntimeError for an application that no `setup`
    protects, and what `add_security` raises.
    """
    apps = places_of(app)[0]
    return _whole(apps, read(app.get(_GIVEN, {}) if document is None else document))


def _whole(apps: Apps, given: dict[str, Any]) -> dict[str, Any]:
    """Return the document of the last of several applications, which are in one another."""
    found = operations(apps)
    protected = any(TOKEN_VALIDATOR in app for app in apps)
    if not protected and not any(operation.mounted.guarded for operation in found.values()):
        raise RuntimeError("call auth.setup first: without it, nothing protects this application")
    if "swagger" in given:
        raise ValueError("auth.openapi makes documents of OpenAPI 3: use auth.add_security")
    public_url = _public_url(apps)
    templates = {shape(path): path for path in given.get("paths", {})}
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    for place, operation in found.items():
        listed = place == operation.place and operation.method in METHODS
        if listed and not repeats_get(operation.mounted):
            path = templates.setdefault(shape(operation.path), operation.path)
            said = paths.setdefault(path, {})[operation.method] = described(operation, path)
            tags |= dict.fromkeys(said.get("tags", ()))
            _leave_out_parameters(said, given, path, operation.method)
            elsewhere = _public_url(operation.mounted.apps)
            if elsewhere not in {None, public_url} and not _names_servers(given, path):
                said["servers"] = [{"url": elsewhere}]
    for path, methods in paths.items():  # a View has its methods in no order
        paths[path] = {method: methods[method] for method in METHODS if method in methods}
    made: dict[str, Any] = {"openapi": _VERSION, "info": _INFO, "paths": paths}
    if tags:
        made["tags"] = [{"name": name} for name in tags]
    if public_url is not None:
        made["servers"] = [{"url": public_url}]
    whole: dict[str, Any] = _merged(made, given)
    _complete(whole, paths)
    return with_marks(whole, found, whole_paths=True)


def serve_openapi(
    app: web.Application, path: str = "/openapi.json", document: Document | None = None
) -> None:
    """Serve the document that `openapi` returns, to everybody.

    It is made when the application starts, so a mistake in `document` is told then. Raises
    ValueError for a `document` that is none, and RuntimeError if it was called before.
    """
    if _GIVEN in app:
        raise RuntimeError("auth.serve_openapi was called before: call it once for an application")
    given: dict[str, Any] = read({} if document is None else document)
    bodies: dict[Apps, bytes] = {}

    def body(apps: Apps) -> bytes:
        if apps not in bodies:
            bodies[apps] = json.dumps(_whole(apps, copied(given))).encode()
        return bodies[apps]

    @public
    async def openapi_document(request: web.Request) -> web.Response:
        """Return the OpenAPI document of this API."""
        return web.Response(body=body(request.match_info.apps), headers=_HEADERS)

    async def make(app: web.Application) -> None:
        for apps in places_of(app):
            body(apps)

    app[_GIVEN] = given
    app.router.add_get(path, openapi_document)
    app.on_startup.append(make)


def _public_url(apps: Apps) -> str | None:
    """Return what `setup` says of the innermost application that it was called for."""
    guard = next((app for app in reversed(apps) if TOKEN_VALIDATOR in app), None)
    return None if guard is None else arguments_of(guard).public_url


def _names_servers(given: Document, path: str) -> bool:
    return "servers" in given or "servers" in given.get("paths", {}).get(path, {})


def _leave_out_parameters(said: dict[str, Any], given: Document, path: str, method: str) -> None:
    """Leave those out that are written by hand, for the operation or for all of its path."""
    item = given.get("paths", {}).get(path, {})
    written = [*item.get("parameters", ()), *item.get(method, {}).get("parameters", ())]
    names = {_name(referred(given, each, ("paths", path))) for each in written}
    left = [each for each in said.pop("parameters", ()) if _name(each) not in names]
    if left:
        said["parameters"] = left


def _identifiers(value: Any) -> Iterator[str]:
    """Yield each `operationId` of a document, those of webhooks and callbacks included."""
    if isinstance(value, list):
        for each in value:
            yield from _identifiers(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == "operationId" and isinstance(each, str):
                yield each
            yield from _identifiers(each)


def _complete(whole: Document, made: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each operation what it must have: an `operationId` of its own, and an answer."""
    taken = {*_identifiers(whole)}
    for path, methods in made.items():
        for method in methods:
            operation = whole["paths"][path][method]
            if "operationId" not in operation:
                operation["operationId"] = _free(_identifier(method, path), taken)
                taken.add(operation["operationId"])
            if not operation.get("responses"):
                operation["responses"] = {"default": {"description": "What the handler answers."}}


def _identifier(method: str, path: str) -> str:
    """Return a name for a function that calls an operation. It changes only if its path does."""
    return "_".join([method, *re.findall(r"[A-Za-z0-9]+", path)])


def _free(name: str, taken: Iterable[object]) -> str:
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _merged(ours: Any, theirs: Any) -> Any:
    """Return what is written by hand, with what it lacks."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        added = {name: _merged(ours[name], each) for name, each in theirs.items() if name in ours}
        return {**ours, **theirs, **added}
    if isinstance(ours, list) and isinstance(theirs, list):
        # Parameters and tags are lists of things with names. Lists of other things are replaced.
        there = {_name(each) for each in theirs}
        return theirs + [each for each in ours if _name(each) not in {None, *there}]
    return theirs


def _name(item: Any) -> tuple[str, str] | None:
    named = isinstance(item, dict) and "name" in item
    return (str(item["name"]), str(item.get("in"))) if named else None
