"""Which middlewares come too late, after that of `setup`?

They do not run for a request that is refused. For most middlewares that is right.
"""

import functools
import inspect
import logging
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from aiohttp import web

_logger = logging.getLogger("hello.auth")

_ALLOW_ORIGIN = "access_control_allow_origin"
# They write the client's address, scheme and host into the request.
_PROXY_HEADERS = {
    f"aiohttp_remotes.{module}" for module in ("cloudflare", "forwarded", "x_forwarded")
}


async def warn_of_late_middlewares(authenticate: object, app: web.Application) -> None:
    """Warn of each middleware of an application that has to come before `authenticate`."""
    for middleware in _inside(authenticate, app):
        function = _function(middleware)
        if function is None:
            continue
        name = f"{function.__module__}.{function.__qualname__}"
        if function.__module__ in _PROXY_HEADERS:
            _logger.warning(
                "the middleware %s comes after auth.setup, which therefore sees the address and "
                "the host of the proxy: add it before auth.setup",
                name,
            )
        elif _sets_cors(function.__code__):
            _logger.warning(
                "the middleware %s comes after auth.setup, so refusals lack its CORS headers: add "
                "it before auth.setup",
                name,
            )


def _inside(authenticate: object, app: web.Application) -> Iterator[object]:
    """Yield the middlewares that run only for requests that were let in."""
    middlewares: list[object] = list(app.middlewares)
    yield from middlewares[middlewares.index(authenticate) + 1 :]
    yield from _within(app)


def _within(app: web.Application) -> Iterator[object]:
    """Yield the middlewares of all sub-applications."""
    for resource in app.router.resources():
        child = resource.get_info().get("app")
        if child is not None:
            yield from child.middlewares
            yield from _within(child)


def _function(middleware: Any) -> FunctionType | None:
    """Return what a middleware runs, unless that is not written in Python."""
    if isinstance(middleware, functools.partial):
        middleware = middleware.func
    middleware = inspect.unwrap(middleware)
    if not inspect.isroutine(middleware):
        middleware = type(middleware).__call__
    middleware = getattr(middleware, "__func__", middleware)
    return middleware if inspect.isfunction(middleware) else None


def _sets_cors(code: CodeType) -> bool:
    """Return whether code names the header, as a text or as a constant, or a function in it does.

    Code that leaves this to another function is not recognized.
    """
    return any(
        _sets_cors(each)
        if isinstance(each, CodeType)
        else str(each).lower().replace("-", "_") == _ALLOW_ORIGIN
        for each in _named(code)
    )


def _named(code: CodeType) -> Iterator[object]:
    """Yield the names and the constants of code. The keys of a dict are one constant."""
    yield from code.co_names
    for constant in code.co_consts:
        yield from constant if isinstance(constant, tuple) else (constant,)
