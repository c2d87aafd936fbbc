"""Is somebody told whose middleware comes after `auth.setup`, and has to come before?"""

import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import hdrs, web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.app import create_app
from hello.config import Config

Handler = Callable[[web.Request], Any]


@web.middleware
async def by_name(request: web.Request, handler: Handler) -> Any:
    answer = await handler(request)
    answer.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    return answer


@web.middleware
async def by_text(request: web.Request, handler: Handler) -> Any:
    answer = await handler(request)
    answer.headers.update({"access-control-allow-origin": "*", "Vary": "Origin"})
    return answer


@web.middleware
async def in_a_function(request: web.Request, handler: Handler) -> Any:
    def add(answer: Any) -> Any:
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    return add(await handler(request))


@functools.wraps(by_text)
async def wrapped(request: web.Request, handler: Handler) -> Any:
    return await by_text(request, handler)


class Cors:
    @web.middleware
    async def method(self, request: web.Request, handler: Handler) -> Any:
        return await by_text(request, handler) or "Access-Control-Allow-Origin"

    async def __call__(self, request: web.Request, handler: Handler) -> Any:
        return await by_text(request, handler) or "Access-Control-Allow-Origin"


@web.middleware
async def others(request: web.Request, handler: Handler) -> Any:
    """It sets no header, such as Access-Control-Allow-Origin."""
    return await handler(request)


def started(*inside: Any, outside: Any = None) -> web.Application:
    app = web.Application(middlewares=[outside] if outside else [])
    auth.setup(app, auth.TokenValidator(issuer="http://localhost/", audience="a"))
    app.middlewares.extend(inside)
    return app


async def warned(app: web.Application, caplog: pytest.LogCaptureFixture) -> list[str]:
    async with TestServer(app):
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "hello.auth" and record.levelno == logging.WARNING
        ]


LATE = {
    "by_name": by_name,
    "by_text": by_text,
    "in_a_function": in_a_function,
    "wrapped": wrapped,
    "partial": web.middleware(functools.partial(by_text)),
    "method": Cors().method,
    "object": web.middleware(Cors()),
}


@pytest.mark.parametrize("name", LATE)
async def test_a_late_cors_middleware_is_told(caplog: pytest.LogCaptureFixture, name: str) -> None:
    [line] = await warned(started(others, LATE[name]), caplog)
    assert __name__ in line
    assert "auth.setup" in line


@pytest.mark.parametrize("name", LATE)
async def test_none_that_comes_before_is_told(caplog: pytest.LogCaptureFixture, name: str) -> None:
    assert await warned(started(others, outside=LATE[name]), caplog) == []


class Compiled:
    """There is no code of it that could be read."""

    __call__ = staticmethod(functools.partial(others))


@pytest.mark.parametrize(
    "middleware",
    [
        others,
        web.normalize_path_middleware(),
        web.middleware(functools.partial(others)),
        web.middleware(Compiled()),
    ],
)
async def test_usual_middlewares_may_come_late(
    caplog: pytest.LogCaptureFixture, middleware: Any
) -> None:
    assert await warned(started(middleware), caplog) == []


@pytest.mark.parametrize("mount", ["/child", "child.example"])
async def test_one_of_a_sub_application_is_late(
    caplog: pytest.LogCaptureFixture, mount: str
) -> None:
    child = web.Application()
    child.add_subapp("/grandchild", web.Application(middlewares=[by_name]))
    app = started()
    if mount.startswith("/"):
        app.add_subapp(mount, child)
    else:
        app.add_domain(mount, child)
    assert len(await warned(app, caplog)) == 1


async def test_one_around_a_protected_sub_application_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = web.Application(middlewares=[by_name])
    app.add_subapp("/child", started(others))
    assert await warned(app, caplog) == []


async def test_the_api_has_none(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    assert await warned(create_app(config), caplog) == []
