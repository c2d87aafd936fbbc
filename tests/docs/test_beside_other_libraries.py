"""Does each example of hello/docs/beside-other-libraries.md do what the page says?"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.libraries import PAGE, library
from support.pages import examples
from support.protecting import status

pytestmark = [
    # Of aiohttp-swagger3.
    pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning"),
    pytest.mark.filterwarnings("ignore:returning HTTPException object"),
]
MODULES = ("aiohttp_mcp", "aiohttp_swagger3", "aiohttp_remotes", "aiohttp_middlewares")
ORIGIN = "https://app.example.com"
Start = Callable[[ApiServer], Awaitable[Client]]


@pytest.fixture
def names(issuer: Issuer) -> dict[str, Any]:
    """All that the page defines, for an issuer that is up."""
    for module in (*MODULES, "aiohttp_pydantic"):
        library(module)
    names: dict[str, Any] = {"__name__": "my_api"}
    code = "\n".join(examples(PAGE, "python").values())
    code = code.replace("https://dev-abc123.eu.auth0.com/", issuer.url)
    code = code.replace("https://api.example.com", AUDIENCE).replace("10.0.0.7", "127.0.0.1")
    exec(compile(code, PAGE, "exec"), names)
    return names


async def answers(client: Client, issuer: Issuer, path: str, permission: str) -> list[int]:
    tokens = [None, issuer.mint(), issuer.mint(claims={"permissions": [permission]})]
    return [await status(client, token, path) for token in tokens]


async def test_paths(names: dict[str, Any], issuer: Issuer) -> None:
    app = names["create_app"]()
    listed = {route.path: route.access for route in auth.routes(app)}
    assert listed == {**dict.fromkeys(names["DOCUMENTS"], "public"), "/mcp": "permission use:tools"}
    async with Client(ApiServer(app)) as client:  # in one task, which aiohttp-mcp needs
        for path in names["DOCUMENTS"][:3]:
            assert await status(client, path=path) == 200
        assert (await answers(client, issuer, "/mcp", "use:tools"))[:2] == [401, 403]


async def test_first(
    names: dict[str, Any], aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    app = await names["create_app_for_a_page"]()
    client = await aiohttp_client(ApiServer(app))
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]
    headers = {"Origin": ORIGIN, "X-Forwarded-For": "192.0.2.1"}
    async with client.get("/", headers=headers) as response:
        assert response.status == 404
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_above(
    names: dict[str, Any], validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Start
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", names["report"])
    client = await aiohttp_client(ApiServer(app))
    assert await answers(client, issuer, "/?number=7", "read:reports") == [401, 403, 200]


async def test_cors(names: dict[str, Any], issuer: Issuer, aiohttp_client: Start) -> None:
    client = await aiohttp_client(ApiServer(names["create_app_with_cors"]()))
    assert await answers(client, issuer, "/reports", "read:reports") == [401, 403, 200]
    for method, path, token, expected in (
        ("GET", "/reports", None, 401),
        ("POST", "/reports", issuer.mint(), 403),
        ("PUT", "/reports", issuer.mint(), 405),
        ("GET", "/nowhere", None, 404),
    ):
        headers = {"Origin": ORIGIN, **(bearer(token) if token else {})}
        async with client.request(method, path, headers=headers) as response:
            assert response.status == expected
            assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert response.headers["Vary"] == "Origin"
        async with client.request(method, path, headers={"Origin": "https://x.example"}) as other:
            assert "Access-Control-Allow-Origin" not in other.headers
