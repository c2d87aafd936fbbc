"""Can the pages of every origin read an API's metadata, whatever other CORS there is?"""

from collections.abc import Awaitable, Callable

import aiohttp_cors
import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.sandbox.issuer import Issuer
from support.api import ORIGIN, SECURITY_HEADERS, ApiServer, Client, config_for
from support.protecting import new_handler

Start = Callable[[ApiServer], Awaitable[Client]]
RESOURCE = "https://api.example.com"
WELL_KNOWN = "/.well-known/oauth-protected-resource"
ELSEWHERE = "https://inspector.example.org"


def own(validator: auth.TokenValidator) -> web.Application:
    app = web.Application()
    auth.setup(app, validator, resource=RESOURCE)
    app.router.add_get("/", new_handler())
    return app


def with_cors_after(validator: auth.TokenValidator) -> web.Application:
    app = own(validator)
    cors = aiohttp_cors.setup(app, defaults={ORIGIN: aiohttp_cors.ResourceOptions()})
    for route in list(app.router.routes()):
        cors.add(route)
    return app


def with_cors_before(validator: auth.TokenValidator) -> web.Application:
    app = web.Application()
    options = aiohttp_cors.ResourceOptions(allow_credentials=True, expose_headers="*")
    cors = aiohttp_cors.setup(app, defaults={"*": options})
    auth.setup(app, validator, resource=RESOURCE)
    app.router.add_get("/", new_handler())
    for route in list(app.router.routes()):
        cors.add(route)
    return app


def with_a_setup_in_it(validator: auth.TokenValidator) -> web.Application:
    root, child = web.Application(), web.Application()
    auth.setup(child, validator, resource=RESOURCE, root=root)
    child.router.add_get("/", new_handler())
    root.add_subapp("/child", child)
    return root


APPLICATIONS = [own, with_cors_after, with_cors_before, with_a_setup_in_it]


@pytest.mark.parametrize("make", APPLICATIONS)
@pytest.mark.parametrize("origin", [ORIGIN, ELSEWHERE, "null", None])
async def test_pages_of_every_origin_may_read_it(
    aiohttp_client: Start,
    validator: auth.TokenValidator,
    make: Callable[[auth.TokenValidator], web.Application],
    origin: str | None,
) -> None:
    client = await aiohttp_client(ApiServer(make(validator)))
    headers = {} if origin is None else {"Origin": origin}
    said = []
    for method in ("GET", "HEAD"):
        async with client.request(method, WELL_KNOWN, headers=headers) as response:
            assert response.status == 200
            assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
            assert "Access-Control-Allow-Credentials" not in response.headers
            assert response.headers["Cache-Control"] == "max-age=300"
            assert response.headers["Content-Type"] == "application/json; charset=utf-8"
            said.append((response.headers["Content-Length"], await response.read()))
    assert said[0][0] == said[1][0] == str(len(said[0][1]))
    assert said[1][1] == b""


@pytest.mark.parametrize("make", APPLICATIONS)
async def test_a_preflight_for_it_is_answered(
    aiohttp_client: Start,
    validator: auth.TokenValidator,
    make: Callable[[auth.TokenValidator], web.Application],
) -> None:
    """A client of MCP sends a header with its version, so a browser asks first."""
    client = await aiohttp_client(ApiServer(make(validator)))
    asked = {
        "Origin": ELSEWHERE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "mcp-protocol-version,authorization",
    }
    async with client.options(WELL_KNOWN, headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
        allowed = response.headers["Access-Control-Allow-Headers"]
        assert allowed.split(", ") == ["*", "Authorization"]
        assert response.headers["Access-Control-Max-Age"] == "86400"
    async with client.post(WELL_KNOWN) as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("make", [with_cors_after, with_cors_before])
async def test_the_other_routes_keep_their_own_cors(
    aiohttp_client: Start,
    validator: auth.TokenValidator,
    make: Callable[[auth.TokenValidator], web.Application],
) -> None:
    client = await aiohttp_client(ApiServer(make(validator)))
    asked = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}
    async with client.options("/", headers=asked) as response:
        assert response.status == (403 if make is with_cors_after else 200)
        assert response.headers.get("Access-Control-Allow-Origin") != "*"


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_of_this_api_too(aiohttp_client: Start, issuer: Issuer, method: str) -> None:
    """The security headers are those of every answer, `no-store` among them."""
    client = await aiohttp_client(ApiServer(create_app(config_for(issuer, RESOURCE_URL=RESOURCE))))
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}
    async with client.request(method, WELL_KNOWN, headers=headers) as response:
        assert response.status == (200 if method == "GET" else 204)
        assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        assert response.headers["Vary"] == "Origin"
        answer = response.headers
        assert {name: answer[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_what_is_listed_is_what_answers(validator: auth.TokenValidator) -> None:
    for make, preflight in {own: [], with_cors_after: ["OPTIONS"]}.items():
        listed = [each for each in auth.routes(make(validator)) if each.path == WELL_KNOWN]
        assert [each.method for each in listed] == ["GET", "HEAD", *preflight]
        assert {each.access for each in listed} <= {"public", "preflight"}
