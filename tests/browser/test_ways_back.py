"""What does a person see when things take long, go wrong, or are done a second time?"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from hello.sandbox.issuer.people import PEOPLE
from support.logging_in import ADA, ROBIN
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = IN_A_BROWSER

SIGN_UP = f"{LOG_IN} + button"
COPIED = ".copy > span:first-child[hidden]"
AGAIN = ".place > .actions button:first-child"
PROTECTED = "**/api/messages/protected"


async def say_nothing(route: "Route") -> None:
    pass


async def test_back_after_a_login_stays_logged_in(walk: Walk) -> None:
    await walk.open()
    await walk.log_in(ROBIN)
    await walk.logged_in()
    redeemed = walk.sandbox.issuer.requests["/oauth/token"]
    await walk.page.go_back()
    await walk.notice()
    await walk.logged_in()
    assert walk.page.url == f"{walk.sandbox.client}/"
    assert await walk.page.get_by_role("alert").count() == 0
    # One silent renewal, and the code in the address was left alone.
    assert walk.sandbox.issuer.requests["/oauth/token"] == redeemed + 1


@pytest.mark.parametrize("by", ["time", "reload"])
async def test_who_was_logged_in_is_told_that_the_issuer_forgot(walk: Walk, by: str) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.context.clear_cookies()  # as after a restart of the issuer
    if by == "reload":
        await walk.page.reload()
    else:
        walk.sandbox.issuer.lifetime = 20
        await walk.page.evaluate("Date.now = () => Date.parse('2100-01-01')")
        await walk.go("/admin")
    await walk.alert()
    path = urlsplit(walk.page.url).path
    await walk.page.locator(".place button.main").click()
    await walk.choose(ROBIN)
    await walk.page.wait_for_url(f"{walk.sandbox.client}{path}")


async def test_who_logged_out_is_led_to_the_login_at_once(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.locator("#account .name + button").click()
    await walk.logged_out()
    await walk.go("/protected")
    await walk.asked_who_one_is()


async def test_a_person_can_stop_waiting_for_an_answer(walk: Walk) -> None:
    await walk.stop_time()
    await walk.page.route("**/api/messages/public", say_nothing)
    await walk.open("/public")
    stop = walk.page.locator(".waiting button")
    await stop.wait_for(state="attached")
    assert not await stop.is_visible()
    await walk.page.clock.run_for(3000)
    assert await walk.page.get_by_role("timer").inner_text() == "3 s"
    await stop.click()
    assert "3 s" in await walk.alert()
    await walk.page.unroute("**/api/messages/public")
    await walk.page.locator(".place > .actions button").first.click()
    assert await walk.message() == await walk.api_says("/public")


async def test_who_stops_waiting_by_keyboard_goes_on_from_the_heading(walk: Walk) -> None:
    await walk.stop_time()
    await walk.page.route("**/api/messages/public", say_nothing)
    await walk.open("/public")
    stop = walk.page.locator(".waiting button")
    await stop.wait_for(state="attached")
    await walk.page.clock.run_for(2000)
    await stop.focus()
    await walk.page.keyboard.press("Enter")
    await walk.alert()
    assert await walk.focused("h1")


async def test_what_says_nothing_for_ten_seconds_is_not_called_down(walk: Walk) -> None:
    await walk.page.add_init_script(
        "AbortSignal.timeout = () => AbortSignal.abort(new DOMException('', 'TimeoutError'))"
    )
    await walk.page.route("**/config.json", say_nothing)
    await walk.open()
    assert "10 s" in await walk.alert()


async def hang_up(route: "Route") -> None:
    await route.abort()


async def test_a_switch_that_could_not_be_moved_says_so(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.open()
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="off"]').wait_for()
        await walk.page.route("**/lessons/issuer", hang_up)
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="unknown"]').wait_for()
        assert not await walk.page.locator("#on-switch").is_checked()
        await walk.page.unroute("**/lessons/issuer")
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="on"]').wait_for()
        assert all(re.search("503|ERR_FAILED", complaint) for complaint in walk.complaints)


async def refuse_once(route: "Route") -> None:
    headers = {
        "Access-Control-Allow-Origin": route.request.headers["origin"],
        "Access-Control-Expose-Headers": "WWW-Authenticate",
        "WWW-Authenticate": 'Bearer realm="api", error="invalid_token"',
    }
    await route.fulfill(status=401, headers=headers, json={"message": "Bad credentials"})
    await route.request.frame.page.unroute(PROTECTED)


async def test_the_refusal_that_led_to_a_renewal_is_shown(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.page.route(PROTECTED, refuse_once)
        await walk.open("/protected")
        await walk.choose(ROBIN)
        await walk.message()
        before = await walk.page.get_by_test_id("refused-before").inner_text()
        assert "401" in before
        assert "invalid_token" in before
        await walk.page.locator(AGAIN).click()
        await walk.page.get_by_test_id("refused-before").wait_for(state="detached")
        assert all("401" in complaint for complaint in walk.complaints)


async def test_a_token_of_a_day_lasts_24_hours(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.open_details()
    row = walk.page.locator("tr", has=walk.page.locator("th", has_text=re.compile("^exp$")))
    assert "(in 24 hours)" in await row.locator("td").first.inner_text()


async def test_sending_again_moves_neither_focus_nor_page(walk: Walk) -> None:
    await walk.page.set_viewport_size({"width": 390, "height": 400})
    await walk.open("/public")
    await walk.message()
    await walk.page.locator("summary").first.click()  # now closed
    await walk.tab_to(AGAIN)
    before = await walk.page.evaluate("[scrollY, document.body.scrollHeight]")
    async with walk.page.expect_response("**/api/messages/public"):
        await walk.page.keyboard.press("Enter")
    await walk.page.locator(f"{AGAIN}:focus").wait_for()
    assert await walk.page.evaluate("[scrollY, document.body.scrollHeight]") == before
    assert await walk.page.locator("details").first.get_attribute("open") is None


@pytest.mark.parametrize("width", [390, 1100])
async def test_the_ring_around_a_link_of_the_navigation_is_in_the_window(
    walk: Walk, width: int
) -> None:
    await walk.page.set_viewport_size({"width": width, "height": 800})
    await walk.open()
    await walk.logged_out()
    for path in ("/", "/protected", "/admin"):
        await walk.tab_to(f'nav a[href="{path}"]')
        assert await walk.page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                const beyond = parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
                const { top, left, right } = document.activeElement.getBoundingClientRect();
                return Math.min(top, left, innerWidth - right) >= beyond;
            }"""
        )


