"""What does a person see who makes mistakes on purpose, or switches the issuer off?"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from support.bound_walk import bound
from support.logging_in import ADA, ROBIN
from support.sandbox_walk import IN_A_BROWSER, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = IN_A_BROWSER

# The buttons, in their order: the status, the error for the client, the reason in the log.
MISTAKES = [
    ("none", "401", None, "no_credentials"),
    ("damaged", "401", "invalid_token", "signature"),
    ("id_token", "401", "invalid_token", "audience"),
    ("expired", "401", "invalid_token", "expired"),
    ("audience", "401", "invalid_token", "audience"),
    ("signature", "401", "invalid_token", "signature"),
    ("unknown_key", "401", "invalid_token", "unknown_key"),
    ("bound", "401", "invalid_token", "bound"),
]
NAMES = [name for name, *_ in MISTAKES]
TO_ALL = 3  # the first ones need no sandbox
REFUSED = re.compile(r"status of (401|403|503)|CORS|ERR_FAILED")


async def panel(walk: Walk, path: str = "/protected", person: str = ROBIN) -> None:
    """Log in, and open the panel with the mistakes."""
    await walk.open(path)
    await walk.choose(person)
    await walk.message()
    await show(walk)


async def show(walk: Walk) -> None:
    await walk.page.locator("details:has(.broken) > summary").click()


async def make(walk: Walk, name: str) -> str:
    """Make a mistake, and return what the page says about it."""
    before = walk.page.get_by_test_id("broken")
    await before.evaluate("element => element.replaceChildren()")
    group = walk.page.locator("details:has(.broken) [role=group] button")
    await group.nth(NAMES.index(name)).click()
    await before.locator(".status, [role=alert]").wait_for()
    await before.locator("details > summary").evaluate_all("all => all.forEach(one => one.click())")
    return await before.inner_text()


async def say_nothing(route: "Route") -> None:
    pass


def check_complaints(walk: Walk) -> None:
    assert [one for one in walk.complaints if not REFUSED.search(one)] == []
    assert walk.foreign_hosts() == set()


async def on_protected(walk: Walk) -> None:
    await panel(walk)


async def on_admin(walk: Walk) -> None:
    await panel(walk, "/admin", ADA)


async def on_admin_without_the_permission(walk: Walk) -> None:
    await walk.open("/admin")
    await walk.choose(ROBIN)
    await walk.page.get_by_test_id("lacking").wait_for()
    await show(walk)


PAGES = [
    ("", on_protected),
    ("", on_admin),
    ("read:admin-messages", on_admin),
    # The API looks at the permissions of good tokens alone: the mistake is refused as such.
    ("read:admin-messages", on_admin_without_the_permission),
]


@pytest.mark.parametrize(("permission", "at"), PAGES)
async def test_each_mistake_shows_status_challenge_log_and_check(
    browser: "Browser", permission: str, at: Callable[[Walk], Awaitable[None]]
) -> None:
    async with (
        sandbox(admin_permission=permission) as there,
        walking(browser, there) as walk,
    ):
        await at(walk)
        for name, status, error, reason in MISTAKES:
            said = await make(walk, name)
            broken = walk.page.get_by_test_id("broken")
            assert status in await broken.locator(".status").inner_text(), name
            challenge = await broken.locator('[data-challenge="Bearer"]').inner_text()
            assert "realm" in challenge, name
            assert ("invalid_token" in challenge) is (error is not None), name
            assert status in await broken.get_by_test_id("raw-answer").inner_text(), name
            assert await broken.locator(".unreadable").count() > 0, name  # what CORS hides
            if reason != "no_credentials":
                log = await broken.get_by_test_id("log").inner_text()
                assert f"refused {status} {reason}:" in log, name
                check = await broken.get_by_test_id("check").inner_text()
                assert reason in check, name
            assert not re.search(r"eyJ[\w-]{20}", said), name
        await walk.open_details()
        assert await walk.violations() == []
        check_complaints(walk)


async def test_who_stops_waiting_for_a_mistake_can_make_another(walk: Walk) -> None:
    await walk.stop_time()
    await panel(walk)
    await walk.page.route("**/api/messages/protected", say_nothing)
    await walk.page.locator("details:has(.broken) [role=group] button").first.focus()
    await walk.page.keyboard.press("Enter")
    broken = walk.page.get_by_test_id("broken")
    stop = broken.locator(".waiting button")
    await stop.wait_for(state="attached")
    await walk.page.clock.run_for(3000)
    await stop.focus()
    await walk.page.keyboard.press("Enter")
    assert "3 s" in await broken.get_by_role("alert").inner_text()
    assert await walk.focused("[role=group] button")


async def test_who_is_logged_out_meanwhile_has_no_token_to_damage(walk: Walk) -> None:
    await panel(walk)
    await walk.page.context.clear_cookies()  # as after a restart of the issuer
    await walk.page.locator("#shortLived-switch").click()
    await walk.logged_out()
    await make(walk, "damaged")
    assert await walk.page.get_by_test_id("broken").get_by_role("alert").count() == 1


async def test_a_late_answer_does_not_hide_that_of_the_next_mistake(browser: "Browser") -> None:
    held: asyncio.Queue[Route] = asyncio.Queue()
    async with sandbox() as there, walking(browser, there) as walk:
        await panel(walk)
        await walk.page.route("**/lessons/flawed-token", held.put)
        mistakes = walk.page.locator("details:has(.broken) [role=group] button")
        await mistakes.nth(NAMES.index("expired")).click()
        late = await held.get()
        assert "no error" in await make(walk, "none")
        url = "**/lessons/check"  # what is asked last about the one before
        async with walk.page.expect_response(url):
            await late.continue_()
        await walk.page.evaluate("new Promise((done) => setTimeout(done, 100))")
        assert "no error" in await walk.page.get_by_test_id("broken").inner_text()
        check_complaints(walk)


@pytest.mark.parametrize("name", ["damaged", "id_token", "expired", "bound"])
async def test_a_bound_browser_makes_the_same_mistakes(browser: "Browser", name: str) -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await bound(walk)
        await show(walk)
        assert "401" in await make(walk, name)
        broken = walk.page.get_by_test_id("broken")
        assert "invalid_" in await broken.locator('[data-challenge="DPoP"]').inner_text()
        reason = next(reason for one, _status, _error, reason in MISTAKES if one == name)
        assert re.search(
            f"401 ({reason}|proof_key)", await broken.get_by_test_id("log").inner_text()
        )
        check_complaints(walk)


async def test_with_a_tenant_of_ones_own_there_are_fewer_mistakes(browser: "Browser") -> None:
    async with sandbox(with_lessons=False) as there, walking(browser, there) as walk:
        await panel(walk)
        group = walk.page.locator("details:has(.broken) [role=group] button")
        assert await group.count() == TO_ALL
        await make(walk, "damaged")
        broken = walk.page.get_by_test_id("broken")
        assert "invalid_token" in await broken.locator("[data-challenge]").first.inner_text()
        assert await broken.get_by_test_id("log").count() == 0
        assert await walk.page.locator(".switches").count() == 0
        check_complaints(walk)


async def test_while_the_issuer_is_off_good_tokens_are_accepted(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await panel(walk)
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="off"]').wait_for()
        await walk.page.locator(".place > .actions button").first.click()
        assert await walk.message() == await walk.api_says("/protected")
        said = await make(walk, "unknown_key")
        assert "503" in said
        # Who reloads cannot log in, but can switch the issuer on again.
        await walk.open("/")
        await walk.page.locator('#on-state[data-state="off"]').wait_for()
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="on"]').wait_for()
        await walk.open("/protected")
        assert await walk.message() == await walk.api_says("/protected")
        check_complaints(walk)


async def test_who_needs_the_issuer_while_it_is_off_is_led_to_its_switch(
    browser: "Browser",
) -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await panel(walk)
        await walk.page.locator("#on-switch").click()
        await walk.page.locator('#on-state[data-state="off"]').wait_for()
        await walk.page.reload()
        assert "503" in await walk.alert()
        await walk.page.locator('[role=alert] a[href="/"]').click()
        await walk.page.locator('#on-state[data-state="off"]').wait_for()
        check_complaints(walk)


async def test_a_short_lived_token_is_renewed_in_its_last_third(walk: Walk) -> None:
    await walk.page.clock.install()  # and let it run: the timer tells of a token that comes late
    await panel(walk, person=ADA)
    await walk.page.locator("#shortLived-switch").click()
    await walk.page.locator('#shortLived-state[data-state="short"]').wait_for()
    await walk.page.clock.run_for(2000)
    timer = walk.page.locator("details:has(.broken) [role=timer]", has_text=re.compile(r"\d"))
    [left] = re.findall(r"\d+", await timer.inner_text())
    assert 10 < int(left) <= 30  # not yet in its last third, however slow the machine is
    asked = walk.sandbox.issuer.requests["/oauth/token"]
    await walk.go("/admin")
    await walk.message()
    assert walk.sandbox.issuer.requests["/oauth/token"] == asked
    await walk.page.clock.fast_forward("00:20")
    await walk.go("/protected")
    await walk.message()
    assert walk.sandbox.issuer.requests["/oauth/token"] == asked + 1


async def test_the_reason_of_a_403_is_shown_without_asking(browser: "Browser") -> None:
    async with (
        sandbox(admin_permission="read:admin-messages") as there,
        walking(browser, there) as walk,
    ):
        await walk.open("/admin")
        await walk.choose(ROBIN)
        await walk.alert()
        await walk.open_details()
        assert "refused 403 permissions:" in await walk.page.get_by_test_id("log").inner_text()
        assert "read:admin-messages" in await walk.page.get_by_test_id("check").inner_text()
        check_complaints(walk)


async def test_the_panel_is_accessible_by_axe_and_by_keyboard(browser: "Browser") -> None:
    for scheme in ("light", "dark"):
        async with sandbox() as there, walking(browser, there, color_scheme=scheme) as walk:
            await panel(walk)
            await walk.page.locator(".switches").wait_for()
            await make(walk, "expired")
            assert await walk.violations() == []
            await walk.page.locator("details:has(.broken) [role=group] button").first.focus()
            await walk.page.keyboard.press("Enter")
            await walk.page.locator("#status", has_text="401").wait_for(state="attached")
            assert await walk.focused("[role=group] button")


async def test_a_page_of_another_origin_cannot_switch_the_issuer_off(browser: "Browser") -> None:
    """Not even one of this machine, whatever a browser lets it send."""

    async def empty_page(route: "Route") -> None:
        await route.fulfill(content_type="text/html", body="<p>another page</p>")

    async with sandbox() as there, walking(browser, there) as walk:
        other = "http://localhost:9"
        await walk.page.route(f"{other}/**", empty_page)
        await walk.page.goto(f"{other}/")
        for content_type, mode in (("text/plain", "no-cors"), ("application/json", "cors")):
            await walk.page.evaluate(
                """([url, type, mode]) => fetch(url, {
                    method: "POST", mode, headers: { "Content-Type": type }, body: '{"on": false}',
                }).catch(() => {})""",
                [f"{there.client}/lessons/issuer", content_type, mode],
            )
        await walk.open("/")
        await walk.page.locator('#on-state[data-state="on"]').wait_for()
