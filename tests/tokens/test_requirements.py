"""What can a handler ask of a token, and who has it?"""

import copy
import logging
import pickle
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from hello import auth
from hello.sandbox.issuer import Issuer, issuer_app
from hello.tokens import Requirement
from support.answers import INSUFFICIENT, WEAK_LOGIN, challenge
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.clock import FakeClock
from support.logs import codes, faults, reasons, why
from support.naming import naming
from support.protecting import Serve, new_handler, status

ORG = {"org_id": "org_1"}
STAFF = {"groups": {"staff", "hr"}}


def is_alice(token: auth.AccessToken) -> bool:
    return token.subject == "alice"


async def is_alice_says_the_database(token: auth.AccessToken) -> bool:
    return token.subject == "alice"


def raises(_token: auth.AccessToken) -> bool:
    raise ZeroDivisionError("secret detail")


async def raises_later(_token: auth.AccessToken) -> bool:
    raise ZeroDivisionError("secret detail")


def says(value: Any) -> Callable[[auth.AccessToken], bool]:
    def check(_token: auth.AccessToken) -> bool:
        return value  # type: ignore[no-any-return]

    return check


# what is asked, the claims of a token, the reason of the refusal or None
TABLE: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"scopes": {"a", "b"}}, {"scope": "b c a"}, None),
    ({"scopes": {"a", "b"}}, {"scope": ["b", "a"]}, None),
    ({"scopes": {"a", "b"}}, {"scp": ["b", "a"]}, None),
    ({"scopes": {"a", "b"}}, {"scp": "a b"}, None),
    ({"scopes": {"a", "b"}}, {"scp": "a", "scope": "b"}, None),
    ({"scopes": {"a", "b"}}, {"scope": "a"}, "scope"),
    ({"scopes": {"a", "b"}}, {"scope": "ab"}, "scope"),
    ({"scopes": {"a", "b"}}, {"scope": ["a b"]}, "scope"),
    ({"scopes": {"a", "b"}}, {}, "scope"),
    ({"scopes": ["a"]}, {"permissions": ["a"]}, "scope"),
    ({"scopes": ()}, {}, None),
    ({"any_scope": ["a", "b"]}, {"scope": "b"}, None),
    ({"any_scope": ["a", "b"]}, {"scope": "a b"}, None),
    ({"any_scope": ["a", "b"]}, {"scope": "c"}, "scope"),
    ({"any_scope": ["a", "b"]}, {}, "scope"),
    ({"scopes": {"c"}, "any_scope": ["a", "b"]}, {"scope": "c b"}, None),
    ({"scopes": {"c"}, "any_scope": ["a", "b"]}, {"scope": "a b"}, "scope"),
    ({"permissions": {"p"}}, {"permissions": ["p", "q"]}, None),
    ({"permissions": {"p"}}, {"scope": "p"}, "permissions"),
    ({"scopes": {"a"}, "permissions": {"p"}}, {"scope": "a", "permissions": ["p"]}, None),
    ({"scopes": {"a"}, "permissions": {"p"}}, {"scope": "a"}, "permissions"),
    ({"claims": ORG}, {"org_id": "org_1"}, None),
    ({"claims": ORG}, {"org_id": "org_12"}, "claim"),
    ({"claims": ORG}, {"org_id": ["org_1"]}, "claim"),
    ({"claims": ORG}, {"org_id": None}, "claim"),
    ({"claims": ORG}, {}, "claim"),
    ({"claims": {"level": 1}}, {"level": 1}, None),
    ({"claims": {"level": 1}}, {"level": True}, "claim"),
    ({"claims": {"level": True}}, {"level": 1}, "claim"),
    ({"claims": {"level": None}}, {"level": 0}, "claim"),
    ({"claims": STAFF}, {"groups": ["hr", "staff", "x"]}, None),
    ({"claims": STAFF}, {"groups": "hr staff"}, "claim"),
    ({"claims": {"groups": {"hr"}}}, {"groups": "hr"}, None),
    ({"claims": {"groups": {"hr"}}}, {"groups": "not hr at all"}, "claim"),
    ({"claims": {"scope": {"a", "b"}}}, {"scope": "c b a"}, None),
    ({"claims": {"scp": ["a", "b"]}}, {"scp": "c b"}, "claim"),
    ({"claims": {"scp": {"b"}}}, {"scp": "c b"}, None),
    ({"claims": {"groups": [("a", "b")]}}, {"groups": [["a", "b"], "c"]}, None),
    ({"claims": {"groups": [("a", "b")]}}, {"groups": ["a", "b"]}, "claim"),
    ({"claims": STAFF}, {"groups": ["hr"]}, "claim"),
    ({"claims": STAFF}, {"groups": "hr"}, "claim"),
    ({"claims": STAFF}, {"groups": {"hr": 1, "staff": 1}}, "claim"),
    ({"claims": STAFF}, {"groups": 7}, "claim"),
    ({"claims": {"groups": [{"id": 1}]}}, {"groups": "x"}, "claim"),
    ({"claims": {"groups": [{"id": 1}]}}, {"groups": [{"id": 1}]}, None),
    ({"claims": {"act": None}}, {}, "claim"),
    ({"claims": {"act": None}}, {"act": None}, None),
    ({"claims": {"levels": [1]}}, {"levels": [True]}, "claim"),
    ({"claims": {"a": {"b": 1}}}, {"a": {"b": True}}, "claim"),
    ({"claims": {"a": {"b": 1}}}, {"a": {"b": 1, "c": 1}}, "claim"),
    ({"claims": {"a": {"b": 1}}}, {"a": {"b": 1}}, None),
    ({"claims": {"a": [[1]]}}, {"a": [[True]]}, "claim"),
    ({"claims": {"a": [[1]]}}, {"a": [[1, 1]]}, "claim"),
    ({"claims": {"a": [[1, {"b": 2}]]}}, {"a": [[1, {"b": 2}]]}, None),
    ({"claims": {"levels": (1,)}}, {"levels": [2, 1]}, None),
    ({"claims": {**ORG, **STAFF}}, {"org_id": "org_1", "groups": ["hr"]}, "claim"),
    ({"check": is_alice}, {"sub": "alice"}, None),
    ({"check": is_alice}, {"sub": "bob"}, "check"),
    ({"check": is_alice_says_the_database}, {"sub": "alice"}, None),
    ({"check": is_alice_says_the_database}, {"sub": "bob"}, "check"),
    ({"check": raises}, {}, "check"),
    ({"check": raises_later}, {}, "check"),
    ({"check": says(None)}, {}, "check"),
    ({"check": says(1)}, {}, "check"),
    ({"check": says("yes")}, {}, "check"),
    ({"check": is_alice, "scopes": {"a"}}, {"sub": "alice"}, "scope"),
]


