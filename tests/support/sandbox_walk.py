"""A real browser before a whole sandbox: API, issuer and demo client on ports of their own."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web
from joserfc.jwk import Key

from hello.app import create_app
from hello.config import Config
from hello.sandbox.client import client_app
from hello.sandbox.issuer import Issuer, issuer_app
from hello.sandbox.lessons import Switch, Witness, lesson_routes
from hello.server import Runner
from support.api import AUDIENCE, bearer
from support.program import free_port

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
_axe = find_spec("axe_playwright_python")
AXE = Path(str(_axe and _axe.origin)).with_name("axe.min.js")
LOG_IN = "#account button.main"
_PATIENCE_MILLISECONDS = 30_000
# Whatever a page shows, and for however short a time, an object is never shown as a text.
COMPLAIN_OF_OBJECTS = """
new MutationObserver(() => {
  const text = document.documentElement?.textContent ?? "";
  if (text.includes("[object ")) console.error(`${location.pathname} shows an object as a text`);
}).observe(document, { childList: true, characterData: true, subtree: true });
"""
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def why_not() -> str | None:
    """Why there can be no browser here, or None where there can, or must."""
    if os.environ.get("CI") == "true":
        return None
    if find_spec("playwright") is None or not AXE.exists():
        return "Playwright is not installed: python -m pip install -e '.[browser]'"
    return None if CHROMIUM.exists() else f"there is no {CHROMIUM}: apt-get install chromium"


IN_A_BROWSER = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.asyncio(loop_scope="module"),
]


@dataclass
class Sandbox:
    """What a walk goes through."""

    api: str
    issuer: Issuer
    client: str
    stop_api: AsyncExitStack


@dataclass
class Walk:
    """A page, and what it complained of on the way."""

    page: "Page"
    sandbox: Sandbox
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(f"{self.sandbox.client}{path}")

    async def stop_time(self) -> None:
        """Let time pass in the page only when a test says so, however long the page takes."""
        now = time.time()
        await self.page.clock.install(time=now)
        await self.page.clock.pause_at(now + 1)

    async def log_in(self, person: str) -> None:
        await self.page.locator(LOG_IN).click()
        await self.choose(person)

    async def choose(self, person: str) -> None:
        """Say to the issuer who one is, by the identifier that it will put into `sub`."""
        await self.page.locator(f'button[name="person"][value="{person}"]').click()
        await self.page.wait_for_url(f"{self.sandbox.client}/**")

    async def go(self, path: str) -> None:
        await self.page.get_by_role("navigation").locator(f'a[href="{path}"]').click()

    async def logged_in(self) -> None:
        await self.page.locator("#account .name").wait_for()

    async def logged_out(self) -> None:
        await self.page.locator(LOG_IN).wait_for()

    async def asked_who_one_is(self) -> None:
        await self.page.locator('button[name="cancel"]').wait_for()

    async def title(self) -> str:
        """The page's heading, once it is there."""
        return await self.page.get_by_role("heading", level=1).inner_text()

    async def api_says(self, path: str) -> str:
        """The message that the API has there for somebody who may do everything."""
        permissions = ["read:admin-messages"]
        token = self.sandbox.issuer.mint(claims={"permissions": permissions})
        url = f"{self.sandbox.api}/api/messages{path}"
        async with ClientSession() as session, session.get(url, headers=bearer(token)) as response:
            return str((await response.json())["text"])

    def foreign_hosts(self) -> set[str]:
        """Hosts that were asked and are none of the sandbox's."""
        return {host for host in self.hosts if host.split(":")[0] != "localhost"}

    async def focused(self, selector: str) -> bool:
        """Whether what has the keyboard is what a selector means."""
        return bool(await self.page.evaluate("s => document.activeElement.matches(s)", selector))

    async def tab_to(self, selector: str) -> None:
        for _ in range(20):
            if await self.focused(selector):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {selector}")

    async def open_details(self) -> None:
        """Open what the page at hand has closed."""
        closed = self.page.locator("details:not([open]) > summary")
        while await closed.count():
            await closed.first.click()

    async def violations(self) -> list[str]:
        """What axe has to say against the page at hand, once it is there."""
        await self.page.get_by_role("heading", level=1).wait_for()
        await self.page.evaluate(AXE.read_text("utf-8"))
        results = await self.page.evaluate("axe.run()")
        return [
            f"{violation['id']}: {node['html']}"
            for violation in results["violations"]
            for node in violation["nodes"]
        ]

    async def message(self) -> str:
        return await self.page.get_by_test_id("message").inner_text()

    async def alert(self) -> str:
        return await self.page.get_by_role("alert").first.inner_text()

    async def notice(self) -> str:
        return await self.page.locator(".notice").inner_text()


