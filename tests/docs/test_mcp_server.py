"""Does the server of hello/docs/mcp-server.md ask an agent for what the page says?"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.libraries import library
from support.pages import example
from support.protecting import status

PAGE = "hello/docs/mcp-server.md"
RESOURCE = "https://notes.example.com/mcp"
METADATA = "https://notes.example.com/.well-known/oauth-protected-resource/mcp"
READ, WRITE = "notes:read", "notes:write"
HEADERS = {"Accept": "application/json, text/event-stream"}

Call = Callable[..., Awaitable[tuple[int, str | None, str]]]


def message(tool: str | None = None, arguments: object = None) -> dict[str, Any]:
    """A call of a tool, or the question which tools there are."""
    asked = {"method": "tools/list", "params": {}}
    if tool is not None:
        asked = {"method": "tools/call", "params": {"name": tool, "arguments": arguments or {}}}
    return {"jsonrpc": "2.0", "id": 1, **asked}


ADD = message("add_note", {"text": "Written by a test"})


@pytest.fixture
async def call(issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Call:
    """Sends a message with a token that has some scopes. Returns status, challenge and body."""
    library("aiohttp_tiny_mcp")
    names: dict[str, Any] = {"__name__": "notes"}
    exec(compile(example(PAGE, "server"), PAGE, "exec"), names)
    validator = auth.TokenValidator(issuer=issuer.url, audience=RESOURCE)
    client = await aiohttp_client(ApiServer(names["create_app"](validator)))

    async def call(
        scope: str | None, sent: object, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str | None, str]:
        body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        sending = {"Content-Type": "application/json", **HEADERS, **(headers or {})}
        if scope is not None:
            sending |= bearer(issuer.mint(claims={"aud": RESOURCE, "scope": scope}))
        async with client.post("/mcp", data=body, headers=sending) as answer:
            return answer.status, answer.headers.get("WWW-Authenticate"), await answer.text()

    call.client = client  # type: ignore[attr-defined]
    return call


async def test_an_agent_learns_where_to_log_in_and_for_what(call: Call) -> None:
    code, challenge, _ = await call(None, message())
    assert code == 401
    assert challenge is not None
    assert f'scope="{READ}"' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge


async def test_a_tool_that_asks_for_more_names_all_that_it_asks_for(call: Call) -> None:
    assert (await call(READ, message()))[0] == 200
    code, challenge, _ = await call(READ, ADD)
    assert code == 403
    assert challenge is not None
    assert 'error="insufficient_scope"' in challenge
    assert f'scope="{READ} {WRITE}"' in challenge
    assert (await call(f"{READ} {WRITE}", ADD))[0] == 200
    assert "Written by a test (" in (await call(READ, message("list_notes")))[2]


@pytest.mark.parametrize(
    "sent",
    [
        [ADD],
        [message(), ADD],
        json.dumps(ADD).encode("utf-16"),
        json.dumps(ADD).replace("add_note", "add\\u005fnote").encode(),
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", ' + json.dumps(ADD).encode()[1:],
    ],
)
@pytest.mark.parametrize("charset", ["", "; charset=utf-16", "; charset=utf-7"])
async def test_no_form_of_a_message_gets_around_the_scope(
    call: Call, sent: object, charset: str
) -> None:
    headers = {"Content-Type": f"application/json{charset}"}
    assert (await call(READ, sent, headers=headers))[0] == 403
    assert "Written by" not in (await call(READ, message("list_notes")))[2]


@pytest.mark.parametrize("sent", [message("unknown"), {"method": "tools/call"}, [1], b"1"])
async def test_what_calls_no_tool_in_a_right_way_is_refused(call: Call, sent: object) -> None:
    assert (await call(f"{READ} {WRITE}", sent))[0] in (400, 403)


async def test_a_token_for_another_resource_is_refused(call: Call, issuer: Issuer) -> None:
    client: Client = call.client  # type: ignore[attr-defined]
    token = issuer.mint(claims={"scope": f"{READ} {WRITE}"})
    assert await status(client, token, "/mcp", method="POST", json=message()) == 401
