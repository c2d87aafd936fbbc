"""Who can use the codes and tokens that the sandbox's issuer has bound to a key, and who cannot?"""

from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer
from support.answers import challenge
from support.api import AUDIENCE, ORIGIN, Client, bearer
from support.bound_tokens import ask, proving, redeeming, refreshing
from support.logging_in import ROBIN, answer_of, authorize, log_in
from support.proofs import CLIENT_KEY, bound_to, proof

OTHER = ECKey.generate_key("P-256")
THUMBPRINT: str = bound_to()["cnf"]["jkt"]
SECRET = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
USERINFO = "/userinfo"


async def logged_in(
    browser: Client, own: Issuer, *, key: Any = CLIENT_KEY, audience: str | None = AUDIENCE
) -> dict[str, Any]:
    """The answer to a login, with an access token and a refresh token that are bound to a key."""
    code = await log_in(browser, scope="openid offline_access", audience=audience, prompt="login")
    status, answer = await ask(browser, redeeming(code), proving(own, key=key))
    assert status == 200
    return answer


async def test_a_refresh_token_is_good_with_its_key_only(browser: Client, own: Issuer) -> None:
    """RFC 9449 §5. Who has another key cannot end the login, either."""
    answer = await logged_in(browser, own)
    for _ in range(2):  # the next one is bound to the key, too
        for proofs in ([], [proving(own, key=OTHER)]):
            status, refused = await ask(browser, refreshing(answer), *proofs)
            assert (status, refused["error"]) == (400, "invalid_grant")
        status, answer = await ask(browser, refreshing(answer), proving(own))
        assert status == 200


@pytest.mark.parametrize("proofs", [[], [CLIENT_KEY], [OTHER]])
async def test_a_refresh_token_that_was_used_before_ends_the_login_whoever_has_it(
    browser: Client, own: Issuer, proofs: list[Any]
) -> None:
    """RFC 9700 §4.14.2."""
    first = await logged_in(browser, own)
    _, second = await ask(browser, refreshing(first), proving(own))
    status, answer = await ask(
        browser, refreshing(first), *(proving(own, key=key) for key in proofs)
    )
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await ask(browser, refreshing(second), proving(own)))[0] == 400


async def test_a_refresh_token_can_be_bound_later_and_a_theft_is_noticed(
    browser: Client, own: Issuer
) -> None:
    """RFC 9449 §5: one that is issued to a request with a proof must be bound."""
    code = await log_in(browser, scope="offline_access")
    _, first = await ask(browser, redeeming(code))
    status, second = await ask(browser, refreshing(first), proving(own))
    assert (status, second["token_type"]) == (200, "DPoP")
    assert (await ask(browser, refreshing(second)))[1]["error"] == "invalid_grant"
    assert (await ask(browser, refreshing(first)))[1]["error"] == "invalid_grant"
    assert (await ask(browser, refreshing(second), proving(own)))[1]["error"] == "invalid_grant"


async def test_the_refresh_token_of_a_client_that_authenticates_is_bound_to_that(
    browser: Client, own: Issuer
) -> None:
    """RFC 9449 §5 and RFC 6749 §6: it may take another key, but it has to authenticate."""
    code = await log_in(browser, client_id=CLIENT_ID, scope="offline_access")
    _, answer = await ask(browser, redeeming(code, **SECRET), proving(own))
    for proofs in ([], [proving(own)]):
        public = refreshing(answer, client_id=CLIENT_ID)
        status, refused = await ask(browser, public, *proofs)
        assert (status, refused["error"]) == (401, "invalid_client")
    for proofs, kind in (([proving(own, key=OTHER)], "DPoP"), ([], "Bearer")):
        status, answer = await ask(browser, refreshing(answer, **SECRET), *proofs)
        assert (status, answer["token_type"]) == (200, kind)


