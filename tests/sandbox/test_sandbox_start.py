"""What does the sandbox consist of, and when does it refuse to start?"""

import re
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from hello.app import create_app
from hello.config import Config, ConfigError
from hello.sandbox import start
from hello.sandbox.issuer import OMIT
from support.api import Client
from support.logging_in import claims_of
from support.naming import naming
from support.token_endpoint import FORM, TOKEN, form

TENANT = {
    "AUTH0_DOMAIN": "dev-abc123.eu.auth0.com",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
}


def test_it_needs_no_configuration() -> None:
    config = start.sandbox_config({})
    assert (config.base_url, config.issuer) == ("http://localhost:6060", "http://localhost:6061/")
    assert config.client_origin == "http://localhost:4040"


@pytest.mark.parametrize(
    ("environ", "name", "value"),
    [
        ({"PORT": "7070"}, "port", 7070),
        ({"PORT": " "}, "port", 6060),
        ({"HOST": "127.0.0.1"}, "host", "127.0.0.1"),
        ({"HOST": "::1"}, "base_url", "http://[::1]:6060"),
        ({"CLIENT_ORIGIN_URL": "http://localhost:5173"}, "client_origin", "http://localhost:5173"),
        ({"AUTH0_AUDIENCE": "hello"}, "audience", "hello"),
        ({"ADMIN_PERMISSION": "read:all"}, "admin_permission", "read:all"),
        ({"TOKEN_SIGNING_ALG": "ES256,RS256"}, "algorithms", ("ES256", "RS256")),
    ],
)
def test_what_is_set_counts(environ: dict[str, str], name: str, value: object) -> None:
    assert getattr(start.sandbox_config(environ), name) == value


@pytest.mark.parametrize(
    ("environ", "problems"),
    [
        ({"HOST": "0.0.0.0"}, [["HOST", "'0.0.0.0'", "AUTH0_DOMAIN", "ISSUER_BASE_URL"]]),
        ({"HOST": "192.168.1.7"}, [["HOST", "'192.168.1.7'", "AUTH0_DOMAIN"]]),
        ({"HOST": "example.com"}, [["HOST", "'example.com'", "AUTH0_DOMAIN"]]),
        ({"TOKEN_SIGNING_ALG": "ES256"}, [["TOKEN_SIGNING_ALG", "RS256"]]),
        ({"HOST": "0.0.0.0", "TOKEN_SIGNING_ALG": "ES256"}, [["HOST"], ["TOKEN_SIGNING_ALG"]]),
        ({"PORT": "x"}, [["PORT", "'x'"]]),
    ],
)
def test_it_says_why_it_does_not_start(environ: dict[str, str], problems: list[list[str]]) -> None:
    with pytest.raises(ConfigError) as raised:
        start.sandbox_config(environ)
    for said, (variable, *named) in zip(raised.value.problems, problems, strict=True):
        assert said.startswith(f"{variable} ")
        assert re.search(naming(*named), said)


def test_its_issuer_listens_where_the_configuration_says() -> None:
    config = start.sandbox_config({"ADMIN_PERMISSION": "do:this"})
    [service] = start.sandbox_services(config, create_app(config), client=False)
    assert (service.name, service.host, service.port) == ("issuer", "localhost", 6061)


def test_the_demo_client_has_lessons_in_the_sandbox_alone() -> None:
    config = start.sandbox_config({})
    _issuer, client = start.sandbox_services(config, create_app(config), client=True)
    for service, has_lessons in ((client, True), (start.client_service(config), False)):
        paths = {resource.canonical for resource in service.app.router.resources()}
        assert ("/lessons/issuer" in paths) is has_lessons


@pytest.mark.parametrize(
    ("environ", "resource", "status"),
    [
        ({}, "http://localhost:6060", 200),
        ({}, "http://localhost:6060/", 200),
        ({"PORT": "7070"}, "http://localhost:7070", 200),
        ({"PORT": "7070"}, "http://localhost:6060", 400),
        ({"RESOURCE_URL": "https://api.example.com/v1"}, "https://api.example.com/v1", 200),
    ],
)
async def test_its_issuer_knows_the_api_by_its_address(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
    environ: dict[str, str],
    resource: str,
    status: int,
) -> None:
    """As the API's metadata names it (RFC 9728), a client asks for tokens by it (RFC 8707)."""
    config = start.sandbox_config(environ)
    [service] = start.sandbox_services(config, web.Application(), client=False)
    client = await aiohttp_client(service.app)
    body = form(audience=OMIT, resource=resource)
    async with client.post(TOKEN, data=body, headers={"Content-Type": FORM}) as response:
        assert response.status == status
        if status == 200:
            token = (await response.json())["access_token"]
            assert claims_of(token)["aud"] == config.audience


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "6061"), ("CLIENT_ORIGIN_URL", "http://localhost:6061")]
)
def test_nobody_else_listens_where_the_issuer_does(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=naming(name, 6061)):
        start.sandbox_config({name: value})


def test_the_demo_client_listens_at_its_origin() -> None:
    for origin, port in {"http://localhost:4040": 4040, "http://localhost": 80}.items():
        service = start.client_service(start.sandbox_config({"CLIENT_ORIGIN_URL": origin}))
        assert (service.host, service.port) == ("localhost", port)


def test_the_demo_client_works_with_a_tenant_that_knows_it() -> None:
    config = Config.from_environ({**TENANT, "AUTH0_CLIENT_ID": "abc"})
    assert start.client_service(config).port == 4040


@pytest.mark.parametrize(
    ("environ", "problems"),
    [
        ({}, [["AUTH0_CLIENT_ID"]]),
        (
            {"AUTH0_CLIENT_ID": "abc", "CLIENT_ORIGIN_URL": "https://app.example.com"},
            [["CLIENT_ORIGIN_URL", "'https://app.example.com'"]],
        ),
        (
            {"AUTH0_CLIENT_ID": "abc", "CLIENT_ORIGIN_URL": "https://localhost:4040"},
            [["CLIENT_ORIGIN_URL", "'https://localhost:4040'"]],
        ),
        (
            {"CLIENT_ORIGIN_URL": "http://app.example.com"},
            [["AUTH0_CLIENT_ID"], ["CLIENT_ORIGIN_URL"]],
        ),
    ],
)
def test_the_demo_client_says_why_it_does_not_start(
    environ: dict[str, str], problems: list[list[str]]
) -> None:
    config = Config.from_environ({**TENANT, **environ})
    with pytest.raises(ConfigError) as raised:
        start.client_service(config)
    for said, (variable, *named) in zip(raised.value.problems, problems, strict=True):
        assert said.startswith(f"{variable} ")
        assert re.search(naming(*named), said)


@pytest.mark.parametrize("client", [True, False])
def test_it_tells_of_the_browser_where_there_is_a_page_to_open(*, client: bool) -> None:
    said = start.greeting(start.sandbox_config({}), client=client)
    assert ("http://localhost:4040" in said) is client
    addresses = [
        f"http://localhost:6060/api/{path}" for path in ("messages/public", "openapi.json")
    ]
    assert re.search(naming(*addresses, ".env.example"), said)


@pytest.mark.parametrize(("dpop", "named"), [("allowed", "curl"), ("required", "bound.py")])
def test_it_shows_a_client_whose_tokens_the_api_accepts(dpop: str, named: str) -> None:
    said = start.greeting(start.sandbox_config({"DPOP": dpop}), client=True)
    assert re.search(naming(named), said)
    assert ("Bearer" in said) is (dpop == "allowed")
