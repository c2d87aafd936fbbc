"""What does a person see whose screen is 320 pixels wide?"""

from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, LOG_IN, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = IN_A_BROWSER

WIDTH = 320
SIGN_UP = f"{LOG_IN} + button"
ONE_LONG_WORD = "W" * 60
# Of the links in the navigation: whether each is in the window, and at which height.
BOXES = """
links => links.map((link) => {
  const { left, right, top, height } = link.getBoundingClientRect();
  return [left >= 0 && right <= innerWidth, top, height];
})
"""


@pytest_asyncio.fixture(loop_scope="module")
async def small(browser: "Browser") -> AsyncIterator[Walk]:
    size = {"width": WIDTH, "height": 640}
    async with sandbox() as there, walking(browser, there, viewport=size) as walk:
        yield walk
        assert [one for one in walk.complaints if "503" not in one and "400" not in one] == []
        assert walk.foreign_hosts() == set()


async def scrolls_sideways(walk: Walk) -> bool:
    await walk.title()
    return bool(await walk.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


async def test_the_navigation_has_two_lines_of_three(small: Walk) -> None:
    await small.open("/protected")
    await small.choose(ROBIN)
    await small.message()
    boxes = await small.page.locator("nav a").evaluate_all(BOXES)
    assert all(inside for inside, _top, _height in boxes)
    assert list(Counter(top for _inside, top, _height in boxes).values()) == [3, 3]
    assert all(height >= 40 for *_, height in boxes)  # a finger finds it
    assert not await scrolls_sideways(small)


async def test_no_page_of_the_issuer_scrolls_sideways(small: Walk) -> None:
    await small.open()
    await small.page.locator(SIGN_UP).click()
    await small.page.locator("#name").fill(ONE_LONG_WORD)
    assert not await scrolls_sideways(small)
    await small.page.locator('button[value="new"]').click()
    await small.logged_in()
    assert not await scrolls_sideways(small)
    await small.page.locator("#account .name + button").click()
    await small.logged_out()
    await small.page.locator(LOG_IN).click()
    await small.page.get_by_text(ONE_LONG_WORD).wait_for()
    assert not await scrolls_sideways(small)
    for path in ("", "v2/logout", "authorize", f"v2/logout?returnTo={ONE_LONG_WORD}"):
        await small.page.goto(f"{small.sandbox.issuer.url}{path}")
        assert not await scrolls_sideways(small), path


async def test_from_an_issuer_that_is_off_a_link_leads_back_to_its_switch(small: Walk) -> None:
    await small.open()
    await small.page.locator("#on-switch").click()
    await small.page.locator('#on-state[data-state="off"]').wait_for()
    await small.page.goto(f"{small.sandbox.issuer.url}authorize")
    assert not await scrolls_sideways(small)
    assert await small.violations() == []
    await small.page.get_by_role("link").click()
    await small.page.wait_for_url(f"{small.sandbox.client}/")
    await small.page.locator("#on-switch").click()
    await small.page.locator('#on-state[data-state="on"]').wait_for()
