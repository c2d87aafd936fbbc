"""What does a person see, in a real browser, who binds the tokens to it (RFC 9449)?"""

import asyncio
import json
import re
import shlex
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientSession

from hello.tokens.jwt.compact import parse
from hello.tokens.possession.proof import thumbprint_of
from support.bound_walk import Requests, bound, state, switch
from support.logging_in import ADA, ROBIN
from support.proofs import ath
from support.sandbox_walk import IN_A_BROWSER, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = IN_A_BROWSER

# What the page stores. The private half of the key has to be one that no script can read.
STORED_KEY = """
() => new Promise((resolve, reject) => {
  const opening = indexedDB.open("binding");
  opening.onupgradeneeded = () => { opening.transaction.abort(); resolve(null); };
  opening.onsuccess = () => {
    const get = opening.result.transaction("keys").objectStore("keys").get("browser");
    get.onsuccess = async () => {
      opening.result.close();
      if (get.result === undefined) return resolve(null);
      const { privateKey, thumbprint } = get.result;
      const formats = ["jwk", "pkcs8", "raw"].map((format) =>
        crypto.subtle.exportKey(format, privateKey).then(() => format, () => null));
      const exported = (await Promise.all(formats)).filter((format) => format !== null);
      resolve({ thumbprint, exported, usages: privateKey.usages });
    };
  };
})
"""


async def stored(walk: Walk) -> dict[str, str]:
    text = await walk.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    local, session = json.loads(text)
    return {**local, **session}


async def test_by_default_tokens_are_not_bound(walk: Walk) -> None:
    requests = Requests(walk)
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await state(walk, "off")
    request = await requests.last()
    assert (request.scheme, request.proof, request.bound_to) == ("Bearer", None, None)
    assert await requests.proofs("/oauth/token") == [None]
    assert all("dpop_jkt" not in one.url for one in requests.to("/authorize"))
    assert await walk.page.evaluate(STORED_KEY) is None


async def test_each_request_has_a_proof_of_the_key_that_the_token_is_bound_to(walk: Walk) -> None:
    requests = await bound(walk, ADA)
    first = await requests.last()
    await walk.go("/admin")
    assert await walk.message() == await walk.api_says("/admin")
    second = await requests.last("/admin")
    assert first.token == second.token
    for request, path in ((first, "/protected"), (second, "/admin")):
        assert request.scheme == "DPoP"
        assert request.bound_to == {"jkt": request.key}
        assert request.proof is not None
        claims = parse(request.proof).claims
        assert claims["htm"] == "GET"
        assert claims["htu"] == f"{walk.sandbox.api}/api/messages{path}"
        assert claims["ath"] == ath(request.token)
    assert parse(first.proof or "").claims["jti"] != parse(second.proof or "").claims["jti"]


async def test_the_issuer_knows_the_key_before_the_login_and_sees_a_proof_after_it(
    walk: Walk,
) -> None:
    requests = await bound(walk)
    key = (await requests.last()).key
    asked = [parse_qs(urlsplit(one.url).query) for one in requests.to("/authorize")]
    assert [one.get("dpop_jkt") for one in asked] == [
        None,
        [key],
    ]  # the first was before the switch
    [redeemed] = requests.to("/oauth/token")
    proof = parse((await redeemed.all_headers())["dpop"])
    assert thumbprint_of(proof.header["jwk"]) == key
    assert proof.claims["htm"] == "POST"
    assert proof.claims["htu"] == f"{walk.sandbox.issuer.url}oauth/token"
    assert "ath" not in proof.claims


async def test_no_script_can_read_the_key_and_no_token_is_stored(walk: Walk) -> None:
    requests = await bound(walk)
    key = await walk.page.evaluate(STORED_KEY)
    assert key == {"thumbprint": (await requests.last()).key, "exported": [], "usages": ["sign"]}
    left = await stored(walk)
    assert left.keys() == {"binding", "known", "timeline"}
    assert (left["binding"], left["known"]) == ("on", "yes")
    assert not re.search(r"eyJ[\w-]{8}", left["timeline"])


async def test_the_choice_and_the_key_outlast_a_reload(walk: Walk) -> None:
    requests = await bound(walk)
    before = await requests.last()
    await walk.page.reload()
    assert await walk.message() == await walk.api_says("/protected")
    await state(walk, "bound")
    assert await walk.page.locator("#binding-switch").is_checked()
    after = await requests.last()
    assert len(requests.to("/oauth/token")) == 2
    assert after.key == before.key
    [silently] = parse_qs(urlsplit(requests.to("/authorize")[-1].url).query)["dpop_jkt"]
    assert silently == after.key


async def test_the_proof_is_shown_beside_the_token(walk: Walk) -> None:
    requests = await bound(walk)
    await walk.open_details()
    request = await requests.last()
    assert request.proof is not None
    shown = await walk.page.get_by_role("main").inner_text()
    proof = parse(request.proof)
    for name, value in {**proof.header, **proof.claims}.items():
        if isinstance(value, str):
            assert re.search(rf"{name}\s+{re.escape(value)}", shown), name
    assert proof.header["jwk"]["x"] in shown
    thumbprint = walk.page.get_by_test_id("thumbprint")
    assert request.key in await thumbprint.inner_text()
    assert await thumbprint.get_attribute("data-fit") == "yes"
    assert request.token not in shown
    assert request.proof not in shown


