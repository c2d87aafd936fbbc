"""Can a client that knows only the API's address find its issuer (RFC 9728)?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.config import Config, ConfigError
from hello.sandbox.issuer import Issuer
from hello.sandbox.start import sandbox_config
from support.answers import NO_TOKEN, challenge
from support.api import AUDIENCE, ORIGIN, ApiServer, Client, bearer, config_for
from support.naming import naming
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
RESOURCE = "https://api.example.com"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize(
    ("resource", "path", "url"),
    [
        (RESOURCE, WELL_KNOWN, RESOURCE + WELL_KNOWN),
        (f"{RESOURCE}/", WELL_KNOWN, RESOURCE + WELL_KNOWN),
        (f"{RESOURCE}/v1", f"{WELL_KNOWN}/v1", f"{RESOURCE}{WELL_KNOWN}/v1"),
        (f"{RESOURCE}/v1/", f"{WELL_KNOWN}/v1/", f"{RESOURCE}{WELL_KNOWN}/v1/"),
        ("http://localhost:6060", WELL_KNOWN, f"http://localhost:6060{WELL_KNOWN}"),
    ],
)
async def test_the_metadata_is_public_and_challenges_name_it(
    aiohttp_client: Start, issuer: Issuer, resource: str, path: str, url: str
) -> None:
    """RFC 9728 §3.1: the well-known path goes before the resource's own."""
    client = await aiohttp_client(ApiServer(create_app(config_for(issuer, RESOURCE_URL=resource))))
    for method in ("GET", "HEAD"):
        async with client.request(method, path, headers={"Origin": ORIGIN}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    async with client.get(path, headers=bearer("nonsense")) as response:
        said = await response.json()
        said.pop("scopes_supported", None)  # those of a route of one's own
        assert said.pop("dpop_signing_alg_values_supported")
        assert said == {
            "resource": resource,
            "authorization_servers": [issuer.url],
            "bearer_methods_supported": ["header"],
        }
    async with client.get("/api/messages/protected") as response:
        assert challenge(response.headers) == NO_TOKEN | {"resource_metadata": url}


async def test_every_challenge_names_it(aiohttp_client: Start, issuer: Issuer) -> None:
    app = web.Application()
    validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    auth.setup(app, validator, resource=RESOURCE)
    asks: dict[str, dict[str, Any]] = {
        "/": {},
        "/scope": {"scopes": {"a"}},
        "/acr": {"acr_values": ["mfa"]},
    }
    for path, asked in asks.items():
        app.router.add_get(path, auth.protected(**asked)(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    for path, token, code in [
        ("/", None, 401),
        ("/", "nonsense", 401),
        ("/scope", issuer.mint(), 403),
        ("/acr", issuer.mint(), 401),
    ]:
        headers = {} if token is None else bearer(token)
        async with client.get(path, headers=headers) as response:
            assert response.status == code
            assert challenge(response.headers)["resource_metadata"] == RESOURCE + WELL_KNOWN


async def test_the_scopes_that_routes_ask_for_are_listed(
    aiohttp_client: Start, issuer: Issuer
) -> None:
    app, child = web.Application(), auth.protected(scopes={"c"})(web.Application())
    second = auth.TrustedIssuer(issuer="https://b.example.com", audience="b")
    third = auth.TrustedIssuer(issuer="a name", audience="c", secret=b"s" * 32)
    first = auth.TrustedIssuer(issuer=issuer.url, audience=AUDIENCE)
    auth.setup(app, auth.TokenValidator(issuers=[third, second, first]), resource=RESOURCE)
    app.router.add_get("/a", auth.protected(scopes={"b"}, any_scope=["a", "d"])(new_handler()))
    app.router.add_get("/open", auth.public(new_handler()))
    child.router.add_get("/", new_handler())
    app.add_subapp("/c", child)
    client = await aiohttp_client(ApiServer(app))
    async with client.get(WELL_KNOWN) as response:
        metadata = await response.json()
    assert metadata["scopes_supported"] == ["a", "b", "c", "d"]
    assert metadata["authorization_servers"] == [issuer.url, "https://b.example.com"]


async def test_scopes_that_are_no_right_at_an_api_are_listed_only_if_a_mark_asks(
    aiohttp_client: Start, validator: auth.TokenValidator
) -> None:
    """And never `offline_access`, with which a client asks its issuer for a refresh token."""
    for asked, expected in [
        (["openid", "profile", "offline_access"], ["openid", "profile"]),
        (["read"], ["read"]),
        (["offline_access"], None),
    ]:
        app = web.Application()
        auth.setup(app, validator, resource=RESOURCE)
        app.router.add_get("/", auth.protected(scopes=asked)(new_handler()))
        client = await aiohttp_client(ApiServer(app))
        async with client.get(WELL_KNOWN) as response:
            assert (await response.json()).get("scopes_supported") == expected


async def test_without_a_resource_there_is_none(aiohttp_client: Start, issuer: Issuer) -> None:
    client = await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    assert await status(client, path=WELL_KNOWN) == 404
    async with client.get("/api/messages/protected") as response:
        assert challenge(response.headers) == NO_TOKEN


async def test_it_belongs_to_the_root(issuer: Issuer) -> None:
    root, child = web.Application(), web.Application()
    validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    auth.setup(child, validator, resource=RESOURCE)
    root.add_subapp("/child", child)
    runner = web.AppRunner(root)
    with pytest.raises(RuntimeError):
        await runner.setup()
    await runner.cleanup()


async def test_a_setup_that_fails_opens_nothing(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    """Whoever goes on after its error has an application that answers nobody."""
    for taken in (False, True):
        app = web.Application()
        app.router.add_get("/", new_handler())
        if taken:
            app.router.add_get(WELL_KNOWN, new_handler())
        resource = RESOURCE if taken else f"{RESOURCE}?x"
        with pytest.raises((ValueError, RuntimeError)):
            auth.setup(app, validator, resource=resource)
        assert await status(await aiohttp_client(ApiServer(app)), issuer.mint()) == 500


async def test_a_setup_that_failed_can_be_made_good(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = web.Application()
    app.router.add_get("/", new_handler())
    with pytest.raises(ValueError, match=naming("resource", f"{RESOURCE}?x")):
        auth.setup(app, validator, resource=f"{RESOURCE}?x")
    auth.setup(app, validator, resource=RESOURCE)
    client = await aiohttp_client(ApiServer(app))
    assert await status(client) == 401
    assert await status(client, issuer.mint()) == 200
    with pytest.raises(RuntimeError, match=naming("auth.setup")):
        auth.setup(app, validator)


NO_RESOURCES = [
    "api.example.com",
    "http://api.example.com",
    f"{RESOURCE}/?a=b",
    f"{RESOURCE}/#a",
    f"{RESOURCE}#",
    f"{RESOURCE}?",
    "http://192.0.2.1",
    "ftp://api.example.com",
    "https://user:secret@api.example.com",
    f"{RESOURCE}/a/../b",
    f"{RESOURCE}/./a",
    f'{RESOURCE}/"',
    f"{RESOURCE}/{{x}}",
    f"{RESOURCE}/a%20b",
    f"{RESOURCE}/\r\n",
    "",
]


@pytest.mark.parametrize("resource", NO_RESOURCES)
def test_what_is_no_resource_is_refused(validator: auth.TokenValidator, resource: str) -> None:
    with pytest.raises(ValueError, match=naming("resource", repr(resource))):
        auth.setup(web.Application(), validator, resource=resource)


@pytest.mark.parametrize("value", [*NO_RESOURCES[:12], "https://<your-api>/"])
def test_the_variable_is_checked_too(issuer: Issuer, value: str) -> None:
    with pytest.raises(ConfigError, match=naming("RESOURCE_URL")):
        config_for(issuer, RESOURCE_URL=value)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://localhost:6060"),
        ({"HOST": "127.0.0.1", "PORT": "7000"}, "http://127.0.0.1:7000"),
        ({"RESOURCE_URL": "https://tunnel.example.com"}, "https://tunnel.example.com"),
    ],
)
def test_the_sandbox_knows_its_own_address(environ: dict[str, Any], expected: str) -> None:
    config: Config = sandbox_config(environ)
    assert config.resource_url == expected
