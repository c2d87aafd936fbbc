"""What does a person see, in a real browser, from login to logout?"""

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from hello.auth import InsufficientScopeError
from hello.sandbox.issuer.people import PEOPLE
from support.logging_in import ADA, ROBIN
from support.naming import naming
from support.pages import PROJECT
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = IN_A_BROWSER

PAGES = ["/", "/profile", "/public", "/protected", "/admin", "/login"]
# Where the README's pictures are. RENEW_SCREENSHOTS=1 makes them anew.
SCREENSHOTS = PROJECT / "tests/screenshots"
RENEW = os.environ.get("RENEW_SCREENSHOTS") == "1"


@pytest_asyncio.fixture(loop_scope="module")
async def guarded_walk(browser: "Browser") -> AsyncIterator[Walk]:
    """The same, where the admin message asks for a permission."""
    async with (
        sandbox(admin_permission="read:admin-messages") as there,
        walking(browser, there) as walk,
    ):
        yield walk
        assert all("403" in complaint for complaint in walk.complaints)
        assert walk.foreign_hosts() == set()


@pytest.mark.parametrize("person", [ROBIN, ADA])
async def test_who_logs_in_reads_every_message(walk: Walk, person: str) -> None:
    await walk.open()
    await walk.log_in(person)
    await walk.logged_in()
    for path in ("/public", "/protected", "/admin"):
        await walk.go(path)
        await walk.page.wait_for_url(f"{walk.sandbox.client}{path}")
        assert await walk.message() == await walk.api_says(path)
    await walk.go("/profile")
    assert await walk.page.get_by_test_id("name").inner_text() == PEOPLE[person].name


async def test_the_public_message_needs_no_login(walk: Walk) -> None:
    await walk.open("/public")
    assert await walk.message() == await walk.api_says("/public")


async def test_without_the_permission_the_admin_message_is_refused(guarded_walk: Walk) -> None:
    await guarded_walk.open("/admin")
    await guarded_walk.choose(ROBIN)
    assert InsufficientScopeError.message in await guarded_walk.alert()
    assert "insufficient_scope" in await guarded_walk.page.get_by_role("main").inner_text()


async def test_with_the_permission_the_admin_message_is_read(guarded_walk: Walk) -> None:
    await guarded_walk.open("/admin")
    await guarded_walk.choose(ADA)
    assert await guarded_walk.message() == await guarded_walk.api_says("/admin")


@pytest.mark.parametrize("path", ["/protected", "/admin", "/profile"])
async def test_a_deep_link_leads_through_login_and_back(walk: Walk, path: str) -> None:
    await walk.open(path)
    await walk.choose(ROBIN)
    await walk.page.wait_for_url(f"{walk.sandbox.client}{path}")
    await walk.logged_in()
    assert (await walk.page.title()).startswith(await walk.title())