@pytest.mark.parametrize(("asked", "claims", "reason"), TABLE)
async def test_all_that_is_asked_must_be_there(
    serve: Serve,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    asked: dict[str, Any],
    claims: dict[str, Any],
    reason: str | None,
) -> None:
    client = await serve(web.get("/", auth.protected(**asked)(new_handler())))
    async with client.get("/", headers=bearer(issuer.mint(claims=claims))) as response:
        if reason is None:
            assert response.status == 200
        else:
            assert response.status == 403
            assert await response.json() == {"message": auth.InsufficientScopeError.message}
            assert challenge(response.headers).items() >= INSUFFICIENT.items()
            assert reasons(caplog) == [f"403 {reason}"]
    assert await status(client) == 401


@pytest.mark.parametrize(
    ("asked", "scope"),
    [
        ({"scopes": {"b", "a"}}, "a b"),
        ({"any_scope": ["b", "a"]}, "b"),
        ({"scopes": {"c"}, "any_scope": ["b", "a"]}, "c b"),
        ({"scopes": {"c", "a"}, "any_scope": ["b", "a"]}, "a c"),
        ({"scopes": ["c", "a", "c"], "permissions": {"p"}}, "c a"),
        ({"any_scope": {"b", "a"}}, "a"),
        ({"permissions": {"p"}}, None),
        ({"claims": ORG}, None),
        ({"check": is_alice}, None),
    ],
)
async def test_a_refusal_says_which_scope_would_do(
    serve: Serve, issuer: Issuer, asked: dict[str, Any], scope: str | None
) -> None:
    client = await serve(web.get("/", auth.protected(**asked)(new_handler())))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        would_do = {} if scope is None else {"scope": scope}
        assert challenge(response.headers) == INSUFFICIENT | would_do


