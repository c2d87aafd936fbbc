"""Which tokens can a client end, and are they refused then (RFC 7009)?"""

from typing import Any

import pytest

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from support.api import AUDIENCE, ORIGIN, Client, bearer
from support.bound_tokens import ask, redeeming
from support.logging_in import log_in, refresh, tokens
from support.token_endpoint import basic

REVOKE = "/oauth/revoke"
DEMO = {"client_id": "demo"}
BY_HEADER = basic(CLIENT_ID, CLIENT_SECRET)


async def revoke(
    client: Client, token: str | None, more: dict[str, str], *, by_json: bool = False
) -> tuple[int, str | None]:
    """The status, and the error if there is one."""
    asked = more if token is None else {**more, "token": token}
    body: dict[str, Any] = {"json": asked} if by_json else {"data": asked}
    async with client.post(REVOKE, headers={"Origin": ORIGIN}, **body) as response:
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        text = await response.read()
        return response.status, (await response.json())["error"] if text else None


async def is_active(client: Client, token: str) -> bool:
    async with client.post(
        "/oauth/introspect", data={"token": token}, headers=BY_HEADER
    ) as response:
        active: bool = (await response.json())["active"]
    async with client.get("/userinfo", headers=bearer(token)) as response:
        assert (response.status == 200) is active
    return active


async def logged_in(browser: Client, audience: str | None = AUDIENCE) -> dict[str, Any]:
    code = await log_in(browser, scope="offline_access", audience=audience, prompt="login")
    return (await tokens(browser, code))[1]


@pytest.mark.parametrize("by_json", [True, False])
@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}])
@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_a_refresh_token_ends_with_all_that_came_of_it(
    browser: Client, audience: str | None, hint: dict[str, str], *, by_json: bool
) -> None:
    """A hint that is wrong does not matter (§2.1). Auth0's SDK sends JSON or a form."""
    answer = await logged_in(browser, audience)
    other = await logged_in(browser)
    token = answer["refresh_token"]
    assert await revoke(browser, token, DEMO | hint, by_json=by_json) == (200, None)
    assert (await refresh(browser, token))[1]["error"] == "invalid_grant"
    assert not await is_active(browser, answer["access_token"])
    assert await is_active(browser, other["access_token"])
    assert (await refresh(browser, other["refresh_token"]))[0] == 200


@pytest.mark.parametrize("audience", [AUDIENCE, None])
async def test_an_access_token_ends_alone(browser: Client, audience: str | None) -> None:
    answer = await logged_in(browser, audience)
    assert await is_active(browser, answer["access_token"])
    assert await revoke(browser, answer["access_token"], DEMO) == (200, None)
    assert not await is_active(browser, answer["access_token"])
    assert (await refresh(browser, answer["refresh_token"]))[0] == 200


async def test_an_earlier_refresh_token_ends_the_later_one(browser: Client) -> None:
    first = await logged_in(browser)
    _, second = await refresh(browser, first["refresh_token"])
    assert await revoke(browser, first["refresh_token"], DEMO) == (200, None)
    assert (await refresh(browser, second["refresh_token"]))[0] == 400


async def test_what_is_no_token_has_ended(browser: Client) -> None:
    """§2.2."""
    assert await revoke(browser, "unknown", DEMO) == (200, None)
    answer = await logged_in(browser)
    for _ in range(2):
        assert await revoke(browser, answer["access_token"], DEMO) == (200, None)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_nobody_ends_another_clients_token(browser: Client, which: str) -> None:
    """§2.1."""
    answer = await logged_in(browser)
    token = answer[which]
    assert await revoke(browser, token, {"client_id": "another"}) == (400, "invalid_grant")
    by_secret = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert await revoke(browser, token, by_secret) == (400, "invalid_grant")
    assert await is_active(browser, answer["access_token"])
    assert (await refresh(browser, answer["refresh_token"]))[0] == 200


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_client_that_authenticated_must_do_so_again(browser: Client, which: str) -> None:
    code = await log_in(browser, client_id=CLIENT_ID, scope="offline_access", prompt="login")
    form = redeeming(code) | {"client_id": CLIENT_ID}
    status, answer = await ask(browser, form, **BY_HEADER)
    assert status == 200
    assert await revoke(browser, answer[which], {"client_id": CLIENT_ID}) == (401, "invalid_client")
    assert await is_active(browser, answer["access_token"])
    by_secret = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert await revoke(browser, answer[which], by_secret) == (200, None)
    assert not await is_active(browser, answer["access_token"])


async def test_a_token_that_a_client_got_for_itself_ends_with_its_secret_only(
    browser: Client, own: Issuer
) -> None:
    for token in (own.mint(), own.opaque()):
        assert await revoke(browser, token, {"client_id": CLIENT_ID}) == (401, "invalid_client")
        for secret, expected in (("guess", (401, "invalid_client")), (CLIENT_SECRET, (200, None))):
            asked = {"client_id": CLIENT_ID, "client_secret": secret}
            assert await revoke(browser, token, asked) == expected
            assert (own.access_tokens.get(token) is None) is (secret == CLIENT_SECRET)


@pytest.mark.parametrize(
    ("token", "more"), [(None, DEMO), ("", DEMO), ("unknown", {}), ("unknown", {"client_id": ""})]
)
async def test_a_request_that_lacks_something_is_refused(
    browser: Client, token: str | None, more: dict[str, str]
) -> None:
    assert await revoke(browser, token, more) == (400, "invalid_request")