async def test_a_reload_renews_silently(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.reload()
    assert await walk.message() == await walk.api_says("/protected")
    assert walk.page.url == f"{walk.sandbox.client}/protected"


async def test_tokens_are_kept_in_memory_alone(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    local, session, cookies = await walk.page.evaluate(
        "[{...localStorage}, {...sessionStorage}, document.cookie]"
    )
    assert (local, cookies) == ({}, "")
    assert session.keys() == {"known", "timeline"}
    # Parts of tokens are there, cut in the middle (test_login_steps.py).
    assert not re.search(r"eyJ[\w-]{8}", str(session))


async def test_an_expired_token_is_renewed_silently(walk: Walk) -> None:
    await walk.page.clock.install()
    walk.sandbox.issuer.lifetime = 20  # seconds
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.clock.fast_forward("00:15")  # into the last third of its life
    asked = walk.sandbox.issuer.requests["/authorize"]
    await walk.go("/admin")
    assert await walk.message() == await walk.api_says("/admin")
    assert walk.sandbox.issuer.requests["/authorize"] == asked + 1


async def test_an_expired_token_of_an_ended_session_leads_to_the_login(walk: Walk) -> None:
    await walk.page.clock.install()
    walk.sandbox.issuer.lifetime = 20  # seconds
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.clock.fast_forward("00:30")
    walk.sandbox.issuer.lifetime = 86400
    await walk.page.context.clear_cookies()
    await walk.go("/admin")
    await walk.page.locator(".place button.main").click()
    await walk.choose(ROBIN)
    assert await walk.message() == await walk.api_says("/admin")


async def test_who_logs_out_is_asked_again(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.locator("#account .name + button").click()
    await walk.logged_out()
    await walk.open("/protected")
    await walk.asked_who_one_is()


async def redirect(route: "Route") -> None:
    """As RFC 6749 §4.1.2.1 has it of a request that an issuer does not understand."""
    back = parse_qs(urlsplit(route.request.url).query)
    location = f"{back['redirect_uri'][0]}?error=invalid_request&state={back['state'][0]}"
    await route.fulfill(status=302, headers={"Location": location})


async def refuse(route: "Route") -> None:
    """A page of the issuer's own, that may not be in a frame."""
    headers = {"Content-Type": "text/html", "X-Frame-Options": "SAMEORIGIN"}
    await route.fulfill(status=400, headers=headers, body="Invalid parameter: response_mode")


async def explain(route: "Route") -> None:
    """The same, where it may."""
    await route.fulfill(status=400, content_type="text/html", body="Unknown response_mode")


async def hang_up(route: "Route") -> None:
    await route.abort()


async def say_nothing(route: "Route") -> None:
    pass


IN_A_FRAME = "**/authorize?*response_mode=web_message*"


@pytest.mark.parametrize("answer", [redirect, refuse, explain, hang_up])
async def test_where_the_issuer_has_no_silent_answer_a_person_can_still_log_in(
    browser: "Browser", answer: Callable[["Route"], Awaitable[None]]
) -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.page.route(IN_A_FRAME, answer)
        await walk.open()
        causes = ("Allowed Web Origins", "web_message", "Keycloak")
        named = naming(there.issuer.url[:-1], there.client, *causes)
        assert re.search(named, await walk.notice())
        await walk.log_in(ROBIN)
        await walk.logged_in()
        await walk.open("/protected")  # the tokens are gone, and the issuer's own session is not
        assert await walk.message() == await walk.api_says("/protected")
        assert walk.page.url == f"{there.client}/protected"


async def test_an_issuer_that_never_answers_is_waited_for_ten_seconds(walk: Walk) -> None:
    await walk.stop_time()
    await walk.page.route(IN_A_FRAME, say_nothing)
    async with walk.page.expect_request(IN_A_FRAME):
        await walk.open()
    assert await walk.page.locator("iframe").count() == 1
    await walk.page.clock.fast_forward("00:10")
    assert walk.sandbox.issuer.url[:-1] in await walk.notice()
    assert await walk.page.locator("iframe").count() == 0
    await walk.log_in(ADA)
    await walk.logged_in()


async def test_an_answer_that_comes_a_little_after_its_page_is_heard(walk: Walk) -> None:
    async def answer_late(route: "Route") -> None:
        back = parse_qs(urlsplit(route.request.url).query)
        issuer = walk.sandbox.issuer.url
        said = {"error": "login_required", "state": back["state"][0], "iss": issuer}
        message = json.dumps({"type": "authorization_response", "response": said})
        script = f"setTimeout(() => parent.postMessage({message}, '*'), 300)"
        await route.fulfill(content_type="text/html", body=f"<script>{script}</script>")

    await walk.page.route(IN_A_FRAME, answer_late)
    await walk.open()
    await walk.page.locator("iframe").wait_for(state="attached")
    await walk.page.locator("iframe").wait_for(state="detached")
    await walk.logged_out()
    assert await walk.page.locator(".notice").count() == 0


async def test_nobody_else_can_answer_for_the_issuer(walk: Walk) -> None:
    """Not the page itself, though it knows the state; nor another frame in it."""
    await walk.stop_time()
    await walk.page.route(IN_A_FRAME, say_nothing)
    async with walk.page.expect_request(IN_A_FRAME) as asked:
        await walk.open()
    [state] = parse_qs(urlsplit((await asked.value).url).query)["state"]
    said = {"type": "authorization_response", "response": {"error": "x", "state": state}}
    await walk.page.evaluate(
        "said => new Promise(done => { onmessage = done; postMessage(said) })", said
    )
    assert await walk.page.locator("iframe").count() == 1
    await walk.page.clock.fast_forward("00:10")
    assert walk.sandbox.issuer.url[:-1] in await walk.notice()


async def test_without_a_silent_answer_an_expired_token_leads_to_the_login(
    browser: "Browser",
) -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.page.clock.install()
        await walk.page.route(IN_A_FRAME, refuse)
        there.issuer.lifetime = 20  # seconds
        await walk.open("/protected")
        await walk.choose(ROBIN)
        await walk.message()
        await walk.page.clock.fast_forward("00:30")
        there.issuer.lifetime = 86400
        asked = there.issuer.requests["/authorize"]
        await walk.go("/admin")
        assert await walk.message() == await walk.api_says("/admin")
        assert there.issuer.requests["/authorize"] == asked + 1


@pytest.mark.parametrize("origin", ["https://tokens.example.com", "http://127.0.0.1:6061"])
async def test_a_token_endpoint_that_the_policy_keeps_out_is_told_before_the_login(
    walk: Walk, origin: str
) -> None:
    async def metadata(route: "Route") -> None:
        answer = await route.fetch()
        changed = {**await answer.json(), "token_endpoint": f"{origin}/oauth2/token"}
        await route.fulfill(response=answer, json=changed)

    await walk.page.route("**/.well-known/openid-configuration", metadata)
    await walk.open()
    notice = await walk.notice()
    await walk.page.locator(LOG_IN).click()
    for told in (notice, await walk.alert()):
        assert re.search(naming("token_endpoint", origin, "Content-Security-Policy"), told)
    assert walk.sandbox.issuer.requests["/authorize"] == 0


async def test_a_login_that_nobody_began_is_told_in_words(walk: Walk) -> None:
    await walk.open("/callback?code=stolen&state=made-up")
    assert await walk.alert()
    assert walk.sandbox.issuer.requests["/oauth/token"] == 0


async def test_an_unknown_address_says_so(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.open("/nowhere")
        await walk.page.locator('#main .place a[href="/"]').wait_for()
        assert walk.complaints
        assert all("404" in complaint for complaint in walk.complaints)


async def test_an_api_that_is_down_is_told_in_words(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.open("/public")
        await walk.message()
        await there.stop_api.aclose()
        await walk.page.reload()
        assert there.api in await walk.alert()
        assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in walk.complaints)


async def test_another_origin_may_not_read_the_answers(browser: "Browser") -> None:
    async with sandbox(other_origin=True) as there, walking(browser, there) as walk:
        await walk.open("/public")
        assert there.api in await walk.alert()
        assert any("CORS" in complaint for complaint in walk.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(browser: "Browser", scheme: str) -> None:
    async with (
        sandbox(admin_permission="read:admin-messages") as there,
        walking(browser, there, color_scheme=scheme) as walk,
    ):
        await walk.open()
        assert await walk.violations() == []
        await walk.page.locator(LOG_IN).click()
        await walk.asked_who_one_is()
        assert await walk.violations() == []
        await walk.choose(ROBIN)
        for path in PAGES:
            await walk.go(path)
            await walk.title()
            if path == "/admin":
                await walk.alert()
            elif path in ("/public", "/protected"):
                await walk.message()
            await walk.open_details()
            assert await walk.violations() == [], path
        await walk.open("/callback?code=x&state=y")
        await walk.notice()
        assert await walk.violations() == []


@pytest.mark.parametrize("width", [320, 1280])
async def test_no_page_scrolls_sideways(browser: "Browser", width: int) -> None:
    size = {"width": width, "height": 800}
    async with sandbox() as there, walking(browser, there, viewport=size) as walk:
        await walk.open("/protected")
        await walk.choose(ADA)
        for path in PAGES:
            await walk.go(path)
            await walk.title()
            await walk.open_details()
            assert await walk.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_a_keyboard_is_enough(walk: Walk) -> None:
    await walk.open()
    await walk.logged_out()
    await walk.page.keyboard.press("Tab")
    assert await walk.focused("#skip")
    await walk.tab_to('a[href="/protected"]')
    await walk.page.keyboard.press("Enter")
    await walk.asked_who_one_is()
    await walk.tab_to(f'button[value="{ROBIN}"]')
    await walk.page.keyboard.press("Enter")
    assert await walk.message() == await walk.api_says("/protected")


async def test_on_a_wide_screen_the_top_has_one_line(browser: "Browser") -> None:
    size = {"width": 960, "height": 640}
    async with sandbox() as there, walking(browser, there, viewport=size) as walk:
        await walk.open("/protected")
        await walk.choose(ROBIN)
        await walk.message()
        tops = "links => new Set(links.map((link) => link.getBoundingClientRect().top)).size"
        assert await walk.page.locator("nav a").evaluate_all(tops) == 1
        cut = "element => element.scrollWidth > element.clientWidth"
        assert not await walk.page.locator("#account .name").evaluate(cut)


async def test_take_the_readmes_pictures(browser: "Browser", tmp_path: Path) -> None:
    folder = SCREENSHOTS if RENEW else tmp_path
    # A reader sees the addresses that `run.py` has.
    ports = (6060, 6061, 4040) if RENEW else None
    size = {"width": 960, "height": 640}
    for name, scheme, person in (("protected", "light", ROBIN), ("refused", "dark", ROBIN)):
        async with AsyncExitStack() as stack:
            there = await stack.enter_async_context(
                sandbox(admin_permission="read:admin-messages", ports=ports)
            )
            walk = await stack.enter_async_context(
                walking(browser, there, color_scheme=scheme, viewport=size)
            )
            await walk.open("/protected" if name == "protected" else "/admin")
            await walk.choose(person)
            await (walk.message() if name == "protected" else walk.alert())
            await walk.page.screenshot(path=folder / f"{name}.png")
    assert {path.name for path in folder.iterdir()} == {"protected.png", "refused.png"}
