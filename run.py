"""Run the API with `python run.py`; `python run.py --help` lists the options."""

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
from hello.server import AddressError, Runner, Service, serve

PROJECT = Path(__file__).resolve().parent

# By the name of a service: what decides its port, and what else to do if the port is taken.
_PORTS = {
    "API": ("PORT", ", or choose another PORT"),
    "metrics": ("METRICS_PORT", ", or choose another METRICS_PORT"),
    "issuer": ("The issuer's port", ""),
    "client": (
        "CLIENT_ORIGIN_URL's port",
        ", choose another CLIENT_ORIGIN_URL, or start with --no-client",
    ),
}


def main() -> int:
    """Do what the command line says. Return the exit status, which is 2 if it could not start."""
    parser = argparse.ArgumentParser(description="A Hello World API that requires access tokens.")
    parser.add_argument(
        "--client",
        action=argparse.BooleanOptionalAction,
        help="also serve the demo client, at CLIENT_ORIGIN_URL (default in the sandbox)",
    )
    parser.add_argument(
        "--reload", action="store_true", help="restart whenever the source or .env changes"
    )
    parser.add_argument(
        "--routes", action="store_true", help="print every route and what it requires, then exit"
    )
    parser.add_argument(
        "--check-token",
        action="store_true",
        help="read an access token from standard input, print what is wrong with it, then exit",
    )
    arguments = parser.parse_args()
    if arguments.reload:
        return reload([argument for argument in sys.argv[1:] if argument != "--reload"])
    # The environment takes precedence over .env, and an empty variable counts as not set.
    set_variables = {name: value for name, value in os.environ.items() if value.strip()}
    only_prints = arguments.routes or arguments.check_token
    try:
        environ = {**read_env_file(PROJECT / ".env"), **set_variables}
        if only_prints:
            config, _ = configure(environ)
            log_to_stderr("warning")
            app = Runner(create_app(config)).app  # what it is served by limits a token's length
            command = terminal.check_token if arguments.check_token else terminal.print_routes
            return command(app)
        return run(environ, client=arguments.client)
    except ConfigError as error:
        problem = str(error)
    except AddressError as error:
        problem = cannot_listen(error)
    failure = "The settings cannot be used" if only_prints else "The server cannot start"
    print(f"{failure}:\n{problem}", file=sys.stderr)
    return 2


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables that a file sets, or none if there is no file. Raises ConfigError."""
    if path.is_dir() or not path.exists():  # a folder may be a virtual environment of that name
        return {}
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path.name} cannot be read: {error}"]) from None
    problems = []
    for binding in parse_stream(StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            lines = binding.original.string  # perhaps with empty lines before it
            number = binding.original.line + len(lines) - len(lines.lstrip("\n"))
            problems.append(f"{path.name}, line {number}: write NAME=value, or # before a comment")
    if problems:
        raise ConfigError(problems)
    values = dotenv_values(stream=StringIO(text))
    return {name: value or "" for name, value in values.items()}


def run(environ: Mapping[str, str], *, client: bool | None) -> int:
    """Serve the API until a signal ends it, and with it the sandbox if no issuer is named."""
    config, in_sandbox = configure(environ)
    # OpenTelemetry reads its other variables itself, and .env may have some.
    os.environ.update({name: text for name, text in environ.items() if name.startswith("OTEL_")})
    services = []
    greeting = f"The API is at {config.base_url} for tokens of {config.issuer}"
    app = create_app(config)
    if in_sandbox:
        from hello.sandbox import start  # noqa: PLC0415

        client = client is not False
        services += start.sandbox_services(config, app, client=client)
        greeting = start.greeting(config, client=client)
    elif client:
        from hello.sandbox import start  # noqa: PLC0415

        services.append(start.client_service(config))
    services.append(
        Service(
            "API",
            app,
            config.host,
            config.port,
            forwarded_from=config.forwarded_from,
            forwarded_header=config.forwarded_header,
        )
    )
    if config.metrics_port is not None:
        from hello.operating import metrics  # noqa: PLC0415 - its library is an extra

        page, host, port = metrics.page(app), config.metrics_host, config.metrics_port
        services.append(Service("metrics", page, host, port, access_log=False))
    log_to_stderr(config.log_level, config.log_format)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(services, ready=lambda: print(greeting, flush=True)))
    return 0


def configure(environ: Mapping[str, str]) -> tuple[Config, bool]:
    """Return the configuration, and whether it is the sandbox's. Raises ConfigError."""
    if names_issuer(environ):
        return Config.from_environ(environ), False
    # Imported only here: a server with an issuer of its own never loads the sandbox.
    from hello.sandbox import start  # noqa: PLC0415

    return start.sandbox_config(environ), True


def cannot_listen(error: AddressError) -> str:
    """Return why a service cannot listen, and what to do about it."""
    if error.unknown_host:
        setting = "METRICS_HOST" if error.service == "metrics" else "HOST"
        return f"{setting} {error.host} cannot be found: {error.reason}"
    setting, way_out = _PORTS[error.service]
    address = f"{setting} {error.port} on {error.host}"
    if error.taken:
        return f"{address} is taken: stop the program that listens there{way_out}"
    return f"{address} cannot be used: {error.reason}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the function that makes an event loop: uvloop's, or None for asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def reload(arguments: list[str]) -> int:
    """Run this program, and restart it whenever the source or .env changes."""
    try:
        from watchfiles import PythonFilter, run_process  # noqa: PLC0415 - an extra
    except ImportError:
        print("--reload needs watchfiles: python -m pip install -e '.[reload]'", file=sys.stderr)
        return 2
    # Only these folders, because a virtual environment beside them has thousands of files.
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
