"""Which services does the sandbox have, and what does it print at its start?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from aiohttp import web

from hello.config import Config, ConfigError
from hello.server import Service
from hello.tokens.urls import is_loopback

from .client import client_app
from .issuer import Issuer, issuer_app
from .lessons import Switch, Witness, lesson_routes
from .recipe import token_recipe

_DEFAULTS = {
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
    "ISSUER_BASE_URL": "http://localhost:6061/",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
    "AUTH0_CLIENT_ID": "demo-client",
}
_ISSUER_PORT = 6061


def sandbox_config(environ: Mapping[str, str]) -> Config:
    """Return the configuration that trusts the sandbox's issuer. Raises ConfigError."""
    defaults = {**_DEFAULTS, "HOST": "localhost", "TOKEN_SIGNING_ALG": "RS256"}
    settings = {**defaults, **{name: value for name, value in environ.items() if value.strip()}}
    problems = []
    if not is_loopback(settings["HOST"].strip()):
        problems.append(
            f"HOST is {settings['HOST']!r}, and no issuer is named. Without an issuer the sandbox "
            "starts, which is for this machine only: set HOST to localhost, or set AUTH0_AUDIENCE "
            "and AUTH0_DOMAIN (or ISSUER_BASE_URL)"
        )
    if "RS256" not in settings["TOKEN_SIGNING_ALG"]:
        problems.append("TOKEN_SIGNING_ALG leaves out RS256, which the sandbox signs with")
    try:
        config = Config.from_environ(settings)
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
    # In the sandbox no proxy stands between, so clients use the address where the API listens.
    return replace(config, resource_url=config.resource_url or config.base_url)


def sandbox_services(config: Config, api: web.Application, *, client: bool) -> list[Service]:
    """Return the services beside the API: the issuer and, if wanted, the demo client."""
    permission = config.admin_permission or "read:admin-messages"
    issuer = Issuer(
        url=config.issuer,
        audience=config.audience,
        client_origin=config.client_origin,
        resources={config.resource_url or config.base_url: config.audience},
        permissions=frozenset({permission}),
    )
    app, origin = issuer_app(issuer), config.client_origin
    service = Service("issuer", app, "localhost", _ISSUER_PORT, access_log=False)
    if not client:
        return [service]
    switch, witness = Switch(app, origin), Witness(api, origin)
    lessons = lesson_routes(origin, api=api, witness=witness, issuer=issuer, switch=switch)
    return [service, client_service(config, lessons)]


def client_service(config: Config, lessons: Sequence[web.RouteDef] = ()) -> Service:
    """Return the service of the demo client, for any issuer. Raises ConfigError."""
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
        admin_permission=config.admin_permission,
        lessons=lessons,
    )
    return Service("client", app, origin.hostname or "", origin.port or 80, access_log=False)


def greeting(config: Config, *, client: bool) -> str:
    """Return the text that tells a newcomer what to do next, with commands to paste."""
    in_browser = f"\nSee it in a browser: open {config.client_origin}\n" if client else ""
    if config.dpop == "required":
        recipe = """
The API accepts only tokens that are bound to a key (DPOP=required). README.md, step 9, has a client
for them, bound.py. In the browser, switch on "Bind my tokens to this browser".
"""
    else:
        recipe = f"""
Get a token:

{token_recipe(config.issuer, config.audience)}

Use it:

  curl -i {config.base_url}/api/messages/protected -H "Authorization: Bearer $TOKEN"
"""
    return f"""
This is a sandbox, for this machine only: its issuer lets everybody in.

  API      {config.base_url}/api/messages/public
  OpenAPI  {config.base_url}/api/openapi.json
  Issuer   {config.issuer}
{in_browser}{recipe}
Stop with Ctrl+C. To connect a tenant of your own, see .env.example.
"""
