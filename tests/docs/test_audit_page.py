"""Does the audit do what hello/docs/tracing-and-audit.md says?"""

import json
import logging
import re
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.decisions import audit
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.machine import lacks
from support.pages import example, output, prose, rows, rows_by_id
from support.protecting import new_handler

PAGE = "hello/docs/tracing-and-audit.md"
Protect = Callable[[web.Application, auth.TokenValidator], None]


def defined(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, name), PAGE, "exec"), names)
    return names


async def ask_as_shown(
    protect: Protect, issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> list[dict[str, Any]]:
    """Make the requests that the page's lines tell of, and return these lines."""
    shown = [json.loads(line) for line in output(PAGE, "audit-file").splitlines()]
    app = web.Application()
    protect(app, auth.TokenValidator(issuer=issuer.url, audience=issuer.audience))
    app.router.add_delete(
        "/users/{id}", auth.protected(permissions={"delete:users"})(new_handler())
    )
    app.router.add_get("/users/{id}", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for line in shown:
        headers = {}
        if line["subject"] is not None:
            granted = ["delete:users"] if line["outcome"] == "allowed" else []
            claims = {"sub": line["subject"], "azp": line["client_id"], "jti": line["token_id"]}
            headers = bearer(issuer.mint(claims={**claims, "permissions": granted}))
        async with client.request(line["method"], "/users/7", headers=headers) as response:
            assert (response.status == 200) is (line["outcome"] == "allowed")
    await client.close()
    return shown


Start = Callable[[ApiServer], Awaitable[Client]]
VARYING = ("at", "issuer", "remote", "request_id")


async def test_the_file_holds_what_the_page_shows(
    sandbox_issuer: Issuer, aiohttp_client: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = await ask_as_shown(defined("audit-file")["protect"], sandbox_issuer, aiohttp_client)
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    assert [[*each] for each in written] == [[*each] for each in shown]
    for each, expected in zip(written, shown, strict=True):
        assert re.fullmatch(r"[0-9a-f]{32}", each["request_id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["at"])
        assert {**each, **dict.fromkeys(VARYING)} == {**expected, **dict.fromkeys(VARYING)}
    assert max(map(len, lines)) < 450


async def test_a_logger_gets_what_the_page_shows(
    sandbox_issuer: Issuer, aiohttp_client: Start, caplog: pytest.LogCaptureFixture
) -> None:
    protect = defined("audit-logger")["protect_and_log"]
    with caplog.at_level(logging.INFO, "audit"):
        shown = await ask_as_shown(protect, sandbox_issuer, aiohttp_client)
    logged = [json.loads(each.message) for each in caplog.records if each.name == "audit"]
    assert [each["outcome"] for each in logged] == [each["outcome"] for each in shown]


def test_the_auditor_gets_the_answer(tmp_path: Path) -> None:
    if lacks("jq"):
        pytest.skip("there is no jq")
    (tmp_path / "audit.jsonl").write_text(output(PAGE, "audit-file"))
    answer = subprocess.run(
        ["bash", "-c", example(PAGE, "auditor")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == output(PAGE, "auditor")


def test_each_field_is_in_the_table() -> None:
    fields = [name.strip("`") for name, _ in rows(PAGE, "fields")]
    assert [[*json.loads(line)] for line in output(PAGE, "audit-file").splitlines()] == [fields] * 3
    assert {*fields, "refusal", "seconds"} == {*auth.Decision.__dataclass_fields__, "outcome"}


def test_the_numbers_are_those_of_the_code() -> None:
    said = prose(PAGE)
    assert f"{audit.MAX_WAITING:,} decisions" in said
    assert f"{audit.MAX_BY_ANYBODY:,} of them are about requests without a valid token" in said
    assert f"{audit._CLOSING_SECONDS} s" in rows_by_id(PAGE, "audit-log")["audit-lost"][2]
    assert f"({auth.Timing().hook_timeout:g})" in said
    for name in auth.AuditCounts._fields:
        assert f"`{name}`" in said
