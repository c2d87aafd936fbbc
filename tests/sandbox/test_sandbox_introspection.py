"""What does the sandbox's issuer say about a token when it is asked by introspection?"""

from collections.abc import Callable
from typing import Any
from unittest.mock import ANY

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import ADA, ROBIN, log_in, refresh, tokens
from support.token_endpoint import FORM, JSON, TOKEN, basic, form

INTROSPECT = "/oauth/introspect"
INACTIVE = {"active": False}
BY_HEADER = basic(CLIENT_ID, CLIENT_SECRET)
BY_FORM = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


async def introspected(client: Client, token: str, **more: str) -> dict[str, Any]:
    async with client.post(
        INTROSPECT, data={"token": token, **more}, headers=BY_HEADER
    ) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        answer: dict[str, Any] = await response.json()
        return answer


async def given(client: Client, **changes: str) -> str:
    """An access token that a client got for itself."""
    headers = {"Content-Type": FORM}
    async with client.post(TOKEN, data=form(**changes), headers=headers) as response:
        assert response.status == 200
        token: str = (await response.json())["access_token"]
        return token


def usual(own: Issuer, clock: FakeClock) -> dict[str, Any]:
    """The answer about the access token of a client that asked for no scope."""
    return {
        "active": True,
        "token_type": "Bearer",
        "client_id": CLIENT_ID,
        "iss": own.url,
        "sub": f"{CLIENT_ID}@clients",
        "aud": AUDIENCE,
        "iat": int(clock.epoch),
        "exp": int(clock.epoch) + 86400,
        "jti": ANY,
        "permissions": [],
    }


async def test_the_metadata_leads_to_introspection(browser: Client, own: Issuer) -> None:
    async with browser.get("/.well-known/openid-configuration") as response:
        metadata = await response.json()
    assert metadata["introspection_endpoint"] == f"{own.url}oauth/introspect"
    assert set(metadata["introspection_endpoint_auth_methods_supported"]) >= {
        "client_secret_post",
        "client_secret_basic",
    }


@pytest.mark.parametrize("audience", [AUDIENCE, OMIT])
@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (OMIT, {}),
        ("write:b read:a", {"scope": "read:a write:b", "permissions": ["read:a", "write:b"]}),
    ],
)
async def test_a_clients_token_is_active(
    browser: Client,
    own: Issuer,
    clock: FakeClock,
    audience: str,
    asked: str,
    granted: dict[str, Any],
) -> None:
    token = await given(browser, audience=audience, scope=asked)
    assert await introspected(browser, token) == {**usual(own, clock), **granted}


@pytest.mark.parametrize(("person", "permissions"), [(ROBIN, []), (ADA, ["read:admin-messages"])])
@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_a_persons_token_is_active_and_so_is_a_renewed_one(
    browser: Client,
    own: Issuer,
    clock: FakeClock,
    audience: str | None,
    person: str,
    permissions: list[str],
) -> None:
    scope = "openid email offline_access"
    _, first = await tokens(browser, await log_in(browser, person, audience=audience, scope=scope))
    answer = {
        **usual(own, clock),
        "client_id": "demo",
        "sub": person,
        "aud": AUDIENCE if audience is None else [AUDIENCE, f"{own.url}userinfo"],
        "permissions": permissions,
        "scope": "email offline_access openid",
    }
    assert await introspected(browser, first["access_token"]) == answer
    clock.advance(1)
    _, second = await refresh(browser, first["refresh_token"], scope="openid")
    assert await introspected(browser, second["access_token"]) == {
        **answer,
        "iat": answer["iat"] + 1,
        "exp": answer["exp"] + 1,
        "scope": "openid",
    }


def signed_with_another_key(own: Issuer, key: Key) -> str:
    own.publish(key)
    return own.mint(key=key)


