"""Can a user of hello.auth test their own handlers offline, as the README shows?"""

from collections.abc import Mapping
from typing import Any

import pytest

from hello.auth import AuthError, TokenValidator
from hello.sandbox.fixtures import ClientKey, Issuer
from hello.tokens import Presented, present

pytest_plugins = ["pytester"]
URL = "https://api.example.com/reports"

APP = """
from aiohttp import web
from hello import auth

@auth.protected(permissions={"read:reports"})
async def reports(request):
    return web.json_response({"for": request[auth.ACCESS_TOKEN].subject})

def create_app(issuer, audience, **options):
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer, audience=audience, **options))
    app.router.add_get("/reports", reports)
    return app
"""

TESTS = """
from app import create_app
from hello.sandbox.fixtures import ClientKey

async def test_reports(aiohttp_client, sandbox_issuer):
    app = create_app(sandbox_issuer.url, sandbox_issuer.audience)
    client = await aiohttp_client(app)
    for permissions, status in [(["read:reports"], 200), ([], 403)]:
        headers = sandbox_issuer.bearer(permissions=permissions, claims={"sub": "alice"})
        async with client.get("/reports", headers=headers) as response:
            assert response.status == status

async def test_expired(aiohttp_client, sandbox_issuer):
    client = await aiohttp_client(create_app(sandbox_issuer.url, sandbox_issuer.audience))
    token = sandbox_issuer.mint(claims={"exp": 1})
    async with client.get("/reports", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 401

async def test_bound(aiohttp_client, sandbox_issuer):
    app = create_app(sandbox_issuer.url, sandbox_issuer.audience, dpop="required")
    client = await aiohttp_client(app)
    key, other = ClientKey(), ClientKey()
    claims = {"cnf": key.confirmation, "permissions": ["read:reports"]}
    token = sandbox_issuer.mint(claims=claims)
    url = str(client.make_url("/reports"))
    for headers, status in [
        (key.headers("GET", url, token), 200),
        (key.headers("GET", f"{url}?a=b#c", token), 200),
        (key.headers("POST", url, token), 401),
        (other.headers("GET", url, token), 401),
        ({"Authorization": f"Bearer {token}"}, 401),
    ]:
        async with client.get("/reports", headers=headers) as response:
            assert response.status == status
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixtures_work_in_a_suite_of_ones_own(pytester: pytest.Pytester, mode: str) -> None:
    marks = "" if mode == "auto" else "import pytest\npytestmark = pytest.mark.asyncio\n"
    pytester.makepyfile(app=APP, test_app=marks + TESTS)
    pytester.makeconftest('pytest_plugins = ["hello.sandbox.fixtures"]')
    result = pytester.runpytest_subprocess(
        *("-W", "error", "-o", f"asyncio_mode={mode}", "-p", "no:cacheprovider"),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
    )
    result.assert_outcomes(passed=3)


def presenting(headers: Mapping[str, str]) -> Presented:
    """A GET with these headers."""
    return present(lambda name: [headers[name]], dpop=lambda: ("GET", URL))


@pytest.mark.parametrize(
    ("asked", "permissions", "scopes"),
    [
        ({}, set(), set()),
        ({"permissions": ["read:reports"]}, {"read:reports"}, set()),
        ({"permissions": {"a", "b"}, "scopes": ("c", "d")}, {"a", "b"}, {"c", "d"}),
        ({"permissions": ["a"], "claims": {"permissions": ["b"]}}, {"b"}, set()),
    ],
)
async def test_a_test_gets_the_headers_of_a_request(
    sandbox_issuer: Issuer, asked: dict[str, Any], permissions: set[str], scopes: set[str]
) -> None:
    validator = TokenValidator(issuer=sandbox_issuer.url, audience=sandbox_issuer.audience)
    headers = sandbox_issuer.bearer(**asked)
    token = await validator.validate(presenting(headers))
    assert token.permissions == permissions
    assert token.scopes == scopes
    await validator.close()


@pytest.mark.parametrize("name", ["permissions", "scopes"])
async def test_one_name_is_no_list_of_names(sandbox_issuer: Issuer, name: str) -> None:
    """Otherwise each of its letters would be granted."""
    asked: dict[str, Any] = {name: "read:reports"}
    with pytest.raises(ValueError, match=name):
        sandbox_issuer.bearer(**asked)


async def test_a_client_key_proves_that_a_token_is_its_own(sandbox_issuer: Issuer) -> None:
    """Once for each request, and for the request that it is made for."""
    key, other = ClientKey(), ClientKey()
    token = sandbox_issuer.mint(claims={"cnf": key.confirmation})
    validator = TokenValidator(
        issuer=sandbox_issuer.url, audience=sandbox_issuer.audience, dpop="required"
    )
    good = key.headers("GET", URL, token)
    for headers, is_good in [
        (good, True),
        (good, False),
        (key.headers("GET", URL, token), True),
        (key.headers("POST", URL, token), False),
        (key.headers("GET", f"{URL}/1", token), False),
        (key.headers("GET", URL, "another") | {"Authorization": good["Authorization"]}, False),
        (other.headers("GET", URL, token), False),
    ]:
        sent = presenting(headers)
        if is_good:
            assert (await validator.validate(sent)).token == token
        else:
            with pytest.raises(AuthError):
                await validator.validate(sent)
    await validator.close()