@asynccontextmanager
async def sandbox(
    *,
    admin_permission: str = "",
    other_origin: bool = False,
    nonce_secret: str = "",
    dpop: str = "allowed",
    with_lessons: bool = True,
    key: Key | None = None,
    ports: tuple[int, int, int] | None = None,
) -> AsyncIterator[Sandbox]:
    """Serve the three applications; with `other_origin`, the API expects another client.

    `with_lessons`: as in the sandbox, and not with a tenant of one's own.
    `key`: the issuer's, or None to make one.
    `nonce_secret`: if it is not empty, the API wants nonces in proofs.
    `ports`: the API's, the issuer's and the client's, or None for some that are free.
    """
    api_port, issuer_port, client_port = ports or free_ports(3)
    client = f"http://localhost:{client_port}"
    issuer = Issuer(
        audience=AUDIENCE, url=f"http://localhost:{issuer_port}/", client_origin=client, key=key
    )
    config = Config.from_environ(
        {
            "PORT": str(api_port),
            "ISSUER_BASE_URL": issuer.url,
            "AUTH0_AUDIENCE": AUDIENCE,
            "CLIENT_ORIGIN_URL": "http://localhost:9" if other_origin else client,
            "ADMIN_PERMISSION": admin_permission,
            "DPOP_NONCE_SECRET": nonce_secret,
            "DPOP": dpop,
        }
    )
    app, issuers = create_app(config), issuer_app(issuer)
    lessons = lesson_routes(
        client,
        api=app,
        witness=Witness(app, client),
        issuer=issuer,
        switch=Switch(issuers, client),
    )
    client_application = client_app(
        api_url=config.base_url,
        issuer=issuer.url,
        client_id="demo",
        audience=AUDIENCE,
        admin_permission=config.admin_permission,
        lessons=lessons if with_lessons else (),
    )
    async with AsyncExitStack() as others, AsyncExitStack() as api:
        await api.enter_async_context(served(app, api_port))
        await others.enter_async_context(served(issuers, issuer_port))
        await others.enter_async_context(served(client_application, client_port))
        yield Sandbox(config.base_url, issuer, client, api)


@asynccontextmanager
async def served(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def walking(browser: "Browser", sandbox: Sandbox, **options: object) -> AsyncIterator[Walk]:
    """Open a page, and write down what goes wrong in it."""
    context = await browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    page = await context.new_page()
    walk = Walk(page, sandbox)
    page.on(
        "console",
        lambda said: walk.complaints.append(said.text) if said.type == "error" else None,
    )
    await page.add_init_script(COMPLAIN_OF_OBJECTS)
    page.on("pageerror", lambda error: walk.complaints.append(str(error)))
    page.on("request", lambda request: walk.hosts.add(request.url.split("/")[2]))
    try:
        yield walk
    finally:
        await context.close()


@asynccontextmanager
async def chromium() -> AsyncIterator["Browser"]:
    """Start Chromium."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not everybody has it

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        await browser.close()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    return [free_port() for _ in range(count)]
