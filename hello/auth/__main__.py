"""What does `python -m hello.auth check my_api:create_app < token.txt` do?

`check` says why a token is refused, `routes` says which routes are open, and `openapi` prints the
OpenAPI document. The exit status is 2 if there is no such application or no token; 1 if the token
is refused, or if `auth.setup` is missing for a route; and 0 otherwise.
"""

import argparse
import asyncio
import importlib
import inspect
import sys
from collections.abc import Sequence

from aiohttp import web

from .explaining import note_server
from .marks import TOKEN_VALIDATOR
from .terminal import check_token, print_openapi, print_routes


class NoApplicationError(Exception):
    """There is no application with that name. The message says what was found instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Load an application, and print what was asked about it. Return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hello.auth", description="Ask about an application with auth.setup."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="read an access token, and say what is wrong with it")
    routes = commands.add_parser("routes", help="list every route, and what it requires")
    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    check.description = (
        "Read an access token from standard input, and say what is wrong with it. The headers "
        "Authorization and DPoP of a request may be given, too, each on a line."
    )
    check.add_argument("--host", default="", help="what a request would name, for a resolver")
    for command in (check, routes, openapi):
        command.add_argument(
            "application", help="module:name of an Application, or of a function that makes one"
        )
    if "--check-token" in (sys.argv[1:] if arguments is None else arguments):
        parser.error("--check-token is an option of run.py: write check, and module:name")
    options = parser.parse_args(arguments)
    try:
        app = load_application(options.application)
        if options.command == "check" and TOKEN_VALIDATOR not in app:
            raise NoApplicationError(
                "auth.setup was not called for it: give the sub-application, if it was for that"
            )
    except NoApplicationError as error:
        print(f"{options.application}: {error}", file=sys.stderr)
        return 2
    if options.command == "check":
        return check_token(app, options.host)
    return print_openapi(app) if options.command == "openapi" else print_routes(app)


def load_application(name: str) -> web.Application:
    """Return the application that `module:name` names for gunicorn. Raises NoApplicationError."""
    module_name, _, attribute = name.removesuffix("()").partition(":")
    if not module_name or not attribute:
        raise NoApplicationError("write module:name, such as my_api:create_app")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists, but it imports one that does not
        raise NoApplicationError(f"there is no module {error.name} here") from None
    found: object = getattr(module, attribute, None)
    if not isinstance(found, web.Application) and callable(found):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise NoApplicationError(f"{attribute} needs arguments: {error}") from None
        try:
            found = found()
            found = asyncio.run(found) if inspect.iscoroutine(found) else found
        except Exception as error:
            raise NoApplicationError(
                f"{attribute} raised {type(error).__name__}: {error}"
            ) from error
    if isinstance(found, web.AppRunner):
        note_server(found)
        found = found.app
    if not isinstance(found, web.Application):
        raise NoApplicationError(f"{attribute} is no aiohttp Application, and makes none")
    return found


if __name__ == "__main__":
    sys.exit(main())