MADE: dict[str, Callable[[Issuer, Key], str]] = {
    "opaque": lambda own, _: own.opaque(),
    "signed": lambda own, _: own.mint(),
    "signed with another key that is published": signed_with_another_key,
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token", "nonsense"])
async def test_what_a_test_makes_is_active(
    browser: Client,
    own: Issuer,
    keys: list[Key],
    clock: FakeClock,
    make: Callable[[Issuer, Key], str],
    hint: str | None,
) -> None:
    """A hint is there to be quick: the answer is the same without it (RFC 7662 §2.1)."""
    more = {} if hint is None else {"token_type_hint": hint}
    assert await introspected(browser, make(own, keys[1]), **more) == usual(own, clock)


@pytest.mark.parametrize(
    ("claims", "answer"),
    [
        ({"sub": "auth0|alice"}, {"sub": "auth0|alice"}),
        # RFC 9449 §6.2, and RFC 8705 §3.2: a token with the thumbprint of a certificate is Bearer.
        ({"cnf": {"jkt": "x"}}, {"cnf": {"jkt": "x"}, "token_type": "DPoP"}),
        ({"cnf": {"x5t#S256": "x"}}, {"cnf": {"x5t#S256": "x"}}),
        ({"cnf": "jkt"}, {"cnf": "jkt"}),
        ({"azp": "demo"}, {"client_id": "demo"}),
        ({"azp": "demo", "client_id": "another"}, {"client_id": "another"}),
        ({"azp": OMIT}, {"client_id": OMIT}),
        ({"aud": OMIT}, {"aud": OMIT}),
        ({"exp": OMIT}, {"exp": OMIT}),
        ({"exp": 1_800_000_000.5}, {"exp": 1_800_000_000.5}),
        ({"active": False, "token_type": "x"}, {}),
    ],
)
async def test_the_answer_says_what_a_signed_token_says(
    browser: Client,
    own: Issuer,
    clock: FakeClock,
    claims: dict[str, Any],
    answer: dict[str, Any],
) -> None:
    expected = {**usual(own, clock), **answer}
    assert await introspected(browser, own.mint(claims=claims)) == {
        name: value for name, value in expected.items() if value is not OMIT
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.example.com"},
        {"aud": OMIT, "exp": OMIT, "iat": OMIT, "iss": OMIT, "sub": OMIT},
        {"exp": 1},
        {"exp": "soon"},
        {"active": "true"},
        {"active": OMIT},
        {"token_type": "DPoP", "cnf": {"jkt": "x"}},
        {"token_type": "Bearer", "cnf": {"jkt": "x"}},
        {"scope": ["a"], "permissions": {"b": 1}},
        {"jti": "x", "username": "alice"},
    ],
)
async def test_a_test_can_have_any_answer_about_an_opaque_token(
    browser: Client, own: Issuer, clock: FakeClock, claims: dict[str, Any]
) -> None:
    expected = {**usual(own, clock), **claims}
    token = own.opaque(claims=claims)
    assert await introspected(browser, token) == {
        name: value for name, value in expected.items() if value is not OMIT
    }
    clock.advance(86400)
    assert await introspected(browser, token) == INACTIVE


@pytest.mark.parametrize("text", ["nonsense", "a.b.c", "é", "x" * 10_000, "\0", " ", "\x1b[31m"])
async def test_a_text_that_is_no_token_is_inactive(browser: Client, text: str) -> None:
    assert await introspected(browser, text) == INACTIVE


@pytest.mark.parametrize("exp", [1, 1_800_000_000, -1, "soon", None, True, [], float("nan")])
async def test_a_signed_token_whose_time_is_over_is_inactive(
    browser: Client, own: Issuer, exp: Any
) -> None:
    assert await introspected(browser, own.mint(claims={"exp": exp})) == INACTIVE


async def test_a_token_that_another_signed_is_inactive(
    browser: Client, own: Issuer, keys: list[Key]
) -> None:
    assert await introspected(browser, own.mint(key=keys[1])) == INACTIVE
    assert await introspected(browser, own.sign({"aud": AUDIENCE})) == INACTIVE


async def test_refresh_tokens_id_tokens_and_codes_are_inactive(browser: Client) -> None:
    code = await log_in(browser, scope="openid offline_access")
    assert await introspected(browser, code) == INACTIVE
    _, answer = await tokens(browser, code)
    for name in ("refresh_token", "id_token"):
        assert await introspected(browser, answer[name]) == INACTIVE


