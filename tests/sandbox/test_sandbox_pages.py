"""What do the issuer's pages offer to a person: to cancel, to sign up, to see what there is?"""

import re
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientResponse

from hello.sandbox.issuer import CLIENT_ID, Issuer
from hello.sandbox.issuer.people import SignedUp
from support.api import AUDIENCE, ORIGIN, Client
from support.logging_in import (
    ASKED,
    CHALLENGE,
    ROBIN,
    answer_of,
    authorize,
    choose,
    claims_of,
    log_in,
    tokens,
)


async def submit(browser: Client, page: ClientResponse, **form: str) -> ClientResponse:
    match = re.search(r'name="transaction" value="([^"]+)"', await page.text())
    assert match
    return await browser.post(
        "/login", data={"transaction": match[1], **form}, allow_redirects=False
    )


async def test_who_cancels_is_sent_back_without_a_code(browser: Client) -> None:
    page = await authorize(browser)
    response = await submit(browser, page, cancel="yes")
    answer = answer_of(response)
    assert answer.keys() == {"error", "error_description", "state", "iss"}
    assert (answer["error"], answer["state"]) == ("access_denied", ASKED["state"])
    assert "Set-Cookie" not in response.headers
    assert (await choose(browser, page, ROBIN)).status == 400
    assert answer_of(await authorize(browser, prompt="none"))["error"] == "login_required"


async def test_who_cancels_another_login_stays_logged_in(browser: Client) -> None:
    await log_in(browser)
    page = await authorize(browser, prompt="login")
    assert answer_of(await submit(browser, page, cancel="yes"))["error"] == "access_denied"
    assert answer_of(await authorize(browser, prompt="none"))["code"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["openid", "profile", "email", AUDIENCE]),
        ({"scope": "openid"}, ["openid", AUDIENCE]),
        ({"scope": None}, [AUDIENCE]),
        ({"scope": "openid <b>"}, ["openid", "&lt;b&gt;", AUDIENCE]),
        ({"audience": None, "scope": "offline_access"}, ["offline_access"]),
        ({"scope": "openid", "dpop_jkt": CHALLENGE}, ["openid", AUDIENCE, "key"]),
    ],
)
async def test_the_login_says_what_the_client_asks_for(
    browser: Client, changes: dict[str, str | None], said: list[str]
) -> None:
    html = await (await authorize(browser, **changes)).text()
    assert ASKED["client_id"] in html
    assert ORIGIN in html
    wishes = re.findall(r"<li>(.*?)</li>", html)
    wishes = [wish for wish in wishes if "nothing" not in wish.split()[:1]]
    assert len(wishes) == len(said)
    for wish, word in zip(wishes, said, strict=True):
        assert word in wish


async def test_a_new_person_signs_up_and_logs_in_again(browser: Client) -> None:
    page = await authorize(browser, screen_hint="signup", prompt="login")
    code = answer_of(await submit(browser, page, person="new", name="  Zoë   <i> "))["code"]
    _status, answer = await tokens(browser, code)
    identity = claims_of(answer["id_token"])
    assert (identity["name"], identity["email"]) == ("Zoë <i>", "zo.i@example.com")
    assert claims_of(answer["access_token"])["permissions"] == []
    page = await authorize(browser, prompt="login")
    html = await page.text()
    assert "Zoë &lt;i&gt;" in html
    assert "<i>" not in html
    again = answer_of(await choose(browser, page, identity["sub"]))["code"]
    _status, answer = await tokens(browser, again)
    assert claims_of(answer["id_token"])["sub"] == identity["sub"]


async def test_only_a_client_that_asks_for_it_gets_the_form_to_sign_up(browser: Client) -> None:
    for changes, offered in (({}, False), ({"screen_hint": "signup"}, True)):
        html = await (await authorize(browser, **changes)).text()
        assert ('value="new"' in html) is offered


@pytest.mark.parametrize("name", ["", "   ", "n" * 61, "a\u202eb", "a\x00b"])
async def test_what_is_no_name_signs_nobody_up(browser: Client, name: str) -> None:
    page = await authorize(browser, screen_hint="signup")
    response = await submit(browser, page, person="new", name=name)
    assert response.status == 400
    assert "Set-Cookie" not in response.headers


def test_the_latest_twenty_who_signed_up_are_known() -> None:
    people = SignedUp()
    made = [person for number in range(21) if (person := people.sign_up(f"P {number}"))]
    assert people.listed() == made[1:]
    assert people.get(made[0].subject) is None
    assert people.get(made[1].subject) is made[1]
    nameless = people.sign_up("名")
    assert nameless is not None
    assert nameless.email == "somebody@example.com"


async def test_the_issuer_says_what_it_has(browser: Client, own: Issuer) -> None:
    async with browser.get("/") as response:
        assert response.status == 200
        html = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'none'" in policy
    assert CLIENT_ID in html
    for name, value in own.metadata().items():
        if name.endswith(("_endpoint", "_uri")):
            assert f"<dt>{name}</dt>" in html
            assert str(value) in html
    for link in re.findall(r'href="(http[^"]+)"', html):
        async with browser.get(urlsplit(link).path) as response:
            assert response.status == 200
