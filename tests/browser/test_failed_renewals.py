"""What does a person read when the page cannot get a new token silently?"""

import re
from typing import TYPE_CHECKING

import pytest

from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Route

pytestmark = IN_A_BROWSER

SHORT = "#shortLived-switch"
AGAIN = ".place > .actions button:first-child"
REMEDY = ".renewal .actions button"
SILENT = "**/authorize?*prompt=none*"
# The page's clock stands still until the test puts it forward.
CLOCK = "const begun = Date.now(); Date.now = () => begun + (globalThis.later ?? 0);"
ALMOST_A_DAY_MILLISECONDS = 86_400_000 - 20_000


async def panel(walk: Walk) -> None:
    """Log in, and open the panel with the switches."""
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    await walk.page.locator("details:has(.broken) > summary").click()
    await walk.page.locator(SHORT).wait_for()


async def switch_issuer(walk: Walk, state: str) -> None:
    await walk.page.locator("#on-switch").click()
    await walk.page.locator(f'#on-state[data-state="{state}"]').wait_for()


def told(walk: Walk) -> "Locator":
    return walk.page.get_by_test_id("renewal-failed")


async def hang_up(route: "Route") -> None:
    await route.abort()


def check_complaints(walk: Walk) -> None:
    assert [one for one in walk.complaints if not re.search("503|ERR_FAILED", one)] == []
    assert walk.foreign_hosts() == set()


async def test_who_is_unknown_to_the_issuer_is_offered_a_login(walk: Walk) -> None:
    await panel(walk)
    await walk.page.context.clear_cookies()  # as after a restart of the issuer
    await walk.page.locator(SHORT).click()
    said = await told(walk).inner_text()
    assert re.search(r"prompt=none[\s\S]+login_required", said)
    await walk.logged_out()
    assert await walk.violations() == []
    await walk.page.locator(REMEDY).click()
    await walk.choose(ROBIN)
    assert await walk.message() == await walk.api_says("/protected")
    assert walk.page.url == f"{walk.sandbox.client}/protected"


async def test_while_the_issuer_is_off_it_can_be_tried_again(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await panel(walk)
        await switch_issuer(walk, "off")
        await walk.page.locator(SHORT).click()
        assert "503" in await told(walk).inner_text()
        await walk.logged_in()  # with the token of before
        first = await told(walk).element_handle()
        await walk.page.locator(REMEDY).focus()
        await walk.page.keyboard.press("Enter")
        await walk.page.wait_for_function("one => !one.isConnected", arg=first)
        assert "503" in await told(walk).inner_text()
        assert await walk.focused(REMEDY)
        await switch_issuer(walk, "on")
        asked = there.issuer.requests["/oauth/token"]
        await walk.page.locator(REMEDY).focus()
        await walk.page.keyboard.press("Enter")
        await told(walk).wait_for(state="detached")
        assert there.issuer.requests["/oauth/token"] == asked + 1
        assert await walk.focused(SHORT)
        check_complaints(walk)


async def test_an_issuer_that_answers_nothing_is_named(browser: "Browser") -> None:
    async with sandbox() as there, walking(browser, there) as walk:
        await panel(walk)
        await walk.page.route(SILENT, hang_up)
        await walk.page.locator(SHORT).click()
        assert there.issuer.url[:-1] in await told(walk).inner_text()
        await walk.page.unroute(SILENT)
        await walk.page.locator(SHORT).click()
        await told(walk).wait_for(state="detached")
        check_complaints(walk)


@pytest.mark.parametrize("cause", ["issuer off", "session ended"])
async def test_whose_token_expires_soon_is_told_that_there_is_no_new_one(
    browser: "Browser", cause: str
) -> None:
    """The message is shown all the same: the API accepts the token of before."""
    async with sandbox() as there, walking(browser, there) as walk:
        await walk.page.add_init_script(CLOCK)
        await panel(walk)
        await walk.page.evaluate(f"globalThis.later = {ALMOST_A_DAY_MILLISECONDS}")
        if cause == "issuer off":
            await switch_issuer(walk, "off")
        else:
            await walk.page.context.clear_cookies()
        await walk.page.locator(AGAIN).click()
        said = await told(walk).inner_text()
        assert ("503" if cause == "issuer off" else "login_required") in said
        assert await walk.message() == await walk.api_says("/protected")
        if cause == "issuer off":
            await switch_issuer(walk, "on")
            await walk.page.locator(AGAIN).click()
            await told(walk).wait_for(state="detached")
        else:
            await walk.page.locator(REMEDY).click()
            await walk.choose(ROBIN)
            await walk.logged_in()
        assert await walk.message() == await walk.api_says("/protected")
        check_complaints(walk)
