"""How does the sandbox log people in, and whom does it refuse?"""

from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import ANY

import pytest

from hello.sandbox.issuer import Issuer, Person
from support.api import AUDIENCE, ORIGIN, Client
from support.clock import FakeClock
from support.logging_in import (
    ADA,
    ASKED,
    CALLBACK,
    CHALLENGE,
    ROBIN,
    answer_of,
    asking,
    authorize,
    choose,
    claims_of,
    log_in,
    tokens,
)


@pytest.mark.parametrize(("person", "permissions"), [(ROBIN, []), (ADA, ["read:admin-messages"])])
async def test_a_person_logs_in_and_the_client_gets_tokens(
    browser: Client, own: Issuer, person: str, permissions: list[str]
) -> None:
    page = await authorize(browser)
    assert page.status == 200
    assert answer_of(await choose(browser, page, person)).keys() == {"code", "state", "iss"}
    code = await log_in(browser, person, prompt="login")
    status, answer = await tokens(browser, code)
    assert status == 200
    assert {name: answer[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 86400,
        "scope": "email openid profile",
    }
    access = claims_of(answer["access_token"])
    now = int(own.clock())
    assert access == {
        "iss": own.url,
        "sub": person,
        "aud": [AUDIENCE, f"{own.url}userinfo"],
        "azp": "demo",
        "iat": now,
        "exp": now + 86400,
        "jti": ANY,
        "scope": "email openid profile",
        "permissions": permissions,
    }
    identity = claims_of(answer["id_token"])
    assert identity.keys() == {
        *("iss", "sub", "aud", "iat", "exp", "jti", "nonce", "sid", "auth_time"),
        *("name", "nickname", "email", "email_verified"),
    }
    assert (identity["sub"], identity["aud"], identity["nonce"]) == (person, "demo", "n")
    assert "refresh_token" not in answer


async def test_other_people_log_in_if_the_issuer_has_them(browser: Client, own: Issuer) -> None:
    """Each with permissions of his own."""
    kim = Person("sandbox|kim", "Kim <b>", "kim@example.com", "<i>", permissions=frozenset("a"))
    own.people = {kim.subject: kim}
    page = await authorize(browser)
    assert "<b>" not in await page.text()
    assert ROBIN not in await page.text()
    assert (await choose(browser, page, ROBIN)).status == 400
    _, answer = await tokens(browser, await log_in(browser, kim.subject))
    assert claims_of(answer["access_token"])["permissions"] == ["a"]


async def test_the_state_comes_back_as_it_was(browser: Client) -> None:
    answer = answer_of(await choose(browser, await authorize(browser), ROBIN))
    assert answer["state"] == ASKED["state"]
    without = answer_of(await authorize(browser, state=None))
    assert without.keys() == {"code", "iss"}


async def test_a_redirect_keeps_the_query_that_the_client_registered(browser: Client) -> None:
    response = await choose(browser, await authorize(browser, redirect_uri=f"{CALLBACK}?a=1"), ADA)
    assert response.headers["Location"].startswith(f"{CALLBACK}?a=1&code=")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": ""},
        {"redirect_uri": None},
        {"redirect_uri": "http://localhost:4041/callback"},
        {"redirect_uri": "https://localhost:4040/callback"},
        {"redirect_uri": "http://localhost:4040.evil.example/"},
        {"redirect_uri": "http://localhost:4040@evil.example/"},
        {"redirect_uri": "http://localhost:40400/"},
        {"redirect_uri": r"http://localhost:4040\@evil.example/"},
        {"redirect_uri": "//localhost:4040/"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": f"{CALLBACK}#fragment"},
        {"redirect_uri": f"{ORIGIN}/\u2028"},
    ],
)
async def test_nobody_is_redirected_to_where_nobody_vouches_for(
    browser: Client, changes: dict[str, str | None]
) -> None:
    response = await authorize(browser, **changes)
    assert response.status == 400
    assert response.content_type == "text/html"
    assert "Location" not in response.headers
    assert "<form" not in await response.text()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://example.com/r"}, "request_uri_not_supported"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": f"{CHALLENGE}="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"organization": "org 1"}, "invalid_request"),
        ({"organization": "a" * 51}, "invalid_request"),
        ({"organization": "\u0435"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "surprise"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"audience": "https://elsewhere.example.com"}, "invalid_target"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_what_is_wrong_with_a_request_is_told_to_the_client(
    browser: Client, changes: dict[str, str | None], error: str
) -> None:
    answer = answer_of(await authorize(browser, **changes))
    assert answer["error"] == error
    assert answer["state"] == ASKED["state"]
    assert answer["error_description"]


async def test_every_answer_names_the_issuer(browser: Client, own: Issuer) -> None:
    """RFC 9207 §2: errors, too. RFC 9207 §3: the metadata says so."""
    assert answer_of(await authorize(browser, response_type="token"))["iss"] == own.url
    assert answer_of(await choose(browser, await authorize(browser), ROBIN))["iss"] == own.url
    for changes in ({"prompt": "none"}, {"prompt": "none", "max_age": "-1"}):
        response = await authorize(browser, response_mode="web_message", **changes)
        assert f"&quot;iss&quot;: &quot;{own.url}&quot;" in await response.text()
    assert own.metadata()["authorization_response_iss_parameter_supported"] is True


async def test_a_parameter_twice_is_refused(browser: Client) -> None:
    response = await browser.get(
        "/authorize", params=[*asking().items(), ("state", "again")], allow_redirects=False
    )
    assert response.status == 400


async def test_a_request_can_be_posted_too(browser: Client) -> None:
    page = await browser.post("/authorize", data=asking())
    assert page.status == 200
    assert answer_of(await choose(browser, page, ROBIN))["code"]


async def test_who_is_logged_in_is_not_asked_again(browser: Client, clock: FakeClock) -> None:
    await log_in(browser)
    assert answer_of(await authorize(browser))["code"]
    assert answer_of(await authorize(browser, prompt="none"))["code"]
    assert (await authorize(browser, prompt="login")).status == 200
    assert (await authorize(browser, prompt="select_account")).status == 200
    clock.advance(61)
    assert answer_of(await authorize(browser, max_age="61"))["code"]
    assert (await authorize(browser, max_age="60")).status == 200
    assert answer_of(await authorize(browser, max_age="60", prompt="none"))["error"] == (
        "login_required"
    )
    clock.advance(86400)
    assert (await authorize(browser)).status == 200


async def test_the_session_cookie_is_kept_from_scripts_and_other_sites(browser: Client) -> None:
    response = await choose(browser, await authorize(browser), ROBIN)
    cookie = SimpleCookie(response.headers["Set-Cookie"])["sandbox_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"transaction": "unknown", "person": ROBIN}, 400),
        ({"person": ROBIN}, 400),
        ({}, 400),
        (b"person=%ff", 400),
        (b"person=a&person=b", 400),
    ],
)
async def test_a_login_that_nobody_began_does_not_end(
    browser: Client, form: dict[str, str] | bytes, status: int
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await browser.post("/login", data=form, headers=headers, allow_redirects=False)
    assert response.status == status
    assert "Set-Cookie" not in response.headers


async def test_an_unknown_person_does_not_get_in(browser: Client) -> None:
    response = await choose(browser, await authorize(browser), "sandbox|mallory")
    assert response.status == 400


async def test_a_login_form_of_another_site_is_refused(browser: Client) -> None:
    response = await browser.post(
        "/login", data={"person": ROBIN}, headers={"Origin": "http://evil.example"}
    )
    assert response.status == 403


async def test_a_login_page_works_once_and_for_ten_minutes(
    browser: Client, clock: FakeClock
) -> None:
    page = await authorize(browser)
    assert (await choose(browser, page, ROBIN)).status == 303
    assert (await choose(browser, page, ROBIN)).status == 400
    page = await authorize(browser, prompt="login")
    clock.advance(600)
    assert (await choose(browser, page, ROBIN)).status == 400


@pytest.mark.parametrize("member", ["code", "error"])
async def test_a_web_message_goes_to_pages_of_the_client_only(browser: Client, member: str) -> None:
    if member == "code":
        await log_in(browser)
    response = await authorize(browser, prompt="none", response_mode="web_message")
    html = await response.text()
    assert response.status == 200
    assert f'data-target="{ORIGIN}"' in html
    assert f"&quot;{member}&quot;" in html
    assert "&quot;state&quot;: &quot;s t&amp;te&quot;" in html
    policy = response.headers["Content-Security-Policy"]
    assert f"frame-ancestors {ORIGIN}" in policy
    assert "script-src 'self'" in policy


async def test_the_login_page_cannot_be_framed_and_holds_no_script(browser: Client) -> None:
    response = await authorize(browser)
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert "<script" not in await response.text()


@pytest.mark.parametrize(
    ("name", "content_type"), [("page.css", "text/css"), ("web_message.js", "text/javascript")]
)
async def test_pages_find_their_assets(browser: Client, name: str, content_type: str) -> None:
    async with browser.get(f"/assets/{name}") as response:
        assert response.status == 200
        assert response.content_type == content_type
    async with browser.get(f"/assets/not-{name}") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("path", "parameters", "location"),
    [
        ("/v2/logout", {"returnTo": ORIGIN, "client_id": "demo"}, ORIGIN),
        ("/v2/logout", {"returnTo": f"{ORIGIN}/"}, f"{ORIGIN}/"),
        ("/oidc/logout", {"post_logout_redirect_uri": ORIGIN}, ORIGIN),
        ("/oidc/logout", {"post_logout_redirect_uri": ORIGIN, "state": "x"}, f"{ORIGIN}?state=x"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_logging_out_ends_the_session(
    browser: Client, method: str, path: str, parameters: dict[str, str], location: str
) -> None:
    if (method, path) == ("POST", "/v2/logout"):
        method = "GET"  # Auth0 knows no other
    await log_in(browser)
    options: dict[str, Any] = {"params" if method == "GET" else "data": parameters}
    response = await browser.request(method, path, allow_redirects=False, **options)
    assert (response.status, response.headers["Location"]) == (303, location)
    assert answer_of(await authorize(browser, prompt="none"))["error"] == "login_required"


@pytest.mark.parametrize(
    ("parameters", "status"),
    [({}, 200), ({"returnTo": "http://evil.example/"}, 400), ({"returnTo": "//evil.example"}, 400)],
)
async def test_logging_out_leads_nowhere_else(
    browser: Client, parameters: dict[str, str], status: int
) -> None:
    await log_in(browser)
    response = await browser.get("/v2/logout", params=parameters, allow_redirects=False)
    assert response.status == status
    assert response.content_type == "text/html"
    assert "Location" not in response.headers
    assert answer_of(await authorize(browser, prompt="none"))["error"] == "login_required"


async def test_logging_out_forgets_the_session_and_not_only_the_cookie(browser: Client) -> None:
    response = await choose(browser, await authorize(browser), ROBIN)
    cookie = SimpleCookie(response.headers["Set-Cookie"])["sandbox_session"].value
    await browser.get("/v2/logout")
    again = await browser.get(
        "/authorize",
        params=asking(prompt="none"),
        cookies={"sandbox_session": cookie},
        allow_redirects=False,
    )
    assert answer_of(again)["error"] == "login_required"


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:4041"])
@pytest.mark.parametrize("path", ["/oauth/token", "/userinfo"])
async def test_pages_of_the_client_may_ask(browser: Client, origin: str, path: str) -> None:
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "auth0-client,content-type",
    }
    async with browser.options(path, headers=preflight) as response:
        assert response.status == (200 if origin == ORIGIN else 403)
    async with browser.post(path, headers={"Origin": origin}) as response:
        assert response.status >= 400
        allowed = response.headers.get("Access-Control-Allow-Origin")
        assert allowed == (ORIGIN if origin == ORIGIN else None)
