"""Which tokens does the sandbox give, and for what?"""

from typing import Any

import pytest

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from hello.sandbox.issuer.people import PEOPLE
from support.api import AUDIENCE, ORIGIN, Client, bearer
from support.bound_tokens import ask, redeeming, refreshing
from support.clock import FakeClock
from support.logging_in import ADA, CHALLENGE, ROBIN, claims_of, log_in, refresh, tokens
from support.token_endpoint import basic


@pytest.mark.parametrize(
    "changes",
    [
        {"code": None},
        {"code": "unknown"},
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": f"{ORIGIN}/elsewhere"},
        {"redirect_uri": None},
        {"code_verifier": None},
        {"code_verifier": "w" * 43},
        {"code_verifier": "v" * 42},
        {"code_verifier": "é" * 43},
        {"code_verifier": CHALLENGE},
    ],
)
async def test_a_code_is_good_for_who_asked_for_it_only(
    browser: Client, changes: dict[str, str | None]
) -> None:
    code = await log_in(browser)
    status, answer = await tokens(browser, code, **changes)
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_a_code_lives_for_a_minute(browser: Client, clock: FakeClock) -> None:
    code = await log_in(browser)
    clock.advance(60)
    assert (await tokens(browser, code))[1]["error"] == "invalid_grant"