async def test_the_refresh_token_of_a_public_client_stays_bound_to_its_key(
    browser: Client, own: Issuer
) -> None:
    code = await log_in(browser, client_id=CLIENT_ID, scope="offline_access")
    _, answer = await ask(browser, redeeming(code, client_id=CLIENT_ID), proving(own))
    refused = await ask(browser, refreshing(answer, **SECRET), proving(own, key=OTHER))
    assert (refused[0], refused[1]["error"]) == (400, "invalid_grant")
    assert (await ask(browser, refreshing(answer, **SECRET), proving(own)))[0] == 200


@pytest.mark.parametrize("proofs", [[], [OTHER]])
async def test_a_code_of_a_key_is_good_with_that_key_only(
    browser: Client, own: Issuer, proofs: list[Any]
) -> None:
    """RFC 9449 §10. As with a wrong code_verifier, the code is used up."""
    code = await log_in(browser, dpop_jkt=THUMBPRINT)
    status, answer = await ask(browser, redeeming(code), *(proving(own, key=key) for key in proofs))
    assert (status, answer["error"]) == (400, "invalid_grant")
    assert (await ask(browser, redeeming(code), proving(own)))[1]["error"] == "invalid_grant"


async def test_a_code_of_a_key_gives_a_token_of_that_key(browser: Client, own: Issuer) -> None:
    code = await log_in(browser, dpop_jkt=THUMBPRINT)
    bad = proving(own, htm="GET")
    assert (await ask(browser, redeeming(code), bad))[1]["error"] == "invalid_dpop_proof"
    status, answer = await ask(browser, redeeming(code), proving(own))
    assert (status, answer["token_type"]) == (200, "DPoP")


async def test_an_empty_dpop_jkt_counts_as_not_sent(browser: Client, own: Issuer) -> None:
    """RFC 6749 §3.1."""
    assert (await ask(browser, redeeming(await log_in(browser, dpop_jkt=""))))[0] == 200


@pytest.mark.parametrize(
    "dpop_jkt", [" ", "x", THUMBPRINT[:-1], f"{THUMBPRINT}A", f"{THUMBPRINT}=", "+" * 43, "é" * 43]
)
async def test_a_malformed_dpop_jkt_is_refused(browser: Client, dpop_jkt: str) -> None:
    answer = answer_of(await authorize(browser, dpop_jkt=dpop_jkt))
    assert answer["error"] == "invalid_request"
    assert "code" not in answer


def for_userinfo(own: Issuer, token: str, **changes: Any) -> str:
    return proof(token, now=own.clock(), url=f"{own.url}userinfo", **changes)