async def test_a_check_that_raises_is_logged_and_says_nothing(
    serve: Serve, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve(web.get("/", auth.protected(check=raises)(new_handler())))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert "secret" not in await response.text()
        assert "secret" not in str(response.headers)
    [fault] = faults(caplog)
    assert (fault.levelno, codes(caplog)) == (logging.ERROR, ["check"])
    assert isinstance(why(fault).__cause__, ZeroDivisionError)


async def test_a_check_that_returns_neither_yes_nor_no_is_logged(
    serve: Serve, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    def check(token: auth.AccessToken) -> Any:
        return re.match("sandbox", token.subject or "")

    client = await serve(web.get("/", auth.protected(check=check)(new_handler())))
    assert await status(client, issuer.mint()) == 403
    [fault] = faults(caplog)
    assert (fault.levelno, codes(caplog)) == (logging.ERROR, ["check"])
    assert re.search(naming("Match"), str(why(fault)))


async def test_a_check_can_refuse_in_words_of_its_own(serve: Serve, issuer: Issuer) -> None:
    def check(_token: auth.AccessToken) -> bool:
        raise auth.InvalidTokenError(auth.Reason.TOO_OLD)

    client = await serve(web.get("/", auth.protected(check=check)(new_handler())))
    assert await status(client, issuer.mint()) == 401


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("asked", "claims", "parameters"),
    [
        ({"acr_values": ["mfa", "phr"]}, {"acr": "phr"}, None),
        ({"acr_values": ["mfa", "phr"]}, {"acr": "pwd"}, {"acr_values": "mfa phr"}),
        ({"acr_values": ["mfa"]}, {"acr": "mfa phr"}, {"acr_values": "mfa"}),
        ({"acr_values": ["mfa"]}, {"acr": ["mfa"]}, {"acr_values": "mfa"}),
        ({"acr_values": ["mfa"]}, {}, {"acr_values": "mfa"}),
        ({"max_auth_age": 60}, {"auth_time": NOW - 60}, None),
        ({"max_auth_age": 60}, {"auth_time": NOW - 61}, {"max_age": "60"}),
        ({"max_auth_age": 60}, {"auth_time": str(NOW)}, {"max_age": "60"}),
        ({"max_auth_age": 60}, {"auth_time": True}, {"max_age": "60"}),
        ({"max_auth_age": 60}, {}, {"max_age": "60"}),
        ({"max_auth_age": 60}, {"auth_time": NOW + 5}, None),
        ({"max_auth_age": 60}, {"auth_time": NOW + 6}, {"max_age": "60"}),
        ({"max_auth_age": 60}, {"auth_time": (NOW - 999_999) * 1000}, {"max_age": "60"}),
        ({"max_auth_age": 0}, {"auth_time": NOW}, None),
        ({"max_auth_age": 0}, {"auth_time": NOW - 1}, {"max_age": "0"}),
        (
            {"acr_values": ["mfa"], "max_auth_age": 60},
            {"acr": "mfa", "auth_time": NOW - 61},
            {"acr_values": "mfa", "max_age": "60"},
        ),
        (
            {"acr_values": ["mfa"], "max_auth_age": 60},
            {"acr": "pwd", "auth_time": NOW},
            {"acr_values": "mfa", "max_age": "60"},
        ),
        ({"acr_values": ["mfa"], "max_auth_age": 60}, {"acr": "mfa", "auth_time": NOW}, None),
    ],
)
async def test_a_login_that_is_too_weak_or_too_old_asks_for_another(
    keys: list[Key],
    clock: FakeClock,
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    asked: dict[str, Any],
    claims: dict[str, Any],
    parameters: dict[str, str] | None,
) -> None:
    """RFC 9470 §3."""
    issuer = Issuer(audience=AUDIENCE, key=keys[0], clock=clock.time)
    issuer.url = str((await aiohttp_server(issuer_app(issuer))).make_url("/"))
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock))
    app.router.add_get("/", auth.protected(**asked)(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint(claims=claims))) as response:
        if parameters is None:
            assert response.status == 200
        else:
            assert response.status == 401
            message = auth.InsufficientAuthenticationError.message
            assert await response.json() == {"message": message}
            assert challenge(response.headers) == WEAK_LOGIN | parameters


