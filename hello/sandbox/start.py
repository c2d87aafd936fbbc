"""What does the sandbox consist of, and what does it tell its visitor?"""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from hello.auth.urls import is_loopback
from hello.config import Config, ConfigError
from hello.server import Service

from .client import client_app
from .issuer import CLIENT_ID, CLIENT_SECRET, Issuer

_DEFAULTS = {
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
    "ISSUER_BASE_URL": "http://localhost:6061/",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
    "AUTH0_CLIENT_ID": "demo-client",
}
_ISSUER_PORT = 6061
# Takes the token out of an answer; where there is none, it shows the answer.
_READ_ANSWER = (
    """python3 -c 'import json; a = json.loads(open(0).read() or "{}"); """
    """print(a.get("access_token") or exit(a))'"""
)


def sandbox_config(environ: Mapping[str, str]) -> Config:
    """Return the configuration that trusts the sandbox's issuer. Raises ConfigError."""
    usual = {**_DEFAULTS, "HOST": "localhost", "TOKEN_SIGNING_ALG": "RS256"}
    whole = {**usual, **{name: value for name, value in environ.items() if value.strip()}}
    problems = []
    if not is_loopback(whole["HOST"].strip()):
        problems.append(
            f"HOST is {whole['HOST']!r}, and no issuer is named: that would be the sandbox, which "
            "is for this machine only. Set AUTH0_DOMAIN and AUTH0_AUDIENCE, or ISSUER_BASE_URL"
        )
    if "RS256" not in whole["TOKEN_SIGNING_ALG"]:
        problems.append("TOKEN_SIGNING_ALG leaves out RS256, which the sandbox signs with")
    try:
        config = Config.from_environ(whole)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    for name, port in (
        ("PORT", config.port),
        ("CLIENT_ORIGIN_URL", urlsplit(config.client_origin).port),
    ):
        if port == _ISSUER_PORT:
            problems.append(f"{name} has the port {port}, where the sandbox's issuer listens")
    if problems:
        raise ConfigError(problems)
    # Only here does nobody stand between: what a client types is where the server listens.
    return replace(config, resource_url=config.resource_url or config.base_url)


def issuer_service(config: Config) -> Service:
    """Return the issuer that stands in for a tenant."""
    permission = config.admin_permission or "read:admin-messages"
    issuer = Issuer(
        url=config.issuer,
        audience=config.audience,
        client_origin=config.client_origin,
        permissions=frozenset({permission}),
    )
    return Service(
        issuer.app(), "localhost", _ISSUER_PORT, "The sandbox's issuer's port", access_log=False
    )


def client_service(config: Config) -> Service:
    """Return the demo client, for the sandbox's issuer or any other. Raises ConfigError."""
    origin = urlsplit(config.client_origin)
    problems = []
    if config.client_id is None:
        problems.append(
            "AUTH0_CLIENT_ID is missing: the identifier of a single-page application, registered "
            f"with {config.issuer}"
        )
    if origin.scheme != "http" or not is_loopback(origin.hostname or ""):
        problems.append(
            f"CLIENT_ORIGIN_URL is {config.client_origin!r}: the demo client is for this machine "
            "only, at an address like http://localhost:4040"
        )
    if problems:
        raise ConfigError(problems)
    app = client_app(
        api_url=config.base_url,
        issuer=config.issuer,
        client_id=config.client_id or "",
        audience=config.audience,
    )
    port = origin.port or 80
    return Service(
        app,
        origin.hostname or "",
        port,
        "CLIENT_ORIGIN_URL's port",
        ", choose another CLIENT_ORIGIN_URL, or say --no-client",
        access_log=False,
    )


def greeting(config: Config, *, client: bool) -> str:
    """Return what to do next, with lines that can be pasted as they are."""
    look = f"\nSee it in a browser: open {config.client_origin}\n" if client else ""
    return f"""
This is a sandbox, for this machine only: its issuer lets everybody in.

  API      {config.base_url}/api/messages/public
  Issuer   {config.issuer}
{look}
Get a token:

  TOKEN=$(curl -sS {config.issuer}oauth/token -d grant_type=client_credentials \\
    -d client_id={CLIENT_ID} -d client_secret={CLIENT_SECRET} -d audience={config.audience} \\
    | {_READ_ANSWER})

Use it:

  curl -i {config.base_url}/api/messages/protected -H "Authorization: Bearer $TOKEN"

Stop with Ctrl+C. To connect a tenant of your own, see .env.example.
"""
