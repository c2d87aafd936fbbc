"""Does a call that is written wrongly fail at once, and say what to write?"""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.naming import naming
from support.openapi import guarded
from support.protecting import new_handler


def validator() -> auth.TokenValidator:
    return auth.TokenValidator(issuer="https://id.example.com/", audience="api")


def protected() -> web.Application:
    return guarded(web.get("/docs", new_handler()))


def twice() -> None:
    auth.setup(protected(), validator())


def served_twice() -> None:
    app = protected()
    auth.serve_openapi(app, "/one.json")
    auth.serve_openapi(app, "/two.json")


wrong: Any = auth  # whose calls no type checker looks at
SETUP, OPEN, PROTECT = "auth.setup(app", "auth.open_paths(app", "auth.protect_paths(app"


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: wrong.setup(validator(), web.Application()), TypeError, [SETUP, "TokenValidator"]),
        (lambda: wrong.setup(web.Application(), protected()), TypeError, [SETUP, "Application"]),
        (twice, RuntimeError, ["auth.setup", "once"]),
        (lambda: wrong.open_paths(protected(), ["/docs"]), TypeError, [OPEN, "list"]),
        (lambda: wrong.open_paths(protected(), "/docs", None), TypeError, [OPEN, "NoneType"]),
        (lambda: wrong.open_paths("/docs", protected()), TypeError, [OPEN, "str"]),
        (lambda: wrong.open_paths(protected()), TypeError, [OPEN]),
        (lambda: wrong.protect_paths(protected(), {"/docs"}), TypeError, [PROTECT, "set"]),
        (lambda: wrong.protect_paths(protected()), TypeError, [PROTECT]),
        (lambda: wrong.protect_paths(protected(), scopes={"a"}), TypeError, [PROTECT]),
        (lambda: wrong.routes(validator()), TypeError, ["web.Application", "TokenValidator"]),
        (lambda: wrong.openapi({}, protected()), TypeError, ["web.Application", "dict"]),
        (lambda: wrong.add_security(protected(), {}), TypeError, ["web.Application", "dict"]),
        (lambda: wrong.openapi_gaps(protected(), {}), TypeError, ["web.Application", "dict"]),
        (served_twice, RuntimeError, ["auth.serve_openapi", "once"]),
        (lambda: wrong.serve_openapi(protected(), "/x", []), ValueError, ["#"]),
    ],
)
def test_it_says_what_to_write(
    call: Callable[[], object], error: type[Exception], named: list[str]
) -> None:
    with pytest.raises(error, match=naming(*named)):
        call()