async def test_another_login_is_not_asked_for_where_it_would_not_help(
    serve: Serve, issuer: Issuer
) -> None:
    handler = auth.protected(scopes={"a"}, acr_values=["mfa"])(new_handler())
    client = await serve(web.get("/", handler))
    assert await status(client, issuer.mint()) == 403
    assert await status(client, issuer.mint(claims={"scope": "a"})) == 401


@pytest.mark.parametrize("option", ["scopes", "any_scope", "permissions", "acr_values"])
@pytest.mark.parametrize("value", ["a", [1], [""], [None]])
def test_what_is_no_collection_of_names_is_told_at_import(option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{option} .*{re.escape(repr(value))}"):
        auth.protected(**{option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_auth_age", -1),
        ("max_auth_age", 1.5),
        ("max_auth_age", "60"),
        ("max_auth_age", True),
        ("claims", "org_id"),
        ("claims", ["org_id"]),
        ("check", "alice"),
        ("check", True),
    ],
)
def test_what_cannot_be_asked_is_told_at_import(option: str, value: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{option} .*{re.escape(repr(value))}"):
        auth.protected(**{option: value})


async def who(request: web.Request) -> web.Response:
    token = request.get(auth.ACCESS_TOKEN)
    return web.json_response({"who": token and token.subject})


@auth.optional
class OptionalView(web.View):
    async def get(self) -> web.Response:
        return await who(self.request)


class HeirOfOptionalView(OptionalView):
    pass


@pytest.mark.parametrize("handler", [auth.optional(who), OptionalView])
async def test_an_optional_token_is_known_where_one_was_sent(
    serve: Serve, issuer: Issuer, handler: Any
) -> None:
    client = await serve(web.get("/", handler))
    for headers, expected in [
        ({}, {"who": None}),
        ({"Authorization": "Basic eDp5"}, {"who": None}),
        (bearer(issuer.mint()), {"who": "sandbox@clients"}),
    ]:
        async with client.get("/", headers=headers) as response:
            assert await response.json() == expected


@pytest.mark.parametrize("token", ["nonsense", "(expired)"])
async def test_an_optional_token_that_is_invalid_is_refused(
    serve: Serve, issuer: Issuer, token: str
) -> None:
    client = await serve(web.get("/", auth.optional(who)))
    token = issuer.mint(claims={"exp": 1}) if token == "(expired)" else token
    assert await status(client, token) == 401


async def test_an_heir_does_not_inherit_that_a_token_is_optional(serve: Serve) -> None:
    client = await serve(web.get("/", HeirOfOptionalView))
    assert await status(client) == 401


def test_a_handler_is_not_optional_and_protected() -> None:
    handler: Callable[[web.Request], Awaitable[web.Response]] = new_handler()
    with pytest.raises(TypeError):
        auth.optional(auth.protected(handler))


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("roles", {"admin"}, ["claims={'roles': {'admin'}}"]),
        ("role", "admin", ["claims={'role': 'admin'}"]),
        ("groups", ["staff"], ["claims={'groups': ['staff']}"]),
        ("org_id", "o", ["claims={'org_id': 'o'}", "scopes", "permissions", "check"]),
        ("scope", {"read"}, ["scopes={'read'}"]),
        ("permission", {"read"}, ["permissions={'read'}"]),
        ("claim", {"a": 1}, ["claims={'a': 1}"]),
        ("acr", ["mfa"], ["acr_values=['mfa']"]),
        ("audience", "api", ["TokenValidator", "TrustedIssuer"]),
        ("max_age", 60, ["TokenValidator"]),
        ("required_claims", ["sub"], ["TokenValidator"]),
    ],
)
@pytest.mark.parametrize("require", [auth.protected, Requirement])
def test_an_unknown_option_is_told_what_to_write(
    require: Callable[..., object], option: str, value: object, named: list[str]
) -> None:
    with pytest.raises(TypeError, match=rf"^{option} ") as raised:
        require(**{option: value})
    for name in named:
        assert name in str(raised.value)


def test_a_requirement_can_be_copied() -> None:
    required = Requirement(scopes={"a"}, claims={"b": [1]})
    assert copy.deepcopy(required) == required
    assert str(pickle.loads(pickle.dumps(required))) == str(required)
    with pytest.raises(TypeError):
        Requirement("a")  # type: ignore[arg-type, call-arg]
