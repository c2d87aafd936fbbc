"""Which answers does the page refuse: not from the issuer, or not for this login?"""

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk

if TYPE_CHECKING:
    from playwright.async_api import Request, Route

pytestmark = IN_A_BROWSER

Fields = dict[str, object]

OTHER = "http://localhost:9/"
METADATA = "**/.well-known/openid-configuration"
SAYS_NO_ISS = {"authorization_response_iss_parameter_supported": False}


async def come_back_with(walk: Walk, changes: dict[str, str | None]) -> None:
    """Change what the issuer answers by the browser; None takes a parameter away."""

    async def changed(route: "Route") -> None:
        answer = await route.fetch(max_redirects=0)
        parts = urlsplit(answer.headers["location"])
        sent = {name: value for name, [value] in parse_qs(parts.query).items()}
        kept = {name: value for name, value in (sent | changes).items() if value is not None}
        place = parts._replace(query=urlencode(kept)).geturl()
        await route.fulfill(response=answer, headers={**answer.headers, "location": place})

    await walk.page.route("**/login", changed)


async def answer_with(walk: Walk, url: str, change: Callable[[Fields], Fields]) -> None:
    async def changed(route: "Route") -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json=change(await answer.json()))

    await walk.page.route(url, changed)


async def log_in(walk: Walk) -> None:
    await walk.open()
    await walk.logged_out()
    await walk.page.locator(LOG_IN).click()
    await walk.choose(ROBIN)


@pytest.mark.parametrize("iss", [None, OTHER, ""])
async def test_an_answer_of_another_issuer_is_not_used(walk: Walk, iss: str | None) -> None:
    await come_back_with(walk, {"iss": iss})
    await log_in(walk)
    await walk.alert()
    await walk.logged_out()
    assert walk.sandbox.issuer.requests["/oauth/token"] == 0


async def test_an_issuer_that_does_not_send_its_name_is_believed(walk: Walk) -> None:
    await answer_with(walk, METADATA, lambda metadata: metadata | SAYS_NO_ISS)
    await come_back_with(walk, {"iss": None})
    await log_in(walk)
    await walk.logged_in()


async def test_the_name_of_an_issuer_that_need_not_send_it_is_compared(walk: Walk) -> None:
    await answer_with(walk, METADATA, lambda metadata: metadata | SAYS_NO_ISS)
    await come_back_with(walk, {"iss": OTHER})
    await log_in(walk)
    await walk.alert()
    await walk.logged_out()
    assert walk.sandbox.issuer.requests["/oauth/token"] == 0


async def test_a_silent_answer_of_another_issuer_is_not_used(walk: Walk) -> None:
    async def changed(route: "Route") -> None:
        answer = await route.fetch()
        text = (await answer.text()).replace(walk.sandbox.issuer.url, OTHER)
        await route.fulfill(response=answer, body=text)

    await log_in(walk)
    await walk.logged_in()
    redeemed = walk.sandbox.issuer.requests["/oauth/token"]
    await walk.page.route("**/authorize?**prompt=none**", changed)
    await walk.page.reload()
    await walk.notice()
    await walk.logged_out()
    assert walk.sandbox.issuer.requests["/oauth/token"] == redeemed


async def test_an_answer_to_another_login_is_not_used(walk: Walk) -> None:
    codes: list[str] = []

    def redeemed(request: "Request") -> None:
        if request.url.endswith("/oauth/token"):
            codes.extend(parse_qs(request.post_data or "")["code"])

    walk.page.on("request", redeemed)
    await come_back_with(walk, {"state": "another", "code": "stolen"})
    await log_in(walk)
    # The login went on at the issuer, which now knows the person: a silent one finds that out.
    await walk.logged_in()
    await walk.notice()
    assert codes
    assert "stolen" not in codes


CLAIMS: dict[str, Fields] = {
    "another issuer": {"iss": OTHER},
    "another client": {"aud": "another"},
    "several clients, given to nobody": {"aud": ["demo", "another"]},
    "several clients, given to another": {"aud": ["demo", "another"], "azp": "another"},
    "another login": {"nonce": "another"},
    "no login": {"nonce": None},
    "expired": {"exp": 1_000_000_000},
    "no expiry": {"exp": None},
    "nobody": {"sub": None},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
async def test_an_id_token_that_is_not_of_this_login_logs_nobody_in(
    walk: Walk, claims: Fields
) -> None:
    def changed(answer: Fields) -> Fields:
        head, payload, signature = str(answer["id_token"]).split(".")
        padded = payload + "=" * (-len(payload) % 4)
        sent = json.loads(base64.urlsafe_b64decode(padded))
        kept = {name: value for name, value in (sent | claims).items() if value is not None}
        encoded = base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")
        return answer | {"id_token": f"{head}.{encoded}.{signature}"}

    await answer_with(walk, "**/oauth/token", changed)
    await log_in(walk)
    await walk.alert()
    await walk.logged_out()
