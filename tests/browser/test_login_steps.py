"""What does a person see of each step of a login, and what stays secret there?"""

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from support.bound_walk import bound
from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk

if TYPE_CHECKING:
    from playwright.async_api import Request, Response

pytestmark = IN_A_BROWSER

LOGIN = ["authorize", "callback", "token"]
NOBODY = ["renewal"]
RENEWAL = ["renewal", "token"]


async def kinds(walk: Walk) -> list[str]:
    """The kinds of the steps that the page shows."""
    await walk.go("/login")
    await walk.page.locator(".timeline, [data-testid=no-steps]").first.wait_for()
    return [
        str(await one.get_attribute("data-kind"))
        for one in await walk.page.locator("[data-kind]").all()
    ]


async def text_of(walk: Walk, kind: str) -> str:
    return await walk.page.locator(f'[data-kind="{kind}"]').last.inner_text()


def part(text: str, name: str) -> str:
    """What a step shows as a parameter's value."""
    found = re.search(rf"^\s*{name} = (\S+)$", text, re.MULTILINE)
    assert found, name
    return found[1]


async def test_the_steps_of_a_login_fit_together_and_keep_their_secrets(walk: Walk) -> None:
    requests: list[Request] = []
    responses: list[Response] = []
    # Playwright takes no built-in method.
    walk.page.on("request", lambda one: requests.append(one))  # noqa: PLW0108
    walk.page.on("response", lambda one: responses.append(one))  # noqa: PLW0108
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    assert await kinds(walk) == LOGIN  # without the question whether somebody is logged in
    [redeemed] = [one for one in requests if one.url.endswith("/oauth/token")]
    [answered] = [one for one in responses if one.url.endswith("/oauth/token")]
    form = {name: value for name, [value] in parse_qs(redeemed.post_data or "").items()}
    answer = await answered.json()
    [asked] = [
        parse_qs(urlsplit(one.url).query)
        for one in requests
        if "/authorize?" in one.url and "response_mode=query" in one.url
    ]
    authorize, callback = await text_of(walk, "authorize"), await text_of(walk, "callback")
    token = await text_of(walk, "token")
    assert part(authorize, "code_challenge") == asked["code_challenge"][0]
    assert part(authorize, "state") == part(callback, "state")
    assert part(callback, "code") == part(token, "code")
    for name in ("code", "code_verifier"):
        begin, end = part(token, name).split("…")
        assert form[name].startswith(begin)
        assert form[name].endswith(end)
        assert len(begin + end) == 10
    secrets = [
        form["code"],
        form["code_verifier"],
        answer["access_token"],
        answer["id_token"],
        asked["state"][0],
        asked["nonce"][0],
    ]
    kept = json.dumps(await walk.page.evaluate("[{...localStorage}, {...sessionStorage}]"))
    shown = await walk.page.content()
    for secret in secrets:
        assert secret not in kept
        assert secret not in shown
        assert secret[8:24] not in kept


async def test_silent_renewal_and_logout_are_steps_too(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.reload()
    await walk.message()
    assert await kinds(walk) == [*LOGIN, *RENEWAL]
    assert part(await text_of(walk, "renewal"), "prompt") == "none"
    await walk.page.locator("#account .name + button").click()
    await walk.logged_out()
    assert await kinds(walk) == [*LOGIN, *RENEWAL, "logout", *NOBODY]
    assert "…" in part(await text_of(walk, "logout"), "id_token_hint")


async def test_a_login_that_was_cancelled_says_so(walk: Walk) -> None:
    await walk.open()
    await walk.page.locator(LOG_IN).click()
    await walk.page.locator('button[name="cancel"]').click()
    await walk.notice()
    assert (await kinds(walk))[:2] == ["authorize", "refused"]
    assert part(await text_of(walk, "refused"), "error") == "access_denied"


async def test_a_bound_login_names_its_key_and_shows_no_proof(walk: Walk) -> None:
    requests = await bound(walk)
    await kinds(walk)
    assert part(await text_of(walk, "authorize"), "dpop_jkt") == (await requests.last()).key
    assert "…" in part(await text_of(walk, "token"), "DPoP")


async def test_steps_are_this_tabs_alone_and_can_be_forgotten(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    other = Walk(await walk.page.context.new_page(), walk.sandbox)
    await other.open("/login")
    await other.logged_in()
    assert await kinds(other) == RENEWAL
    await kinds(walk)
    await walk.page.locator(".place > .actions button").click()
    assert await walk.focused("h1")
    assert await kinds(walk) == []
    assert await kinds(other) == RENEWAL


async def test_a_renewal_shows_on_the_page_that_is_open(walk: Walk) -> None:
    await walk.open("/login")
    await walk.page.locator('[data-kind="renewal"]').wait_for()


async def test_only_the_latest_forty_are_kept(walk: Walk) -> None:
    await walk.open()
    await walk.logged_out()
    old = [{"kind": "old", "at": 0, "sent": {"line": "", "fields": []}}] * 60
    await walk.page.evaluate("old => sessionStorage.setItem('timeline', old)", json.dumps(old))
    await walk.open("/login")
    await walk.page.locator('[data-kind="renewal"]').wait_for()
    assert len(json.loads(await walk.page.evaluate("sessionStorage.getItem('timeline')"))) == 40


async def test_a_browser_without_room_logs_in_all_the_same(walk: Walk) -> None:
    await walk.page.add_init_script(
        """const set = Storage.prototype.setItem;
        Storage.prototype.setItem = function (name, value) {
          if (name === "timeline") throw new DOMException("", "QuotaExceededError");
          set.call(this, name, value);
        };"""
    )
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    assert await kinds(walk) == []


async def test_what_somebody_else_wrote_there_breaks_nothing(walk: Walk) -> None:
    await walk.open()
    await walk.logged_out()
    for broken in ("{", "{}", "null"):
        await walk.page.evaluate("text => sessionStorage.setItem('timeline', text)", broken)
        await kinds(walk)
        await walk.go("/")
