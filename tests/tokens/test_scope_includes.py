"""Does a token have what its scopes include, and can no scope include itself?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.answers import INSUFFICIENT, NO_TOKEN, challenge
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.naming import naming
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
INCLUDES: dict[str, Any] = {
    "admin": {"write:notes", "read:files"},
    "write:notes": ["read:notes"],
    "read:notes": ("list:notes",),
    "nothing": [],
}


def validator(issuer: Issuer, **options: Any) -> auth.TokenValidator:
    given = {"scope_includes": INCLUDES, **options}
    return auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, **given)


@pytest.fixture
async def app(issuer: Issuer) -> web.Application:
    app = web.Application()
    auth.setup(app, validator(issuer), resource="https://api.example.com")
    for path, asked in ASKED.items():
        app.router.add_get(path, auth.protected(**asked)(new_handler()))
    return app


ASKED: dict[str, dict[str, Any]] = {
    "/write": {"scopes": ["write:notes"]},
    "/read": {"scopes": ["read:notes"]},
    "/list": {"scopes": ["list:notes"]},
    "/any": {"any_scope": ["read:files", "list:notes"]},
    "/both": {"scopes": ["read:files", "read:notes"]},
    "/claim": {"claims": {"scope": {"read:notes"}}},
}


@pytest.mark.parametrize(
    ("claims", "reached"),
    [
        ({"scope": "admin"}, {"/write", "/read", "/list", "/any", "/both"}),
        ({"scp": ["admin"]}, {"/write", "/read", "/list", "/any", "/both"}),
        ({"scope": "write:notes"}, {"/write", "/read", "/list", "/any"}),
        ({"scope": "write:notes read:files"}, {"/write", "/read", "/list", "/any", "/both"}),
        ({"scope": "read:notes"}, {"/read", "/list", "/any", "/claim"}),
        ({"scope": "list:notes"}, {"/list", "/any"}),
        ({"scope": "nothing Admin admin: write"}, set()),
        ({"permissions": ["admin"]}, set()),
        ({}, set()),
    ],
)
async def test_a_scope_grants_what_it_includes_and_no_more(
    app: web.Application,
    issuer: Issuer,
    aiohttp_client: Start,
    claims: dict[str, Any],
    reached: set[str],
) -> None:
    """Through several steps, and never upwards. A claim is compared as it stands in the token."""
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims=claims)
    for _ in ("verified", "from the cache"):
        answers = {path: await status(client, token, path=path) for path in ASKED}
        assert answers == {path: 200 if path in reached else 403 for path in ASKED}


async def test_challenges_and_metadata_name_what_the_route_asks_for(
    app: web.Application, issuer: Issuer, aiohttp_client: Start
) -> None:
    client = await aiohttp_client(ApiServer(app))
    url = "https://api.example.com/.well-known/oauth-protected-resource"
    told = {"scope": "read:notes", "resource_metadata": url}
    async with client.get("/read") as response:
        assert challenge(response.headers) == NO_TOKEN | told
    headers = bearer(issuer.mint(claims={"scope": "list:notes"}))
    async with client.get("/read", headers=headers) as response:
        assert challenge(response.headers) == INSUFFICIENT | told
    async with client.get("/.well-known/oauth-protected-resource") as response:
        listed = (await response.json())["scopes_supported"]
    assert listed == ["list:notes", "read:files", "read:notes", "write:notes"]
    documented = auth.openapi(app)["paths"]["/read"]["get"]["security"]
    assert {name for each in documented for names in each.values() for name in names} == {
        "read:notes"
    }


async def test_an_explanation_knows_what_is_included(app: web.Application, issuer: Issuer) -> None:
    explained = await auth.explain(app, issuer.mint(claims={"scope": "write:notes"}))
    lacking = {path: words for _, path, words in explained.routes}
    assert {path for path, words in lacking.items() if words} == {"/both", "/claim"}
    assert "read:files" in lacking["/both"]
    assert "read:notes" not in lacking["/both"]
    await app[auth.TOKEN_VALIDATOR].close()


async def test_a_handler_sees_them_and_the_claim_stays_as_it_was_sent(
    issuer: Issuer, aiohttp_client: Start
) -> None:
    async def handler(request: web.Request) -> web.Response:
        token = auth.token(request)
        return web.json_response([sorted(token.scopes), token.claims["scope"]])

    app, includes = web.Application(), {"a": ["b"]}
    auth.setup(app, validator(issuer, scope_includes=includes))
    includes["x"] = ["y"]  # what is changed later does not count
    app.router.add_get("/", handler)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint(claims={"scope": "a x"}))) as response:
        assert await response.json() == [["a", "b", "x"], "a x"]


@pytest.mark.parametrize(
    ("includes", "named"),
    [
        ({"a": ["a"]}, ["a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b"]),
        ({"a": ["b"], "b": ["c"], "c": {"d", "b"}}, ["b", "c"]),
        ({"a": "b"}, ["'b'"]),
        ({"a": 7}, ["7"]),
        ({"a": [7]}, ["7"]),
        ({"a": ["b c"]}, ["'b c'"]),
        ({"a": ['"']}, ["'\"'"]),
        ({"a\r\nb": ["c"]}, [repr("a\r\nb")]),
        ({"": ["c"]}, ["''"]),
        ({7: ["c"]}, ["7"]),
        ([("a", "b")], ["('a', 'b')"]),
        ("a", ["'a'"]),
    ],
)
def test_what_makes_no_sense_is_an_error_at_once(
    issuer: Issuer, includes: Any, named: list[str]
) -> None:
    with pytest.raises(ValueError, match=naming("scope_includes", *named)):
        validator(issuer, scope_includes=includes)
