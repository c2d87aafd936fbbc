"""What do the tests in a browser share: Chromium, and a walk through the sandbox."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from support.sandbox_walk import Walk, chromium, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator["Browser"]:
    """One Chromium for all walks of a file: each has a context, and so cookies, of its own."""
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def walk(browser: "Browser") -> AsyncIterator[Walk]:
    """A browser before a sandbox; the walk ends without a complaint and without a foreign host."""
    async with sandbox() as there, walking(browser, there) as walk:
        yield walk
        assert walk.complaints == []
        assert walk.foreign_hosts() == set()