async def test_home_knows_which_permission_is_asked_for(browser: "Browser") -> None:
    for permission in ("", "read:secrets"):
        async with (
            sandbox(admin_permission=permission) as there,
            walking(browser, there) as walk,
        ):
            await walk.open()
            await walk.logged_out()
            text = await walk.page.get_by_role("main").inner_text()
            assert ("ADMIN_PERMISSION=" in text) is not bool(permission)
            assert ("read:secrets" in text) is bool(permission)


@asynccontextmanager
async def robin_at_admin(browser: "Browser") -> AsyncIterator[Walk]:
    """Robin has logged in, and lacks the permission for the page."""
    async with (
        sandbox(admin_permission="read:admin-messages") as there,
        walking(browser, there) as walk,
    ):
        await walk.open("/admin")
        await walk.choose(ROBIN)
        yield walk


async def test_who_lacks_a_permission_is_told_which_and_can_be_somebody_else(
    browser: "Browser",
) -> None:
    async with robin_at_admin(browser) as walk:
        lacking = await walk.page.get_by_test_id("lacking").inner_text()
        assert "read:admin-messages" in lacking
        await walk.page.locator(".place > .actions button").nth(1).click()
        await walk.asked_who_one_is()  # though the issuer knows Robin
        await walk.choose(ADA)
        assert await walk.message() == await walk.api_says("/admin")


async def test_who_signs_up_is_a_new_person(walk: Walk) -> None:
    await walk.open()
    await walk.page.locator(SIGN_UP).click()
    await walk.page.locator("#name").fill("Mo <b>")
    await walk.page.locator('button[value="new"]').click()
    await walk.logged_in()
    assert await walk.page.locator("#account .name").inner_text() == "Mo <b>"
    assert "Mo <b>" not in {person.name for person in PEOPLE.values()}


async def test_who_cancels_the_login_reads_what_that_means(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.page.locator('button[name="cancel"]').click()
    assert "access_denied" in await walk.notice()
    assert await walk.page.get_by_role("alert").count() == 0
    await walk.logged_out()
    assert parse_qs(urlsplit(walk.page.url).query) == {}
    await walk.page.locator(".place button.main").click()
    await walk.choose(ROBIN)
    await walk.logged_in()


async def test_who_cancels_another_persons_login_is_told_who_one_still_is(
    browser: "Browser",
) -> None:
    async with robin_at_admin(browser) as walk:
        await walk.page.locator(AGAIN + " + button").click()
        await walk.page.locator('button[name="cancel"]').click()
        assert "access_denied" in await walk.notice()
        await walk.logged_in()
        assert PEOPLE[ROBIN].name in await walk.page.locator(".place").inner_text()
        await walk.page.locator('.place a[href="/"]').click()
        await walk.page.wait_for_url(f"{walk.sandbox.client}/")
        assert all("403" in complaint for complaint in walk.complaints)


async def test_a_button_that_copied_keeps_its_size(walk: Walk) -> None:
    await walk.page.set_viewport_size({"width": 390, "height": 800})
    await walk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.open_details()
    copy = walk.page.locator("button.copy").first
    await copy.scroll_into_view_if_needed()
    size, height = await copy.bounding_box(), await walk.page.evaluate("document.body.scrollHeight")
    label = await copy.inner_text()
    await copy.click()
    await walk.page.locator(COPIED).first.wait_for(state="attached")
    assert await copy.inner_text() != label
    assert await copy.bounding_box() == size
    assert await walk.page.evaluate("document.body.scrollHeight") == height
