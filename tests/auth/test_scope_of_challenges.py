"""Which scopes does a client hear of that is refused, and in which order?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.answers import INSUFFICIENT, INVALID, NO_TOKEN, WEAK_LOGIN, challenge
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.protecting import Serve, new_handler

Start = Callable[[ApiServer], Awaitable[Client]]


async def refuses(_token: auth.AccessToken) -> bool:
    return False


ALL = {"scope": "z a"}
# what the route asks for, the claims of a token (None: no token), its challenge
TABLE: list[tuple[dict[str, Any], dict[str, Any] | None, dict[str, str]]] = [
    ({"scopes": ["z", "a"]}, None, NO_TOKEN | ALL),
    ({"scopes": ("z", "a", "z")}, None, NO_TOKEN | ALL),
    ({"scopes": {"z", "a", "m"}}, None, NO_TOKEN | {"scope": "a m z"}),
    ({"any_scope": ["z", "a"]}, None, NO_TOKEN | {"scope": "z"}),
    ({"any_scope": {"z", "a"}}, None, NO_TOKEN | {"scope": "a"}),
    ({"scopes": ["z"], "any_scope": ["b", "a"]}, None, NO_TOKEN | {"scope": "z b"}),
    ({"scopes": ["z"], "any_scope": ["b", "z"]}, None, NO_TOKEN | {"scope": "z"}),
    ({"permissions": {"p"}}, None, NO_TOKEN),
    ({"scopes": ["z", "a"], "permissions": {"p"}}, None, NO_TOKEN | ALL),
    ({"scopes": ["z", "a"]}, {"exp": 1}, INVALID | ALL),
    ({"scopes": ["z", "a"]}, {"aud": "x", "scope": "z"}, INVALID | ALL),
    ({"scopes": ["z", "a"]}, {"scope": "z"}, INSUFFICIENT | ALL),
    (
        {"any_scope": ["z", "a"], "permissions": {"p"}},
        {"scope": "a"},
        INSUFFICIENT | {"scope": "a"},
    ),
    ({"scopes": ["z", "a"], "permissions": {"p"}}, {"scope": "z a"}, INSUFFICIENT | ALL),
    ({"scopes": ["z", "a"], "claims": {"org": "o"}}, {"scope": "z a"}, INSUFFICIENT | ALL),
    ({"scopes": ["z", "a"], "check": refuses}, {"scope": "z a"}, INSUFFICIENT | ALL),
    (
        {"scopes": ["z", "a"], "acr_values": ["mfa"]},
        {"scope": "z a"},
        WEAK_LOGIN | ALL | {"acr_values": "mfa"},
    ),
    ({"check": refuses}, {"scope": "z a"}, INSUFFICIENT),
]


@pytest.mark.parametrize(("asked", "claims", "expected"), TABLE)
async def test_every_challenge_of_a_route_names_its_scopes(
    serve: Serve,
    issuer: Issuer,
    asked: dict[str, Any],
    claims: dict[str, Any] | None,
    expected: dict[str, str],
) -> None:
    """RFC 6750 §3: "indicating the required scope of the access token"."""
    client = await serve(web.get("/", auth.protected(**asked)(new_handler())))
    headers = {} if claims is None else bearer(issuer.mint(claims=claims))
    async with client.get("/", headers=headers) as response:
        assert response.status in (401, 403)
        assert challenge(response.headers) == expected


async def test_the_scopes_of_a_handler_come_before_those_of_its_groups(
    validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    root = auth.protected(scopes=["r", "a"])(web.Application())
    child = auth.protected(scopes=["c"])(web.Application())
    auth.setup(root, validator)
    child.router.add_get("/", auth.protected(scopes=["z", "a"])(new_handler()))
    child.router.add_get("/open", auth.optional(new_handler()))
    root.add_subapp("/child", child)
    client = await aiohttp_client(ApiServer(root))
    async with client.get("/child/") as response:
        assert challenge(response.headers) == NO_TOKEN | {"scope": "z a c r"}
    async with client.get("/child/open", headers=bearer("nonsense")) as response:
        assert challenge(response.headers) == INVALID | {"scope": "c r a"}


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        (["write"], "read write"),
        ({"write", "append"}, "read append write"),
        (["write", "read"], "read write"),
        ("write append", "read write append"),
        ("", "read"),
        ([], "read"),
        (['a"b', "c\r\nd", "\u212a"], "read ab c d"),
    ],
)
async def test_a_handler_adds_scopes_to_those_of_its_route(
    serve: Serve, issuer: Issuer, scope: Any, told: str
) -> None:
    """A client that asks for what is told gets a token that passes both."""

    @auth.protected(scopes={"read"})
    async def handler(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.SCOPE, scope=scope)

    client = await serve(web.get("/", handler))
    async with client.get("/", headers=bearer(issuer.mint(claims={"scope": "read"}))) as response:
        assert response.status == 403
        assert challenge(response.headers).pop("scope").split() == told.split()


@pytest.mark.parametrize("mode", ["allowed", "required"])
async def test_both_schemes_name_them(aiohttp_client: Start, issuer: Issuer, mode: Any) -> None:
    """RFC 9449 §7.1: the parameter has the same meaning there."""
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, dpop=mode))
    app.router.add_get("/", auth.protected(scopes=["z", "a"])(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/") as response:
        told = response.headers["WWW-Authenticate"]
    assert told.count('scope="z a"') == (2 if mode == "allowed" else 1)
    assert told.endswith('scope="z a"')


async def test_where_nothing_is_asked_nothing_is_named(
    serve: Serve, issuer: Issuer, validator: auth.TokenValidator, aiohttp_client: Start
) -> None:
    client = await serve(web.get("/", new_handler()))
    async with client.get("/", headers=bearer("nonsense")) as response:
        assert challenge(response.headers) == INVALID

    @web.middleware
    async def refuse(request: web.Request, handler: object) -> web.StreamResponse:
        raise auth.UnauthorizedError

    app = web.Application()
    auth.setup(app, validator)
    app.middlewares.append(refuse)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/nowhere") as response:
        assert challenge(response.headers) == NO_TOKEN


BAD_SCOPES = ['a"b', "a\\b", "a b", "a\nb", "a\r\nX-Injected: 1", "\x7f", "é", "\x00", " ", ""]


@pytest.mark.parametrize("option", ["scopes", "any_scope"])
@pytest.mark.parametrize("name", BAD_SCOPES)
def test_what_a_challenge_cannot_contain_is_an_error_at_import(option: str, name: str) -> None:
    """RFC 6749 §3.3."""
    asked: dict[str, Any] = {option: [name]}
    with pytest.raises(TypeError, match=rf"^{option} "):
        auth.protected(**asked)


def test_another_framework_can_name_them_too() -> None:
    challenges = auth.Challenges(scopes=("z", "a"), resource_metadata="https://api.example.com/m")
    for refusal in (auth.UnauthorizedError(), auth.InvalidTokenError(auth.Reason.EXPIRED)):
        told = challenge(refusal.headers_with(challenges))
        assert (told["scope"], told["resource_metadata"]) == ("z a", "https://api.example.com/m")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"scopes": ["z", "a"]}, "z a"),
        ({"any_scope": ["z", "b"], "permissions": {"p"}}, "b"),
        ({"scopes": ["b"], "claims": {"org": "o"}}, "b"),
        ({"scopes": ["b"], "check": refuses}, "b"),
        ({"check": refuses}, None),
    ],
)
async def test_a_refusal_names_them_by_itself(asked: dict[str, Any], told: str | None) -> None:
    """For whoever answers it without a mark, in another framework."""
    token = auth.AccessToken.of("", {}, {"iss": "i", "exp": 2, "scope": "b"})
    with pytest.raises(auth.InsufficientScopeError) as refused:
        await auth.check_requirements([auth.Requirement(**asked)], token)
    assert challenge(refused.value.headers).get("scope") == told
    assert refused.value.scope == frozenset((told or "").split())
