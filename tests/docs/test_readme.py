"""Does the README tell the truth?"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.pages import PROJECT, blocks, text

README = text("README.md")


async def test_the_example_protects_its_routes(
    issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    excerpt, example = blocks("README.md", "python")
    assert excerpt in (PROJECT / "hello/messages.py").read_text("utf-8")
    example = example.replace("https://dev-abc123.eu.auth0.com/", issuer.url)
    names: dict[str, Any] = {}
    exec(compile(example.replace("https://api.example.com", AUDIENCE), "README", "exec"), names)
    client = await aiohttp_client(ApiServer(names["create_app"]()))
    reader = issuer.mint(claims={"permissions": ["read:reports"], "sub": "auth0|alice"})
    for path, headers, status in [
        ("/health", {}, 200),
        ("/reports", {}, 401),
        ("/reports", bearer(issuer.mint()), 403),
        ("/reports", bearer(reader), 200),
        ("/users", bearer(reader), 403),
        ("/users", bearer(issuer.mint(claims={"permissions": ["admin"]})), 200),
    ]:
        async with client.get(path, headers=headers) as response:
            assert response.status == status
    async with client.get("/reports", headers=bearer(reader)) as response:
        assert await response.json() == {"for": "auth0|alice"}


def test_it_lists_every_variable() -> None:
    table = README.split("## Configuration")[1].split("\n## ")[0]
    example = (PROJECT / ".env.example").read_text("utf-8")
    for name in re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE):
        assert f"`{name}`" in table, name
