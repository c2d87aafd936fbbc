"""PyPI's `mcp` client, given only the address of a server: log in, list the tools, call two.

    python mcp_client.py SERVER BROWSER

It runs in a virtual environment of its own. BROWSER is where run.py opens the issuer's login page.
"""

import asyncio
import sys
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

CALLBACK = "http://127.0.0.1:3999/callback"  # nobody listens there: BROWSER says where it was sent


class Memory:
    """What the client keeps."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def main(server: str, browser: str) -> None:
    answers: list[dict[str, str]] = []

    async def log_in(url: str) -> None:
        async with httpx2.AsyncClient() as client:
            location = (await client.get(browser, params={"url": url})).text
        answers.append(dict(parse_qsl(urlsplit(location).query)))

    async def answer() -> AuthorizationCodeResult:
        got = answers.pop()
        return AuthorizationCodeResult(code=got["code"], state=got.get("state"), iss=got.get("iss"))

    provider = OAuthClientProvider(
        server_url=server,
        client_metadata=OAuthClientMetadata(
            client_name="an agent", redirect_uris=[CALLBACK], token_endpoint_auth_method="none"
        ),
        storage=Memory(),
        redirect_handler=log_in,
        callback_handler=answer,
    )
    async with (
        httpx2.AsyncClient(auth=provider) as http,
        Client(streamable_http_client(server, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        print("tools:", *sorted(each.name for each in tools.tools))
        await client.call_tool("add_note", {"text": "Written by Python"})
        print("notes:", (await client.call_tool("list_notes", {})).content[0].text)


asyncio.run(main(*sys.argv[1:]))
