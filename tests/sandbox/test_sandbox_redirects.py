"""Where is a client answered that did not register: at its pages, and at which ports?"""

import pytest

from hello.sandbox.issuer import Issuer
from support.api import ORIGIN, Client
from support.logging_in import ADA, authorize, choose, log_in, tokens

ON_THIS_MACHINE = [
    "http://127.0.0.1:51004/callback",
    "http://127.0.0.1:51005/another?a=b",
    "http://[::1]:51004/callback",
    "http://127.0.0.1/",
    "http://[::1]",
]


@pytest.mark.parametrize("address", ON_THIS_MACHINE)
async def test_a_program_of_this_machine_comes_back_to_any_port(
    browser: Client, address: str
) -> None:
    """RFC 8252 §7.3."""
    page = await authorize(browser, redirect_uri=address)
    assert page.status == 200
    response = await choose(browser, page, ADA)
    location = response.headers["Location"]
    assert location.startswith(f"{address}{'&' if '?' in address else '?'}code=")
    code = location.partition("code=")[2].partition("&")[0]
    assert (await tokens(browser, code))[1]["error"] == "invalid_grant"
    code = (await choose(browser, await authorize(browser, redirect_uri=address), ADA)).headers[
        "Location"
    ]
    code = code.partition("code=")[2].partition("&")[0]
    assert (await tokens(browser, code, redirect_uri=address))[0] == 200


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:51004/callback",
        "https://127.0.0.1:51004/callback",
        "http://127.0.0.2:51004/callback",
        "http://127.0.0.1:510041/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:port/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1@evil.example/callback",
        "http://127.0.0.1:1@evil.example/callback",
        r"http://127.0.0.1\@evil.example/callback",
        "http://a@127.0.0.1:51004/callback",
        "http://127.0.0.1:51004/#fragment",
        "http://127.0.0.1:51004/\u2028",
        "http://[::2]:51004/callback",
        "http://[::1]evil.example/callback",
        "HTTP://127.0.0.1:51004/callback",
        "http://0x7f000001/callback",
        f"{ORIGIN}?a=b",
        f"{ORIGIN}.evil.example/",
    ],
)
async def test_a_client_comes_back_to_nowhere_else(browser: Client, address: str) -> None:
    """RFC 8252 §8.3: at localhost somebody else may listen, so only its known port is good."""
    response = await authorize(browser, redirect_uri=address)
    assert (response.status, "Location" in response.headers) == (400, False)


@pytest.mark.parametrize("address", ON_THIS_MACHINE[:3])
async def test_a_program_gets_nothing_without_a_person(browser: Client, address: str) -> None:
    """RFC 8252 §8.6: whoever is logged in is asked, as any program can use its identifier."""
    await log_in(browser)
    assert (await authorize(browser)).status == 303
    assert (await authorize(browser, redirect_uri=address)).status == 200
    for changes in ({}, {"response_mode": "web_message"}):
        response = await authorize(browser, redirect_uri=address, prompt="none", **changes)
        location = response.headers["Location"]
        assert location.startswith(address)
        assert "error=" in location
        assert "code=" not in location


@pytest.mark.parametrize(
    ("address", "source"),
    [
        (f"{ORIGIN}/callback", ORIGIN),
        ("http://127.0.0.1:51004/callback", "http://127.0.0.1:51004"),
        ("http://[::1]:51004/callback", "http:"),
    ],
)
async def test_the_login_page_may_lead_back_there(
    browser: Client, address: str, source: str
) -> None:
    """A policy has no words for an IPv6 address."""
    response = await authorize(browser, redirect_uri=address)
    policy = response.headers["Content-Security-Policy"]
    assert policy.endswith(f"form-action 'self' {source}")


async def test_logging_out_leads_to_pages_only(browser: Client, own: Issuer) -> None:
    for target, status in {own.client_origin: 303, ON_THIS_MACHINE[0]: 400}.items():
        response = await browser.get(
            "/oidc/logout", params={"post_logout_redirect_uri": target}, allow_redirects=False
        )
        assert response.status == status


async def test_a_program_is_answered_by_no_web_message(browser: Client) -> None:
    """That is for pages of the client, in a frame."""
    response = await authorize(
        browser, redirect_uri=ON_THIS_MACHINE[0], response_mode="web_message"
    )
    location = response.headers["Location"]
    assert location.startswith(ON_THIS_MACHINE[0])
    assert "error=invalid_request" in location
