"""Run the API: `python run.py`, and `python run.py --help` for what else there is."""

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from hello.app import create_app
from hello.auth import terminal
from hello.config import Config, ConfigError, names_issuer
from hello.logs import log_to_stderr
from hello.server import AddressError, Service, serve

PROJECT = Path(__file__).resolve().parent


def main() -> int:
    """Configure and serve. Return the process' exit status: 2 where it could not start."""
    parser = argparse.ArgumentParser(description="A Hello World API that asks for access tokens.")
    parser.add_argument(
        "--client",
        action=argparse.BooleanOptionalAction,
        help="serve the demo client too, at CLIENT_ORIGIN_URL (the sandbox does by itself)",
    )
    parser.add_argument(
        "--reload", action="store_true", help="restart on a change of the source or of .env"
    )
    parser.add_argument(
        "--routes", action="store_true", help="print every route and what it asks for, and end"
    )
    parser.add_argument(
        "--check-token",
        action="store_true",
        help="read an access token from standard input, say what is wrong with it, and end",
    )
    arguments = parser.parse_args()
    if arguments.reload:
        return reload([argument for argument in sys.argv[1:] if argument != "--reload"])
    # What is set for real wins, and an empty variable counts as not set.
    really_set = {name: value for name, value in os.environ.items() if value.strip()}
    asks = arguments.routes or arguments.check_token
    try:
        environ = {**read_env_file(PROJECT / ".env"), **really_set}
        if asks:
            config, _ = configure(environ)
            log_to_stderr("warning")
            app = create_app(config)
            answer = terminal.check_token if arguments.check_token else terminal.print_routes
            return answer(app)
        return run(environ, client=arguments.client)
    except (ConfigError, AddressError) as error:
        what = "The settings cannot be used" if asks else "The server cannot start"
        print(f"{what}:\n{error}", file=sys.stderr)
        return 2


def read_env_file(path: Path) -> dict[str, str]:
    """Return what a file sets; nothing, where there is none. Raises ConfigError."""
    if path.is_dir() or not path.exists():  # a virtual environment may have that name
        return {}
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path.name} cannot be read: {error}"]) from None
    problems = []
    for found in parse_stream(StringIO(text)):
        if found.error or (found.key is not None and found.value is None):
            said = found.original.string
            number = found.original.line + len(said) - len(said.lstrip("\n"))
            problems.append(f"{path.name}, line {number}: write NAME=value, or # before a comment")
    if problems:
        raise ConfigError(problems)
    values = dotenv_values(stream=StringIO(text))
    return {name: value or "" for name, value in values.items()}


def run(environ: Mapping[str, str], *, client: bool | None) -> int:
    """Serve until a signal says stop: the API, and where no issuer is named the sandbox too."""
    config, in_sandbox = configure(environ)
    services = []
    greeting = f"The API is at {config.base_url} for tokens of {config.issuer}"
    if in_sandbox:
        from hello.sandbox import start  # noqa: PLC0415

        client = client is not False
        services.append(start.issuer_service(config))
        greeting = start.greeting(config, client=client)
    if client:
        from hello.sandbox import start  # noqa: PLC0415

        services.append(start.client_service(config))
    services.append(
        Service(create_app(config), config.host, config.port, "PORT", ", or choose another PORT")
    )

    log_to_stderr(config.log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(services, ready=lambda: print(greeting, flush=True)))
    return 0


def configure(environ: Mapping[str, str]) -> tuple[Config, bool]:
    """Return the configuration, and whether it is the sandbox's. Raises ConfigError."""
    if names_issuer(environ):
        return Config.from_environ(environ), False
    # Imported where it is asked for: a server with an issuer has nothing of the sandbox in it.
    from hello.sandbox import start  # noqa: PLC0415

    return start.sandbox_config(environ), True


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, or None, for asyncio's own, where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def reload(arguments: list[str]) -> int:
    """Run this program, and again after each change of the source or of .env."""
    try:
        from watchfiles import PythonFilter, run_process  # noqa: PLC0415 - an extra
    except ImportError:
        print("--reload needs watchfiles: python -m pip install -e '.[reload]'", file=sys.stderr)
        return 2
    # Folder by folder, so that thousands of files of a virtual environment are not watched too.
    folders = [PROJECT, *(path.parent for path in PROJECT.glob("hello/**/__init__.py"))]
    run_process(
        *folders,
        target=shlex.join([sys.executable, str(PROJECT / "run.py"), *arguments]),
        target_type="command",
        watch_filter=PythonFilter(extra_extensions=(".env",)),
        recursive=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