@pytest.mark.parametrize("audience", [AUDIENCE, None])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_userinfo_accepts_a_bound_token_with_its_proof_once(
    browser: Client, own: Issuer, audience: str | None, method: str
) -> None:
    token = (await logged_in(browser, own, audience=audience))["access_token"]
    headers = {"Authorization": f"dpop {token}", "DPoP": for_userinfo(own, token, htm=method)}
    async with browser.request(method, USERINFO, headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["sub"] == ROBIN
    async with browser.request(method, USERINFO, headers=headers) as response:
        assert response.status == 401
        assert 'DPoP error="invalid_dpop_proof"' in response.headers["WWW-Authenticate"]


async def test_userinfo_refuses_a_token_that_is_bound_to_more_than_a_key(
    browser: Client, own: Issuer
) -> None:
    token = (await logged_in(browser, own))["access_token"]
    issued = own.access_tokens.get(token)
    assert issued is not None
    issued.answer["cnf"]["x5t#S256"] = "x"
    headers = {"Authorization": f"DPoP {token}", "DPoP": for_userinfo(own, token)}
    async with browser.get(USERINFO, headers=headers) as response:
        assert response.status == 401
        assert 'DPoP error="invalid_token"' in response.headers["WWW-Authenticate"]


async def test_userinfo_tells_no_error_to_another_scheme(browser: Client, own: Issuer) -> None:
    """RFC 6750 §3.1. A good token by another scheme is refused, too."""
    token = (await logged_in(browser, own))["access_token"]
    async with browser.get(USERINFO, headers={"Authorization": f"Basic {token}"}) as response:
        assert response.status == 401
        assert "error" not in response.headers["WWW-Authenticate"]


BAD: dict[str, tuple[Callable[[Issuer, str], list[str]], str]] = {
    "no proof": (lambda _own, _token: [], "invalid_dpop_proof"),
    "an empty proof": (lambda _own, _token: [""], "invalid_dpop_proof"),
    "two proofs": (
        lambda own, token: [for_userinfo(own, token), for_userinfo(own, token)],
        "invalid_dpop_proof",
    ),
    "another key": (lambda own, token: [for_userinfo(own, token, key=OTHER)], "invalid_token"),
    "no ath": (lambda own, token: [for_userinfo(own, token, ath=OMIT)], "invalid_dpop_proof"),
    "another ath": (lambda own, _: [for_userinfo(own, "another")], "invalid_dpop_proof"),
    "another method": (
        lambda own, token: [for_userinfo(own, token, htm="POST")],
        "invalid_dpop_proof",
    ),
    "a proof for tokens": (lambda own, _: [proving(own)], "invalid_dpop_proof"),
    "an old one": (
        lambda own, token: [for_userinfo(own, token, iat=own.clock() - 301)],
        "invalid_dpop_proof",
    ),
}


@pytest.mark.parametrize(("make", "error"), BAD.values(), ids=BAD)
async def test_userinfo_refuses_a_bound_token_without_a_good_proof(
    browser: Client, own: Issuer, make: Callable[[Issuer, str], list[str]], error: str
) -> None:
    """RFC 9449 §7.1: the error is told in the challenge of DPoP."""
    token = (await logged_in(browser, own))["access_token"]
    proofs = [("DPoP", each) for each in make(own, token)]
    headers = [("Authorization", f"DPoP {token}"), *proofs]
    async with browser.get(USERINFO, headers=headers) as response:
        assert response.status == 401
        assert (await response.json())["error"] == error
        said = response.headers["WWW-Authenticate"]
    assert said.startswith(f'Bearer realm="api", DPoP error="{error}"')
    assert ', algs="' in said


async def test_userinfo_refuses_a_bound_token_as_bearer_and_tells_of_dpop(
    browser: Client, own: Issuer
) -> None:
    token = (await logged_in(browser, own))["access_token"]
    headers = {**bearer(token), "DPoP": for_userinfo(own, token)}
    async with browser.get(USERINFO, headers=headers) as response:
        assert response.status == 401
        assert challenge(response.headers)["error"] == "invalid_token"
        assert "DPoP algs=" in response.headers["WWW-Authenticate"]


async def test_userinfo_refuses_a_bearer_token_by_dpop(browser: Client, own: Issuer) -> None:
    code = await log_in(browser)
    token = (await ask(browser, redeeming(code)))[1]["access_token"]
    for proofs in ({}, {"DPoP": for_userinfo(own, token)}):
        headers = {"Authorization": f"DPoP {token}", **proofs}
        async with browser.get(USERINFO, headers=headers) as response:
            assert response.status == 401
            assert 'DPoP error="invalid_token"' in response.headers["WWW-Authenticate"]


async def test_userinfo_tells_no_error_to_who_sends_no_token(browser: Client) -> None:
    """RFC 6750 §3.1."""
    async with browser.get(USERINFO) as response:
        assert response.status == 401
        assert challenge(response.headers) == {"realm": "api"}


@pytest.mark.parametrize("path", ["/oauth/token", USERINFO])
async def test_pages_of_the_client_may_send_proofs_and_read_challenges(
    browser: Client, path: str
) -> None:
    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,dpop",
    }
    async with browser.options(path, headers=preflight) as response:
        assert response.status == 200
        assert "DPOP" in response.headers["Access-Control-Allow-Headers"].upper().split(",")
    async with browser.post(path, headers={"Origin": ORIGIN}) as response:
        assert response.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
