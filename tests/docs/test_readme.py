"""Does the README tell the truth?"""

import ast
import re
from collections.abc import Awaitable, Callable
from typing import Any

from hello.sandbox.client import PATHS
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.pages import PROJECT, example, rows

PAGE = "README.md"


async def test_the_example_protects_its_routes(
    issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    code = example(PAGE, "protect").replace("https://dev-abc123.eu.auth0.com/", issuer.url)
    names: dict[str, Any] = {}
    exec(compile(code.replace("https://api.example.com", AUDIENCE), PAGE, "exec"), names)
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


def functions(code: str) -> dict[str, list[str]]:
    """The decorators and the statements of a module's functions, but for their docstrings."""
    return {
        each.name: [ast.unparse(part) for part in (*each.decorator_list, *each.body[1:])]
        for each in ast.parse(code).body
        if isinstance(each, ast.AsyncFunctionDef)
    }


def test_the_protected_message_is_the_one_that_it_shows() -> None:
    shown = functions(example(PAGE, "protected-message"))
    there = functions((PROJECT / "hello/messages.py").read_text("utf-8"))
    assert shown
    assert shown.items() <= there.items()


def test_it_lists_every_variable_with_its_default() -> None:
    listed: dict[str, str] = {}
    for names, defaults, _ in rows(PAGE, "variables"):
        found = re.findall("`(.+?)`", names)
        values = re.findall("`(.+?)`", defaults) or [""] * len(found)
        listed |= dict(zip(found, values, strict=True))
    example = (PROJECT / ".env.example").read_text("utf-8")
    there = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    assert listed == {**there, "CLIENT_ORIGIN_URL": ""}  # which only the sandbox has by default


def test_each_step_of_the_guide_says_where_to_see_it() -> None:
    text = (PROJECT / PAGE).read_text("utf-8")
    steps = re.split(r"^### \d+\. ", text.partition("\n## Configuration")[0], flags=re.MULTILINE)[
        1:
    ]
    assert len(steps) == 10
    for step in steps:
        paths = re.findall(r"\(http://localhost:4040(/[a-z]*)\)", step)
        assert paths, step.splitlines()[0]
        assert set(paths) <= set(PATHS)
