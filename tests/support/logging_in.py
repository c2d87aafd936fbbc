"""A browser before the sandbox's issuer, and what it does there, step by step."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientResponse, CookieJar
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from hello.sandbox.issuer import Issuer, base64url, issuer_app
from hello.tokens.jwt.compact import parse
from support.api import AUDIENCE, ORIGIN, Client
from support.clock import FakeClock

VERIFIER = "v" * 43
CHALLENGE = base64url(hashlib.sha256(VERIFIER.encode()).digest())
CALLBACK = f"{ORIGIN}/callback"
ASKED = {
    "response_type": "code",
    "client_id": "demo",
    "redirect_uri": CALLBACK,
    "scope": "openid profile email",
    "audience": AUDIENCE,
    "state": "s t&te",
    "nonce": "n",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
ROBIN, ADA = "sandbox|robin", "sandbox|ada"


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer whose time stands still."""
    return Issuer(audience=AUDIENCE, key=keys[0], clock=clock.time)


@pytest.fixture
async def browser(own: Issuer, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    """A client that keeps cookies and does not follow redirects by itself."""
    server = TestServer(issuer_app(own))
    client = await aiohttp_client(server, cookie_jar=CookieJar(unsafe=True))
    own.url = str(server.make_url("/"))
    return client


def asking(**changes: str | None) -> dict[str, str]:
    """The parameters of an authorization request, with changes; None leaves one out."""
    return {name: value for name, value in {**ASKED, **changes}.items() if value is not None}


async def authorize(browser: Client, **changes: str | None) -> ClientResponse:
    return await browser.get("/authorize", params=asking(**changes), allow_redirects=False)


async def choose(browser: Client, page: ClientResponse, person: str) -> ClientResponse:
    match = re.search(r'name="transaction" value="([^"]+)"', await page.text())
    assert match
    return await browser.post(
        "/login", data={"transaction": match[1], "person": person}, allow_redirects=False
    )


async def log_in(browser: Client, person: str = ROBIN, **changes: str | None) -> str:
    """Log in, and return the code."""
    response = await choose(browser, await authorize(browser, **changes), person)
    return answer_of(response)["code"]


def answer_of(response: ClientResponse) -> dict[str, str]:
    """What a redirect carries to the client."""
    assert response.status == 303
    location = response.headers["Location"]
    assert location.startswith(CALLBACK)
    return {name: value for name, [value] in parse_qs(urlsplit(location).query).items()}


async def tokens(
    browser: Client, code: str, /, **changes: str | None
) -> tuple[int, dict[str, Any]]:
    form = {
        "grant_type": "authorization_code",
        "client_id": "demo",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": CALLBACK,
        **changes,
    }
    data = {name: value for name, value in form.items() if value is not None}
    async with browser.post("/oauth/token", data=data) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def refresh(browser: Client, token: str, **changes: str) -> tuple[int, dict[str, Any]]:
    form = {"grant_type": "refresh_token", "client_id": "demo", "refresh_token": token, **changes}
    async with browser.post("/oauth/token", data=form) as response:
        return response.status, await response.json()


def claims_of(token: str) -> Mapping[str, Any]:
    return parse(token).claims
