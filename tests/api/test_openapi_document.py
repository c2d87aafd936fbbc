"""Do the API's real answers agree with the OpenAPI document that it serves?"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hello import auth
from hello.app import create_app
from hello.document import PATH
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, config_for
from support.openapi import answers, names, valid

AiohttpClient = Callable[[ApiServer], Awaitable[Client]]

MESSAGES = [f"/api/messages/{name}" for name in ("public", "protected", "admin")]
ADMIN = "read:admin-messages"


async def served(client: Client) -> dict[str, Any]:
    async with client.get(PATH) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        document: dict[str, Any] = await response.json()
    return document


async def test_it_describes_every_route_of_the_api(api: Client) -> None:
    document = valid(await served(api))
    assert api.app is not None
    assert auth.openapi_gaps(document, api.app) == ([], [])
    assert {method for item in document["paths"].values() for method in item} == {"get"}
    operations = [item["get"] for item in document["paths"].values()]
    assert all("default" not in each["responses"] and each["summary"] for each in operations)
    open_to_all = [path for path in document["paths"] if names(document, path) == []]
    assert open_to_all == [MESSAGES[0], "/livez", "/readyz", PATH]


@pytest.mark.parametrize(
    ("environ", "statuses"),
    [({}, {"200", "401", "503"}), ({"ADMIN_PERMISSION": ADMIN}, {"200", "401", "403", "503"})],
)
async def test_it_follows_the_settings(
    aiohttp_client: AiohttpClient, issuer: Issuer, environ: dict[str, str], statuses: set[str]
) -> None:
    public_url = "https://api.example.com/hello"
    settings = {**environ, "DPOP": "off", "RESOURCE_URL": public_url, "PUBLIC_URL": public_url}
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer, **settings))))
    document = valid(await served(api))
    assert answers(document, MESSAGES[2]) == statuses
    assert document["servers"] == [{"url": public_url}]
    assert "dpop" not in document["components"]["securitySchemes"]
    assert "/.well-known/oauth-protected-resource/hello" in document["paths"]


class Found(NamedTuple):
    """What Schemathesis has found: answers to good requests, and the checks that failed."""

    statuses: dict[str, set[int]]
    failed: set[str]


async def schemathesis(
    client: Client, document: dict[str, Any], folder: Path, token: str | None, *options: str
) -> Found:
    """Compare the answers of a server with a document, also to other methods and other tokens."""
    described, report = folder / "openapi.json", folder / "report.ndjson"
    described.write_text(json.dumps(document))
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", str(described)),
        *(f"--url={client.make_url('')}", f"--report-ndjson-path={report}"),
        *("--phases=coverage,fuzzing", "--max-examples=10", "--generation-deterministic"),
        *("--request-timeout=10", *options),
        *([] if token is None else [f"--header=Authorization: Bearer {token}"]),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 300)
    statuses: dict[str, set[int]] = {}
    failed: set[str] = set()
    for event in map(json.loads, report.read_text("utf-8").splitlines()):
        scenario = event.get("ScenarioFinished")
        recorder = {} if scenario is None else scenario["recorder"]
        checks = chain.from_iterable(recorder.get("checks", {}).values())
        failed |= {check["name"] for check in checks if check["status"] == "failure"}
        if scenario is not None and scenario["phase"] == "fuzzing":
            answered = (each["response"] for each in recorder["interactions"].values())
            path = recorder["label"].removeprefix("GET ")
            statuses[path] = {each["status_code"] for each in answered}
    assert process.returncode == bool(failed), out.decode()
    return Found(statuses, failed)


READY = {"/livez": {200}, "/readyz": {200}, PATH: {200}}
OF_OUTAGES = "--exclude-checks=not_a_server_error"  # a 503 is what has to be answered


@pytest.mark.parametrize(
    ("claims", "statuses"),
    [
        (None, [200, 401, 401]),
        ({"exp": 1}, [200, 401, 401]),
        ({}, [200, 200, 403]),
        ({"permissions": [ADMIN]}, [200, 200, 200]),
    ],
)
async def test_real_answers_are_what_it_says(
    aiohttp_client: AiohttpClient,
    issuer: Issuer,
    tmp_path: Path,
    claims: dict[str, Any] | None,
    statuses: list[int],
) -> None:
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer, ADMIN_PERMISSION=ADMIN))))
    token = None if claims is None else issuer.mint(claims=claims)
    found = await schemathesis(api, await served(api), tmp_path, token)
    assert found.failed == set()
    assert {path: found.statuses[path] for path in READY} == READY
    assert [found.statuses[path] for path in MESSAGES] == [{status} for status in statuses]


async def test_an_outage_is_what_it_says(
    aiohttp_client: AiohttpClient, issuer: Issuer, tmp_path: Path
) -> None:
    token = issuer.mint(claims={"iss": "http://localhost:9/"})
    issuer.url = "http://localhost:9/"
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    found = await schemathesis(api, await served(api), tmp_path, token, OF_OUTAGES)
    assert found.failed == set()
    assert [found.statuses[path] for path in MESSAGES] == [{200}, {503}, {503}]
    assert found.statuses["/readyz"] == {503}


def of(document: dict[str, Any], *names: str) -> Any:
    for name in names:
        document = document[name]
    return document


@pytest.mark.parametrize(
    ("place", "lie", "check"),
    [
        (("paths", MESSAGES[0], "get", "security"), [{"bearer": []}], "ignored_auth"),
        (
            ("paths", MESSAGES[1], "get", "responses"),
            {"200": {"description": ""}},
            "status_code_conformance",
        ),
        (
            ("components", "responses", "Unauthorized", "content"),
            {"text/plain": {"schema": {}}},
            "content_type_conformance",
        ),
        (
            ("components", "responses", "Unauthorized", "headers", "X-Missing"),
            {"required": True, "schema": {"type": "string"}},
            "response_headers_conformance",
        ),
        (
            ("components", "schemas", "Unauthorized", "properties", "message", "enum"),
            ["Go away"],
            "response_schema_conformance",
        ),
    ],
)
async def test_a_document_that_is_not_true_is_found_out(
    api: Client, tmp_path: Path, place: tuple[str, ...], lie: Any, check: str
) -> None:
    document = await served(api)
    *path, last = place
    of(document, *path)[last] = lie
    found = await schemathesis(api, document, tmp_path, None)
    assert check in found.failed
