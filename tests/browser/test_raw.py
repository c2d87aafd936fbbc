"""What does a person see of a request and its answer, as HTTP?"""

import asyncio
import shlex
from typing import TYPE_CHECKING

import pytest

from support.bound_walk import bound
from support.logging_in import ROBIN
from support.sandbox_walk import IN_A_BROWSER, Walk, sandbox, walking

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = IN_A_BROWSER


async def part(walk: Walk, name: str) -> str:
    """A part of Raw, which is open from then on."""
    await walk.open_details()
    return await walk.page.get_by_test_id(f"raw-{name}").inner_text()


async def run(command: str) -> str:
    """What a command prints that a person has copied."""
    program = await asyncio.create_subprocess_exec(
        *shlex.split(command), "--max-time", "10", "-s", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await program.communicate()
    return printed.decode()


async def test_request_answer_and_preflight_are_shown_as_http(walk: Walk) -> None:
    await walk.open("/protected")
    await walk.choose(ROBIN)
    await walk.message()
    request = await part(walk, "request")
    assert request.startswith("GET /api/messages/protected HTTP/1.1\n")
    assert "Authorization: Bearer …" in request
    assert "User-Agent: " in request  # no page can know that
    answer = await part(walk, "answer")
    assert answer.startswith("HTTP/1.1 200 OK\n")
    assert await walk.api_says("/protected") in answer
    pale = await walk.page.locator(".unreadable").all_inner_texts()
    names = {line.split(":")[0].lower() for line in pale}
    assert "strict-transport-security" in names
    assert not names & {"content-type", "x-request-id"}
    assert str(len(pale)) in await walk.page.get_by_test_id("hidden-headers").inner_text()
    preflight = await part(walk, "preflight")
    assert preflight.startswith("OPTIONS /api/messages/protected HTTP/1.1\n")
    assert "Access-Control-Request-Headers: authorization" in preflight
    assert "Access-Control-Max-Age: 86400" in await part(walk, "preflight-answer")


async def test_without_a_token_there_is_no_preflight(walk: Walk) -> None:
    await walk.open("/public")
    await walk.message()
    assert "Authorization" not in await part(walk, "request")
    assert await walk.page.get_by_test_id("raw-preflight").count() == 0


async def test_with_a_tenant_of_ones_own_the_page_shows_what_it_knows(browser: "Browser") -> None:
    async with sandbox(with_lessons=False) as there, walking(browser, there) as walk:
        await walk.open("/protected")
        await walk.choose(ROBIN)
        await walk.message()
        request = await part(walk, "request")
        assert request.startswith("GET /api/messages/protected HTTP/1.1\n")
        assert "User-Agent" not in request
        assert "content-type: application/json" in await part(walk, "answer")
        assert await walk.page.locator(".unreadable").count() == 0
        assert "authorization" in await part(walk, "preflight")
        assert await walk.page.get_by_test_id("raw-preflight-answer").count() == 0
        assert walk.complaints == []


@pytest.mark.parametrize("path", ["/public", "/protected"])
async def test_the_command_that_is_copied_gets_the_same_message(walk: Walk, path: str) -> None:
    await walk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await walk.open(path)
    if path == "/protected":
        await walk.choose(ROBIN)
    await walk.message()
    await walk.open_details()
    await walk.page.locator("button.copy").first.click()
    await walk.page.locator(".copy > span:first-child[hidden]").wait_for(state="attached")
    command = await walk.page.evaluate("navigator.clipboard.readText()")
    assert await walk.api_says(path) in await run(command)


async def test_no_token_and_no_proof_is_shown_whole(walk: Walk) -> None:
    requests = await bound(walk)
    await walk.open_details()
    request = await requests.last()
    shown = await walk.page.get_by_role("main").inner_text()
    assert "authorization,dpop" in shown.lower()
    assert request.token not in shown
    assert request.proof is not None
    assert request.proof not in shown
