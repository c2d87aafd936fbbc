"""Which application is asked about: `python -m hello.auth check my_api:create_app < token.txt`?

`check` says why a token is refused, `routes` which routes are open. Exit status 2: no application,
or no token.
"""

import argparse
import asyncio
import importlib
import inspect
import sys
from collections.abc import Sequence

from aiohttp import web

from .marks import TOKEN_VALIDATOR
from .terminal import check_token, print_routes


class NoApplicationError(Exception):
    """There is no application of that name. The message says what is there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Load an application and answer. Return the process' exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hello.auth", description="Ask about an application with auth.setup."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("check", "read an access token from standard input, and say what is wrong with it"),
        ("routes", "list every route, and what it asks for"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument(
            "application",
            help="module:name, of an Application or what makes one: my_api:create_app",
        )
        if name == "check":
            command.add_argument(
                "--host", default="", help="what a request would name, for a resolver of issuers"
            )
    options = parser.parse_args(arguments)
    try:
        app = load_application(options.application)
        if options.command == "check" and TOKEN_VALIDATOR not in app:
            raise NoApplicationError(  # noqa: TRY301
                "it has no validator: auth.setup was not called for it"
            )
    except NoApplicationError as error:
        print(f"{options.application}: {error}", file=sys.stderr)
        return 2
    return check_token(app, options.host) if options.command == "check" else print_routes(app)


def load_application(name: str) -> web.Application:
    """Return the application that `module:name` stands for, as gunicorn would find it.

    Raises NoApplicationError.
    """
    module_name, _, attribute = name.removesuffix("()").partition(":")
    if not module_name or not attribute:
        raise NoApplicationError("write module:name, such as my_api:create_app")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # it is there, and imports something that is not
        raise NoApplicationError(f"there is no module {error.name} here") from None
    found: object = getattr(module, attribute, None)
    if not isinstance(found, web.Application) and callable(found):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise NoApplicationError(f"{attribute} wants arguments: {error}") from None
        try:
            found = found()
            if inspect.iscoroutine(found):
                found = asyncio.run(found)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise NoApplicationError(f"{attribute} raised {what}") from error
    if isinstance(found, web.AppRunner):
        found = found.app
    if not isinstance(found, web.Application):
        raise NoApplicationError(f"{attribute} is no aiohttp Application, and makes none")
    return found


if __name__ == "__main__":
    sys.exit(main())