COPIES = {
    "bearer": "invalid_token",
    "unproved": "invalid_dpop_proof",
    "replayed": "invalid_dpop_proof",
}


@pytest.mark.parametrize("way", COPIES)
async def test_a_copy_of_the_token_is_refused_in_a_terminal(walk: Walk, way: str) -> None:
    await walk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    requests = await bound(walk)
    await walk.open_details()
    buttons = walk.page.locator(f'[aria-labelledby="copy-{way}"] button')
    await buttons.first.click()
    await buttons.first.locator("span:first-child[hidden]").wait_for(state="attached")
    copied = shlex.split(await walk.page.evaluate("navigator.clipboard.readText()"))
    assert copied[0] == "curl"
    assert (await requests.last()).token in " ".join(copied)
    curl = await asyncio.create_subprocess_exec(
        *copied, "--silent", "--max-time", "10", stdout=asyncio.subprocess.PIPE
    )
    answer = (await curl.communicate())[0].decode()
    assert answer.startswith("HTTP/1.1 401 ")
    assert f'error="{COPIES[way]}"' in answer


async def test_a_copy_of_the_token_is_refused_on_the_page(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await bound(walk)
        await walk.open_details()
        for way, error in COPIES.items():
            answer = walk.page.get_by_test_id(f"{way}-answer")
            await walk.page.locator(f'[aria-labelledby="copy-{way}"] button').last.click()
            await answer.get_by_text(error).wait_for()
            assert "401" in await answer.inner_text()
        assert len(walk.complaints) == len(COPIES)
        assert all("401" in complaint for complaint in walk.complaints)


async def test_no_two_buttons_of_bound_tokens_have_the_same_name(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await bound(walk)
        await walk.open_details()
        await walk.page.locator("[role=group] button").first.click()  # a mistake has one, too
        await walk.page.locator(".broken details").first.wait_for()
        await walk.open_details()
        # Each line of the accessibility tree has a role and a name.
        tree = await walk.page.get_by_role("main").aria_snapshot()
        names = re.findall(r'button "(.*)"', tree)
        assert len(names) > 4 * len(COPIES)
        assert len(set(names)) == len(names)
        assert all("401" in complaint for complaint in walk.complaints)


async def test_a_copied_proof_is_no_good_for_another_message(walk: Walk) -> None:
    request = await (await bound(walk)).last()
    headers = {"Authorization": f"DPoP {request.token}", "DPoP": request.proof or ""}
    url = f"{walk.sandbox.api}/api/messages/admin"
    async with ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == 401


async def test_switching_gets_new_tokens_and_forgets_the_key(walk: Walk) -> None:
    requests = Requests(walk)
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await switch(walk)
    await state(walk, "bound")
    await walk.page.get_by_test_id("thumbprint").wait_for(state="attached")
    assert (await requests.last()).scheme == "DPoP"
    await switch(walk)
    await walk.page.get_by_test_id("thumbprint").wait_for(state="detached")
    await walk.message()
    await state(walk, "off")
    request = await requests.last()
    assert (request.scheme, request.proof, request.bound_to) == ("Bearer", None, None)
    assert await walk.page.evaluate(STORED_KEY) is None
    assert "binding" not in await stored(walk)


@pytest.mark.parametrize("path", ["/", "/protected"])
async def test_where_the_session_has_ended_switching_leads_to_the_login(
    walk: Walk, path: str
) -> None:
    await walk.open()
    await walk.log_in(ROBIN)
    await walk.logged_in()
    await walk.go(path)
    await walk.page.context.clear_cookies()
    await switch(walk)
    await walk.choose(ADA)
    await state(walk, "bound")
    assert walk.page.url == f"{walk.sandbox.client}{path}"


async def test_who_logs_out_takes_the_key_along(walk: Walk) -> None:
    before = (await (await bound(walk)).last()).key
    await walk.page.locator("#account .name + button").click()
    await walk.logged_out()
    await state(walk, "wanted")
    after = await walk.page.evaluate(STORED_KEY)  # the page has asked silently, with a new one
    assert after is None or after["thumbprint"] != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_of_bound_tokens_are_accessible(browser: "Browser", scheme: str) -> None:
    async with (
        sandbox(admin_permission="read:admin-messages") as there,
        walking(browser, there, color_scheme=scheme) as walk,
    ):
        await bound(walk)
        for path in ("/protected", "/admin"):
            await walk.go(path)
            await walk.page.get_by_test_id("thumbprint").wait_for(state="attached")
            await walk.open_details()
            assert await walk.violations() == [], path


@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_no_page_of_bound_tokens_scrolls_sideways(browser: "Browser", width: int) -> None:
    size = {"width": width, "height": 800}
    async with sandbox() as there, walking(browser, there, viewport=size) as walk:
        await bound(walk)
        await walk.open_details()
        assert await walk.page.evaluate("document.documentElement.scrollWidth") <= width
        label = await walk.page.locator("#binding label").bounding_box()
        assert label is not None
        assert label["height"] >= 40  # a finger finds it


async def test_a_keyboard_is_enough_to_switch(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.tab_to("#binding-switch")
    await walk.page.keyboard.press("Space")
    await state(walk, "bound")
    await walk.page.get_by_test_id("thumbprint").wait_for(state="attached")
    assert await walk.focused("#binding-switch")
    status = walk.page.get_by_role("status")
    assert await status.inner_text() == await walk.page.locator("#binding-state").inner_text()
