"""Can a user of hello.auth test their own handlers offline, as the README shows?"""

import pytest

pytest_plugins = ["pytester"]

APP = """
from aiohttp import web
from hello import auth

@auth.protected(permissions={"read:reports"})
async def reports(request):
    return web.json_response({"for": request[auth.ACCESS_TOKEN].subject})

def create_app(issuer, audience):
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer, audience=audience))
    app.router.add_get("/reports", reports)
    return app
"""

TESTS = """
from app import create_app

async def test_reports(aiohttp_client, sandbox_issuer):
    app = create_app(sandbox_issuer.url, sandbox_issuer.audience)
    client = await aiohttp_client(app)
    for permissions, status in [(["read:reports"], 200), ([], 403)]:
        token = sandbox_issuer.mint(claims={"sub": "alice", "permissions": permissions})
        headers = {"Authorization": f"Bearer {token}"}
        async with client.get("/reports", headers=headers) as response:
            assert response.status == status

async def test_expired(aiohttp_client, sandbox_issuer):
    client = await aiohttp_client(create_app(sandbox_issuer.url, sandbox_issuer.audience))
    token = sandbox_issuer.mint(claims={"exp": 1})
    async with client.get("/reports", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 401
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
    result.assert_outcomes(passed=2)
