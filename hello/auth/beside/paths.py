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
from hello.auth.routes import PATH_MARKS, domain_of, mounted_routes
from hello.tokens import RequirementOptions


def open_paths(app: web.Application, *paths: str) -> None:
    """Let anybody call the routes of these paths, as `@public` does. A token is not read.

    Write each path as `auth.routes(app)` lists it: "/docs", or "admin.example.com/docs" in an
    application of `add_domain`. The path of a folder of files stands for all
    files in it. Call this after the library has added its routes, and before the application is
    started or added to another one.

    Raises ValueError for a path that no route has. Raises TypeError without a path, for a route
    that its handler, its sub-application or another call marks as protected, and for an application
    that was started or added to another one.
    """
    _mark_paths("open_paths", app, paths, Mark(TokenUse.PUBLIC))


def protect_paths(
    app: web.Application, *paths: str, **requirements: Unpack[RequirementOptions]
) -> None:
    """Require a valid access token for the routes of these paths, as `@protected` does.

    The options are those of RequirementOptions. Paths are written as for `open_paths`. Raises what
    `open_paths` raises, and TypeError for options that make no sense.
    """
    _mark_paths("protect_paths", app, paths, mark_requiring(**requirements))


def _mark_paths(name: str, app: web.Application, paths: tuple[str, ...], mark: Mark) -> None:
    if not isinstance(app, web.Application) or not all(isinstance(each, str) for each in paths):
        given = ", ".join(type(each).__name__ for each in (app, *paths))
        raise TypeError(
            f'write auth.{name}(app, "/a", "/b"): the application, then each path, not ({given})'
        )
    if not paths:
        raise TypeError(f'auth.{name} was called without a path: write auth.{name}(app, "/docs")')
    if app.pre_frozen:
        raise TypeError(
            f"call auth.{name} earlier: before the application is started, or added to another one"
        )
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
                f"{each.method} {each.path} cannot be {_CALLED[mark.use]} by its path: its handler "
                f"or its sub-application has a mark, so it is {_CALLED[use]}. Leave out the path, "
                "or change that mark"
            )


_CALLED = {
    TokenUse.PUBLIC: "public",
    TokenUse.OPTIONAL: "optional",
    TokenUse.REQUIRED: "protected",
}


def _found(app: web.Application, path: str) -> list[AbstractResource]:
    found = [resource for there, resource in _resources(app) if there == path]
    if not found:
        raise ValueError(
            f"no route has the path {path!r}: write it as auth.routes(app) lists it, and after the "
            "library has added it"
        )
    return found


def _resources(app: web.Application, domain: str = "") -> Iterator[tuple[str, AbstractResource]]:
    """Yield each resource with its path, which begins with its host if it has one of its own."""
    for resource in app.router.resources():
        child = resource.get_info().get("app")
        if child is None:
            yield domain + resource.canonical, resource
        else:
            yield from _resources(child, domain_of(resource) or domain)
