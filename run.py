"""Run the API: `python run.py`, and `python run.py --help` for what else there is."""

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dotenv import load_dotenv

from hello.app import create_app
from hello.auth.issuer import is_loopback
from hello.config import Config, ConfigError, names_issuer
from hello.logs import log_to_stderr
from hello.server import AddressError, Service, serve

PROJECT = Path(__file__).resolve().parent
SANDBOX = {
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
    "ISSUER_BASE_URL": "http://localhost:6061/",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
}
SANDBOX_ISSUER_PORT = 6061


def main() -> int:
    """Configure and serve. Return the process' exit status: 2 where it could not start."""
    parser = argparse.ArgumentParser(description="A Hello World API that asks for access tokens.")
    parser.add_argument(
        "--reload", action="store_true", help="restart on a change of the source or of .env"
    )
    if parser.parse_args().reload:
        return reload()
    load_dotenv(PROJECT / ".env")
    try:
        return run(os.environ)
    except (ConfigError, AddressError) as error:
        print(f"The server cannot start:\n{error}", file=sys.stderr)
        return 2


def run(environ: Mapping[str, str]) -> int:
    """Serve until a signal says stop: the API, and where no issuer is named the sandbox too."""
    if names_issuer(environ):
        config = Config.from_environ(environ)
        services = []
        greeting = f"The API is at {base_url(config)} for tokens of {config.issuer}"
    else:
        config = sandbox_config(environ)
        services = [sandbox_issuer(config)]
        greeting = sandbox_greeting(config)
    log_to_stderr(config.log_level)
    services.append(Service(create_app(config), config.host, config.port, "PORT"))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(services, ready=lambda: print(greeting, flush=True)))
    return 0


def sandbox_config(environ: Mapping[str, str]) -> Config:
    """Return the configuration that trusts the sandbox's issuer. Raises ConfigError."""
    config = Config.from_environ(
        {**SANDBOX, **{name: value for name, value in environ.items() if value.strip()}}
    )
    problems = []
    if not is_loopback(config.host):
        problems.append(
            f"HOST is {config.host!r}, and no issuer is named: that would be the sandbox, which is "
            "for this machine only. Set AUTH0_DOMAIN and AUTH0_AUDIENCE, or ISSUER_BASE_URL"
        )
    if "RS256" not in config.algorithms:
        problems.append("TOKEN_SIGNING_ALG leaves out RS256, which the sandbox signs with")
    if problems:
        raise ConfigError(problems)
    return config


def sandbox_issuer(config: Config) -> Service:
    """Return the issuer that stands in for a tenant."""
    # Imported here alone: a server with an issuer of its own has nothing of the sandbox in it.
    from hello.sandbox.issuer import Issuer  # noqa: PLC0415

    permission = config.admin_permission or "read:admin-messages"
    issuer = Issuer(
        url=config.issuer, audience=config.audience, permissions=frozenset({permission})
    )
    return Service(issuer.app(), "localhost", SANDBOX_ISSUER_PORT, "the sandbox's issuer's port")


def sandbox_greeting(config: Config) -> str:
    """Return what to do next, with lines that can be pasted as they are."""
    from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET  # noqa: PLC0415

    return f"""
This is a sandbox, for this machine only: its issuer knows everybody.

  API      {base_url(config)}/api/messages/public
  Issuer   {config.issuer}

Get a token:

  TOKEN=$(curl -s {config.issuer}oauth/token -d grant_type=client_credentials \\
    -d client_id={CLIENT_ID} -d client_secret={CLIENT_SECRET} -d audience={config.audience} \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')

Use it:

  curl -i {base_url(config)}/api/messages/protected -H "Authorization: Bearer $TOKEN"

Stop with Ctrl+C. To connect a tenant of your own, see .env.example.
"""


def base_url(config: Config) -> str:
    """Return the API's address, as a person would type it."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{config.port}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes uvloop's event loop, or None, for asyncio's own, where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def reload() -> int:
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
        target=shlex.join([sys.executable, str(PROJECT / "run.py")]),
        target_type="command",
        watch_filter=PythonFilter(extra_extensions=(".env",)),
        recursive=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