@pytest.mark.parametrize("make", [Issuer.mint, Issuer.opaque])
async def test_a_token_is_active_until_it_expires(
    browser: Client, own: Issuer, clock: FakeClock, make: Callable[[Issuer], str]
) -> None:
    own.lifetime = 60
    token = make(own)
    clock.advance(59)
    assert (await introspected(browser, token))["active"] is True
    clock.advance(1)
    assert await introspected(browser, token) == INACTIVE


@pytest.mark.parametrize("make", [Issuer.mint, Issuer.opaque])
async def test_a_token_that_was_revoked_is_inactive_and_others_are_not(
    browser: Client, own: Issuer, clock: FakeClock, make: Callable[[Issuer], str]
) -> None:
    token = make(own)
    clock.advance(1)
    other = make(own)
    own.revoke(token)
    own.revoke("unknown")
    assert await introspected(browser, token) == INACTIVE
    assert (await introspected(browser, other))["active"] is True


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_the_tokens_of_a_code_that_was_used_twice_are_inactive(
    browser: Client, clock: FakeClock, audience: str | None
) -> None:
    code = await log_in(browser, audience=audience, scope="openid offline_access")
    _, first = await tokens(browser, code)
    clock.advance(1)
    _, second = await refresh(browser, first["refresh_token"])
    await tokens(browser, code)
    for answer in (first, second):
        assert await introspected(browser, answer["access_token"]) == INACTIVE


async def test_the_clock_can_be_set_after_the_start(
    browser: Client, own: Issuer, clock: FakeClock
) -> None:
    token = own.opaque()
    own.clock = lambda: clock.epoch + 86400
    assert await introspected(browser, token) == INACTIVE


@pytest.mark.parametrize(
    ("status", "error", "content_type", "body", "headers"),
    [
        (400, "invalid_request", FORM, b"", BY_HEADER),
        (400, "invalid_request", FORM, b"token=", BY_HEADER),
        (400, "invalid_request", FORM, b"token=a&token=b", BY_HEADER),
        (400, "invalid_request", FORM, b"token=\xff", BY_HEADER),
        (400, "invalid_request", FORM, b"token_type_hint=access_token", BY_HEADER),
        (400, "invalid_request", JSON, b'{"token": "a"}', BY_HEADER),
        (400, "invalid_request", "text/plain", b"token=a", BY_HEADER),
        (401, "invalid_client", FORM, b"token=a", {}),
        (401, "invalid_client", FORM, b"", {}),
        (401, "invalid_client", FORM, b"token=a", basic(CLIENT_ID, "wrong")),
        (401, "invalid_client", FORM, b"token=a", {"Authorization": "Bearer a"}),
        (401, "invalid_client", FORM, b"token=a&client_id=sandbox&client_secret=wrong", {}),
    ],
)
async def test_who_asks_wrongly_is_told_so(
    browser: Client,
    status: int,
    error: str,
    content_type: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    headers = {**headers, "Content-Type": content_type}
    async with browser.post(INTROSPECT, data=body, headers=headers) as response:
        assert response.status == status
        assert response.headers["Cache-Control"] == "no-store"
        challenge = 'Basic realm="sandbox"' if status == 401 else None
        assert response.headers.get("WWW-Authenticate") == challenge
        answer = await response.json()
    assert answer.keys() == {"error", "error_description"}
    assert answer["error"] == error


async def test_a_client_can_have_its_secret_in_the_form(browser: Client, own: Issuer) -> None:
    async with browser.post(INTROSPECT, data={"token": own.opaque(), **BY_FORM}) as response:
        assert (await response.json())["active"] is True


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_introspection_is_asked_for_with_post_only(browser: Client, method: str) -> None:
    async with browser.request(method, INTROSPECT, params={"token": "a"}) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_introspections_are_counted(browser: Client, own: Issuer) -> None:
    for _ in range(2):
        await introspected(browser, "nonsense")
    assert own.requests == {INTROSPECT: 2}


async def test_pages_cannot_ask(browser: Client, own: Issuer) -> None:
    """A page cannot keep a secret, so the answer is not for it."""
    headers = {**BY_HEADER, "Origin": own.client_origin}
    async with browser.post(INTROSPECT, data={"token": "a"}, headers=headers) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
