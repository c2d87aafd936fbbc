"""Who may call the routes that a library adds to an application?

Their handlers are the library's, so nobody can write a mark above them. They are marked by their
paths instead.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Unpack

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractResource

from hello.auth.decorators import mark_requiring
from hello.auth.marks import Mark, TokenUse, check_unmarked, require_setup
from hello.auth.routes import PATH_MARKS, mounted_routes
from hello.tokens import RequirementOptions


def open_paths(app: web.Application, *paths: str) -> None:
    """Let anybody call the routes of these paths, as `@public` does. A token is not read.

    Write each path as `auth.routes(app)` lists it. The path of a folder of files stands for all
    files in it. Call this after the library has added its routes, and before the application is
    started or added to another one.

    Raises ValueError for a path that no route has. Raises TypeError for a route that its handler,
    its sub-application or another call marks as protected, and for an application that is too late.
    """
    _mark_paths(app, paths, Mark(TokenUse.PUBLIC))


def protect_paths(
    app: web.Application, *paths: str, **requirements: Unpack[RequirementOptions]
) -> None:
    """Require a valid access token for the routes of these paths, as `@protected` does.

    The options are those of RequirementOptions. Paths are written as for `open_paths`. Raises what
    `open_paths` raises, and TypeError for options that make no sense.
    """
    _mark_paths(app, paths, mark_requiring(**requirements))


def _mark_paths(app: web.Application, paths: tuple[str, ...], mark: Mark) -> None:
    if app.pre_frozen:
        raise TypeError("mark paths before the application is started or added to another one")
    marked = [resource for path in paths for resource in _found(app, path)]
    before = app.setdefault(PATH_MARKS, {})
    app[PATH_MARKS] = before | _marks(before, marked, mark)
    require_setup(app, mark)
    try:
        _check_use(app, marked, mark)
    except TypeError:
        app[PATH_MARKS] = before
        raise


def _marks(
    before: Mapping[object, Mark], marked: Iterable[AbstractResource], mark: Mark
) -> dict[object, Mark]:
    """Return the mark of each route that is opened, or of each resource that is protected.

    aiohttp may give a resource more routes later. They are not opened, but they are protected.
    """
    marks: dict[object, Mark] = {}
    for resource in marked:
        for place in (resource, *resource):
            check_unmarked(before.get(place), mark, resource.canonical)
        places = resource if mark.use is TokenUse.PUBLIC else (resource,)
        marks |= dict.fromkeys(places, mark)
    return marks


def _check_use(app: web.Application, marked: Collection[AbstractResource], mark: Mark) -> None:
    for each in mounted_routes(app):
        use = each.policy.use
        if each.route.resource in marked and use is not mark.use and not each.preflight:
            raise TypeError(
                f"{each.method} {each.path} has a mark of its own, or its sub-application has: it "
                f"cannot be {mark.use.name.lower()}, because it is {use.name.lower()}"
            )


def _found(app: web.Application, path: str) -> list[AbstractResource]:
    found = [resource for resource in _resources(app) if resource.canonical == path]
    if not found:
        raise ValueError(
            f"no route has the path {path!r}: mark it after the library added it, and write it as "
            "auth.routes(app) lists it"
        )
    return found


def _resources(app: web.Application) -> Iterator[AbstractResource]:
    """Yield what has a path. That of an application with a host of its own is another host's."""
    for resource in app.router.resources():
        info = resource.get_info()
        if "app" not in info:
            yield resource
        elif "prefix" in info:
            yield from _resources(info["app"])
