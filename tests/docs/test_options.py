"""Does hello/docs/options.md list every option there is, with its default, and no other?"""

import inspect
import time
from collections.abc import Callable
from typing import Any, get_args

import pytest
from aiohttp import web

from hello import auth
from hello.auth.live.socket import DEFAULTS, SocketOptions
from support.pages import rows

PAGE = "hello/docs/options.md"
LISTED: dict[str, Callable[..., Any]] = {
    "token-validator": auth.TokenValidator,
    "trusted-issuer": auth.TrustedIssuer,
    "introspection": auth.Introspection,
    "dpop": auth.DPoP,
    "protected": auth.protected,
    "setup": auth.setup,
    "live": auth.live,
    "paths": auth.open_paths,
    "openapi": auth.openapi,
    "serve-openapi": auth.serve_openapi,
    "add-security": auth.add_security,
}


def options_of(function: Callable[..., Any]) -> dict[str, str]:
    """What a function can be given by name, and its default as the page writes it."""
    options: dict[str, str] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            for named in get_args(parameter.annotation):  # Unpack[...]: what is in the TypedDict
                if named is not SocketOptions:  # they have a table of their own
                    options |= dict.fromkeys(named.__annotations__, "none")
        elif parameter.kind is not parameter.POSITIONAL_ONLY:
            default = parameter.default
            options[name] = (
                "required"
                if default is parameter.empty
                else "`time`"
                if default is time
                else f"`{default!r}`"
            )
    return options


@pytest.mark.parametrize("name", LISTED)
def test_every_option_is_listed_with_its_default_and_no_other(name: str) -> None:
    listed = {option.strip("`"): default for option, _, default, *_ in rows(PAGE, name)}
    assert listed == options_of(LISTED[name])


def test_protect_paths_takes_the_options_of_both_tables() -> None:
    of_marks = options_of(auth.protected)
    del of_marks["also_from"]
    assert options_of(auth.protect_paths) == options_of(auth.open_paths) | of_marks


def test_every_option_of_a_socket_is_listed_with_its_default_and_no_other() -> None:
    listed = {option.strip("`"): default for option, _, default, *_ in rows(PAGE, "socket")}
    own = inspect.signature(web.WebSocketResponse).parameters.values()
    theirs = {each.name: each.default for each in own if each.name != "protocols"}
    assert {*listed} == {*SocketOptions.__annotations__} == {*theirs}
    assert listed == {name: f"`{default!r}`" for name, default in {**theirs, **DEFAULTS}.items()}


@pytest.mark.parametrize("name", [*LISTED, "socket"])
def test_numbers_have_a_unit(name: str) -> None:
    for option, kind, _, unit, _ in rows(PAGE, name):
        assert (unit != "") == (kind in ("`int`", "`float`")), option
