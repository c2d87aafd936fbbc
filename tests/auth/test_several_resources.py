"""Are several resources in one application told apart: metadata, challenges, tokens (RFC 9728)?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.answers import INVALID, NO_TOKEN, challenge
from support.api import ApiServer, Client, bearer
from support.naming import naming
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
API = "https://api.example.com"
NOTES, FILES = f"{API}/notes", f"{API}/files"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def resource(
    root: web.Application, issuer: Issuer, name: str, **asked: Any
) -> tuple[web.Application, str]:
    """Mount a sub-application that is a resource of its own."""
    app = web.Application()
    url = f"{API}/{name}"
    validator = auth.TokenValidator(issuer=issuer.url, audience=url)
    auth.setup(app, validator, resource=url, root=root)
    app.router.add_get("/", auth.protected(**asked)(new_handler()))
    root.add_subapp(f"/{name}", app)
    return app, f"{API}{WELL_KNOWN}/{name}"


@pytest.fixture
async def client(aiohttp_client: Start, issuer: Issuer) -> Client:
    root = web.Application()
    resource(root, issuer, "notes", scopes=["read:notes"])
    resource(root, issuer, "files", scopes=["read:files"])
    return await aiohttp_client(ApiServer(root))


async def test_each_has_its_own_metadata_and_its_own_challenges(
    client: Client, issuer: Issuer
) -> None:
    for name in ("notes", "files"):
        async with client.get(f"{WELL_KNOWN}/{name}") as response:
            said = await response.json()
        assert said["resource"] == f"{API}/{name}"
        assert said["authorization_servers"] == [issuer.url]
        assert said["scopes_supported"] == [f"read:{name}"]
        scope_and_url = {
            "scope": f"read:{name}",
            "resource_metadata": f"{API}{WELL_KNOWN}/{name}",
        }
        async with client.get(f"/{name}/") as response:
            assert challenge(response.headers) == NO_TOKEN | scope_and_url
    assert await status(client, path=WELL_KNOWN) == 404
    assert await status(client, path=f"/notes{WELL_KNOWN}/notes") == 404


async def test_a_token_for_one_is_refused_at_the_other(client: Client, issuer: Issuer) -> None:
    for audience, expected in {
        NOTES: {"notes": 200, "files": 401},
        FILES: {"notes": 401, "files": 200},
        API: {"notes": 401, "files": 401},
        f"{NOTES}/": {"notes": 401, "files": 401},
    }.items():
        token = issuer.mint(claims={"aud": audience, "scope": "read:notes read:files"})
        for name, code in expected.items():
            async with client.get(f"/{name}/", headers=bearer(token)) as response:
                assert response.status == code
                if code == 401:
                    told = challenge(response.headers)
                    assert told["error"] == INVALID["error"]
                    assert told["resource_metadata"] == f"{API}{WELL_KNOWN}/{name}"
    both = issuer.mint(claims={"aud": [NOTES, FILES], "scope": "read:notes read:files"})
    assert await status(client, both, path="/notes/") == 200
    assert await status(client, both, path="/files/") == 200


@pytest.fixture
async def protected_root(aiohttp_client: Start, issuer: Issuer) -> Client:
    """A root that is a resource too, and therefore accepts the tokens of those in it."""
    root = auth.protected(scopes=["api"])(web.Application())
    validator = auth.TokenValidator(issuer=issuer.url, audience=[API, NOTES])
    auth.setup(root, validator, resource=API)
    root.router.add_get("/", new_handler())
    resource(root, issuer, "notes", scopes=["read:notes"])
    plain = auth.protected(scopes=["plain"])(web.Application())
    plain.router.add_get("/", new_handler())
    root.add_subapp("/plain", plain)
    return await aiohttp_client(ApiServer(root))


async def test_the_inner_one_is_named_even_if_the_outer_one_refuses(
    protected_root: Client, issuer: Issuer
) -> None:
    for path, token, url in [
        ("/", None, API + WELL_KNOWN),
        ("/plain/", None, API + WELL_KNOWN),
        ("/notes/", None, f"{API}{WELL_KNOWN}/notes"),
        ("/notes/", "nonsense", f"{API}{WELL_KNOWN}/notes"),
        ("/notes/", issuer.mint(claims={"aud": API, "scope": "api"}), f"{API}{WELL_KNOWN}/notes"),
    ]:
        headers = {} if token is None else bearer(token)
        async with protected_root.get(path, headers=headers) as response:
            assert response.status in (401, 403)
            assert challenge(response.headers)["resource_metadata"] == url


async def test_the_scopes_of_a_resource_are_those_that_its_routes_need(
    protected_root: Client, issuer: Issuer
) -> None:
    """With what the groups around it ask for, and without the routes of a resource in it."""
    for path, expected in {"": ["api", "plain"], "/notes": ["api", "read:notes"]}.items():
        async with protected_root.get(WELL_KNOWN + path) as response:
            assert (await response.json())["scopes_supported"] == expected
    token = issuer.mint(claims={"aud": NOTES, "scope": "api read:notes"})
    assert await status(protected_root, token, path="/notes/") == 200


async def test_an_application_in_a_resource_may_have_another_validator(
    aiohttp_client: Start, issuer: Issuer
) -> None:
    """If it is no resource of its own, its challenges name the one around it."""
    root, child = web.Application(), web.Application()
    auth.setup(root, auth.TokenValidator(issuer=issuer.url, audience=API), resource=API)
    narrow = auth.TokenValidator(issuer=issuer.url, audience=API, required_claims=["org"])
    auth.setup(child, narrow)
    child.router.add_get("/", auth.protected(scopes=["x"])(new_handler()))
    root.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(root))
    token = issuer.mint(claims={"aud": API, "scope": "x"})
    async with client.get("/child/", headers=bearer(token)) as response:
        assert response.status == 401
        assert challenge(response.headers)["resource_metadata"] == API + WELL_KNOWN
    async with client.get(WELL_KNOWN) as response:
        assert (await response.json())["scopes_supported"] == ["x"]


async def test_each_domain_can_be_a_resource(aiohttp_client: Start, issuer: Issuer) -> None:
    """Their documents have the same path, and the host decides which of them is sent."""
    root = web.Application()
    for host in ("a.example.com", "b.example.com"):
        app, url = web.Application(), f"https://{host}"
        auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=url), resource=url)
        app.router.add_get("/", new_handler())
        root.add_domain(host, app)
    client = await aiohttp_client(ApiServer(root))
    for host in ("a.example.com", "b.example.com"):
        named, url = {"Host": host}, f"https://{host}"
        async with client.get(WELL_KNOWN, headers=named) as response:
            assert (await response.json())["resource"] == url
        async with client.get("/", headers=named) as response:
            assert challenge(response.headers)["resource_metadata"] == url + WELL_KNOWN
        for audience in ("https://a.example.com", "https://b.example.com"):
            token = issuer.mint(claims={"aud": audience})
            expected = 200 if audience == url else 401
            assert await status(client, token, headers=named) == expected


def not_mounted(root: web.Application, issuer: Issuer) -> web.Application:
    app, other = web.Application(), web.Application()
    validator = auth.TokenValidator(issuer=issuer.url, audience=NOTES)
    auth.setup(app, validator, resource=NOTES, root=other)
    app.router.add_get("/", new_handler())
    return app


def root_is_mounted_itself(root: web.Application, issuer: Issuer) -> web.Application:
    middle = web.Application()
    resource(middle, issuer, "notes")
    root.add_subapp("/v1", middle)
    return root


def without_root(root: web.Application, issuer: Issuer) -> web.Application:
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=NOTES), resource=NOTES)
    root.add_subapp("/notes", app)
    return root


@pytest.mark.parametrize("make", [not_mounted, root_is_mounted_itself, without_root])
async def test_metadata_that_nobody_would_find_is_told_at_start(
    issuer: Issuer, make: Callable[[web.Application, Issuer], web.Application]
) -> None:
    runner = web.AppRunner(make(web.Application(), issuer))
    with pytest.raises(RuntimeError, match=naming("root", WELL_KNOWN)):
        await runner.setup()
    await runner.cleanup()


async def test_two_resources_cannot_have_one_path(issuer: Issuer) -> None:
    root = web.Application()
    resource(root, issuer, "notes")
    with pytest.raises(RuntimeError, match=naming(f"{WELL_KNOWN}/notes")):
        resource(root, issuer, "notes")


@pytest.mark.parametrize(
    ("url", "root"), [(None, web.Application()), (NOTES, "root"), (NOTES, web.AppRunner)]
)
async def test_a_root_without_use_is_refused_and_nobody_is_let_in(
    aiohttp_client: Start, validator: auth.TokenValidator, url: str | None, root: Any
) -> None:
    app = web.Application()
    app.router.add_get("/", auth.public(new_handler()))
    with pytest.raises(ValueError, match=naming("root")):
        auth.setup(app, validator, resource=url, root=root)
    assert await status(await aiohttp_client(ApiServer(app))) == 500
