"""Which providers are there, and how is one put in the place of the network?"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.sandbox.issuer import OMIT
from support.api import Client
from support.pages import example, rows_by_id
from support.validators import presented

from .apps import APPS
from .login import LOGIN
from .microsoft import MICROSOFT
from .sending import Provider, Sent, elliptic_key
from .workloads import WORKLOADS

OVERVIEW = "hello/docs/providers.md"
PROVIDERS: dict[str, Provider] = {**LOGIN, **MICROSOFT, **APPS, **WORKLOADS}
PAGES = sorted({provider.page for provider in PROVIDERS.values()})


def in_overview(name: str) -> list[str]:
    """A provider's row in the table at the top."""
    return rows_by_id(OVERVIEW, "providers")[name]


def key_of(name: str, key: Key) -> Key:
    """The key that a provider signs with: an elliptic one if its tokens need one."""
    return elliptic_key() if PROVIDERS[name].alg == "ES256" else key


def shown(name: str, key: Key) -> Sent:
    """The token that the page shows for a provider, as if it had been issued now."""
    found = re.findall("`(.+)`", in_overview(name)[2])
    return PROVIDERS[name].shown(name, found[0] if found else OMIT, key_of(name, key))


def published(name: str, iss: str, key: Key) -> Callable[[str], Awaitable[bytes]]:
    """What a provider serves: its metadata where this says, its keys where they are in fact."""
    keys_at = PROVIDERS[name].keys_at
    documents = {
        f"{iss.removesuffix('/')}/.well-known/openid-configuration": {
            "issuer": iss,
            "jwks_uri": keys_at,
        },
        keys_at: PROVIDERS[name].publish(key_of(name, key)),
    }

    async def fetch(url: str) -> bytes:
        return json.dumps(documents[url]).encode()

    return fetch


def app_of(code: str) -> web.Application:
    """The application that a Python block makes, or one around the validator that it makes."""
    names: dict[str, Any] = {}
    exec(compile(code, OVERVIEW, "exec"), names)
    if "create_app" in names:
        app = names["create_app"]()
        assert isinstance(app, web.Application)
        return app

    @auth.protected(scopes={"Reports.Read"}, claims={"roles": {"Report.Reader"}})
    async def reports(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    auth.setup(app, names["validator"])
    app.router.add_get("/reports", reports)
    return app


async def answered(client: Client, sent: Sent, method: str = "GET", path: str = "/reports") -> int:
    async with client.request(method, path, headers=sent.headers) as response:
        return response.status


async def verdict_of(validator: auth.TokenValidator, sent: Sent) -> str:
    try:
        await validator.validate(presented(sent.token))
    except auth.InvalidTokenError as refusal:
        return refusal.reason
    return "valid"


def environment_of(name: str) -> dict[str, str]:
    lines = example(PROVIDERS[name].page, f"{name}-env").splitlines()
    return dict(line.split("=", 1) for line in lines)