async def test_a_code_works_once_and_then_ends_what_came_of_it(browser: Client) -> None:
    code = await log_in(browser, scope="openid offline_access")
    _, answer = await tokens(browser, code)
    status, again = await tokens(browser, code)
    assert (status, again["error"]) == (400, "invalid_grant")
    assert (await refresh(browser, answer["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_client_with_a_secret_must_know_it(browser: Client) -> None:
    code = await log_in(browser)
    status, answer = await tokens(browser, code, client_secret="guess")
    assert (status, answer["error"]) == (401, "invalid_client")


BY_HEADER = basic(CLIENT_ID, CLIENT_SECRET)


@pytest.mark.parametrize("name", [{}, {"client_id": CLIENT_ID}])
async def test_a_client_that_authenticates_need_not_name_itself_again(
    browser: Client, name: dict[str, str]
) -> None:
    """RFC 6749 §4.1.3 and §6."""
    code = await log_in(browser, client_id=CLIENT_ID, scope="offline_access")
    status, answer = await ask(browser, unnamed(redeeming(code)) | name, **BY_HEADER)
    assert status == 200
    assert (await ask(browser, unnamed(refreshing(answer)) | name, **BY_HEADER))[0] == 200


async def test_a_client_that_authenticates_is_no_other_client(browser: Client) -> None:
    """Whatever name it adds."""
    code = await log_in(browser)
    status, answer = await ask(browser, redeeming(code), **BY_HEADER)
    assert (status, answer["error"]) == (401, "invalid_client")
    status, answer = await ask(browser, unnamed(redeeming(code)), **BY_HEADER)
    assert (status, answer["error"]) == (400, "invalid_grant")


def unnamed(form: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in form.items() if name != "client_id"}


async def test_refresh_tokens_rotate_and_a_stolen_one_ends_them_all(browser: Client) -> None:
    _, first = await tokens(browser, await log_in(browser, scope="openid offline_access"))
    status, second = await refresh(browser, first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    assert claims_of(second["access_token"])["sub"] == ROBIN
    _, third = await refresh(browser, second["refresh_token"])
    assert (await refresh(browser, first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await refresh(browser, third["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_a_refresh_can_ask_for_less_and_not_for_more(browser: Client) -> None:
    code = await log_in(browser, scope="openid profile offline_access")
    _, first = await tokens(browser, code)
    status, answer = await refresh(browser, first["refresh_token"], scope="openid email")
    assert (status, answer["error"]) == (400, "invalid_scope")
    _, second = await refresh(browser, first["refresh_token"], scope="openid offline_access")
    assert second["scope"] == "offline_access openid"
    assert "name" not in claims_of(second["id_token"])


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"refresh_token": "unknown"}])
async def test_a_refresh_token_is_good_for_its_client_only(
    browser: Client, changes: dict[str, str]
) -> None:
    _, first = await tokens(browser, await log_in(browser, scope="offline_access"))
    status, answer = await refresh(browser, **{"token": first["refresh_token"], **changes})
    assert (status, answer["error"]) == (400, "invalid_grant")


async def test_only_who_asks_for_openid_gets_an_id_token(browser: Client) -> None:
    _, answer = await tokens(browser, await log_in(browser, scope="profile", nonce=None))
    assert "id_token" not in answer
    _, answer = await tokens(
        browser, await log_in(browser, scope="openid", nonce=None, prompt="login")
    )
    assert "nonce" not in claims_of(answer["id_token"])


async def test_only_an_administrator_is_granted_the_apis_scopes(browser: Client) -> None:
    asked = "openid read:admin-messages unheard:of"
    _, robin = await tokens(browser, await log_in(browser, ROBIN, scope=asked))
    _, ada = await tokens(browser, await log_in(browser, ADA, scope=asked, prompt="login"))
    assert (robin["scope"], ada["scope"]) == ("openid", "openid read:admin-messages")


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_tokens_name_the_organization_that_somebody_logged_in_to(
    browser: Client, own: Issuer, audience: str | None
) -> None:
    """As Auth0's do, and those that a refresh gives, too."""
    asked: dict[str, Any] = {
        "scope": "openid offline_access",
        "audience": audience,
        "prompt": "login",
    }
    _, first = await tokens(browser, await log_in(browser, organization="org_1", **asked))
    _, second = await refresh(browser, first["refresh_token"])
    _, without = await tokens(browser, await log_in(browser, **asked))
    for answer, organization in ((first, "org_1"), (second, "org_1"), (without, None)):
        issued = own.access_tokens.get(answer["access_token"])
        assert issued is not None
        assert issued.answer.get("org_id") == organization
        assert claims_of(answer["id_token"]).get("org_id") == organization


async def test_without_an_audience_the_token_is_opaque_and_good_for_userinfo(
    browser: Client,
) -> None:
    _, answer = await tokens(browser, await log_in(browser, audience=None))
    assert "." not in answer["access_token"]
    async with browser.get("/userinfo", headers=bearer(answer["access_token"])) as response:
        assert await response.json() == {
            "sub": ROBIN,
            "name": PEOPLE[ROBIN].name,
            "nickname": "robin",
            "email": "robin@example.com",
            "email_verified": True,
        }


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic eDp5", "Bearer"])
async def test_userinfo_wants_a_token(browser: Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with browser.post("/userinfo", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_userinfo_knows_nobody_by_a_token_that_a_client_got_for_itself(
    browser: Client, own: Issuer
) -> None:
    for token in (own.opaque(), own.mint()):
        async with browser.get("/userinfo", headers=bearer(token)) as response:
            assert response.status == 401


async def test_userinfo_knows_the_tokens_that_it_gave(browser: Client, clock: FakeClock) -> None:
    _, answer = await tokens(browser, await log_in(browser, scope="openid"))
    headers = bearer(answer["access_token"])
    async with browser.get("/userinfo", headers=headers) as response:
        assert await response.json() == {"sub": ROBIN}
    clock.advance(86400)
    async with browser.get("/userinfo", headers=headers) as response:
        assert response.status == 401


async def test_a_token_of_a_code_that_was_used_twice_is_not_good_for_userinfo(
    browser: Client,
) -> None:
    """RFC 6749 §4.1.2: all tokens issued from that code are revoked, whatever their kind."""
    for audience in (AUDIENCE, None):
        code = await log_in(
            browser, audience=audience, scope="openid offline_access", prompt="login"
        )
        _, first = await tokens(browser, code)
        _, renewed = await refresh(browser, first["refresh_token"])
        assert (await tokens(browser, code))[0] == 400
        for answer in (first, renewed):
            headers = bearer(answer["access_token"])
            async with browser.get("/userinfo", headers=headers) as response:
                assert response.status == 401


async def test_what_is_kept_is_bounded(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hello.sandbox.issuer.memory._MAX_ENTRIES", 1)
    first = await log_in(browser)
    second = await log_in(browser, prompt="login")
    assert (await tokens(browser, first))[0] == 400
    assert (await tokens(browser, second))[0] == 200
