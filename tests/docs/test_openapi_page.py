"""Does hello/docs/openapi.md show what its examples make?"""

import importlib.util
import json
import os
import re
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.__main__ import main
from hello.auth.openapi.schemes import BEARER, CERTIFICATE, DPOP, ISSUER
from support.api import ApiServer, Client
from support.openapi import answers, guarded, names, valid
from support.pages import PROJECT, example, output, rows
from support.protecting import new_handler

PAGE = "hello/docs/openapi.md"
AiohttpClient = Callable[[ApiServer], Awaitable[Client]]


@pytest.fixture
def my_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module of the first example, which the page's examples import."""
    (tmp_path / "my_api.py").write_text(example("hello/docs/own-project.md", "own-project"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_api", None)


@pytest.fixture
def defined(my_api: None) -> dict[str, Any]:
    """What the page's examples define that need no other library."""
    names: dict[str, Any] = {}
    for name in ("serve", "more", "gaps", "hosts"):
        exec(compile(example(PAGE, name), PAGE, "exec"), names)
    return names


async def fetched(client: Client, path: str = "/openapi.json") -> dict[str, Any]:
    async with client.get(path) as response:
        assert response.status == 200
        return valid(await response.json())


async def test_one_line_serves_what_the_page_shows(
    defined: dict[str, Any], aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(ApiServer(defined["create_documented_app"]()))
    document = await fetched(client)
    assert document["paths"]["/reports"]["get"] == json.loads(output(PAGE, "serve"))


async def test_what_is_written_by_hand_is_completed(
    defined: dict[str, Any], aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(ApiServer(defined["create_described_app"]()))
    document = await fetched(client)
    ours = defined["DOCUMENT"]
    assert (document["info"], document["servers"]) == (ours["info"], ours["servers"])
    assert answers(document, "/reports") == {"200", "401", "403", "503"}
    defined["test_the_document_is_complete"]()


@pytest.mark.usefixtures("my_api")
def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(example(PAGE, "print"))
    program, arguments = words[:3], words[3 : words.index(">")]
    assert program == [".venv/bin/python", "-m", "hello.auth"]
    assert main(arguments) == 0
    assert "/reports" in valid(json.loads(capsys.readouterr().out))["paths"]


@pytest.mark.parametrize(("mark", "security", "statuses"), rows(PAGE, "marks"))
def test_a_mark_becomes_what_the_table_says(mark: str, security: str, statuses: str) -> None:
    handler = eval(mark.strip("`"), {"auth": auth})(new_handler())
    issuer = auth.TrustedIssuer(issuer="me", audience="api", secret="0123456789abcdef" * 2)
    validator = auth.TokenValidator(issuers=[issuer], dpop="off")
    document = valid(auth.openapi(guarded(web.get("/", handler), validator=validator)))
    assert names(document, "/") == json.loads(security.strip("`"))
    assert answers(document, "/") - {"default"} == set(re.findall(r"\d+", statuses))


def test_the_table_has_all_schemes() -> None:
    assert [row[0].strip("`") for row in rows(PAGE, "schemes")] == [
        BEARER,
        DPOP,
        CERTIFICATE,
        ISSUER,
    ]
    proxies = auth.CertificateHeader(proxies=["10.1.2.3"])
    document = auth.openapi(guarded(web.get("/", new_handler()), client_certificate=proxies))
    told = document["components"]["securitySchemes"]
    assert set(told) == {BEARER, DPOP, CERTIFICATE, ISSUER}
    for name, kind, _ in rows(PAGE, "schemes"):
        scheme = told[name.strip("`")]
        said = [scheme[member] for member in ("type", "scheme") if member in scheme]
        assert kind == ", ".join(f"`{each}`" for each in said)


def test_a_contradiction_is_told_as_the_page_shows(defined: dict[str, Any]) -> None:
    with pytest.raises(auth.SecurityContradictionError) as raised:
        exec(compile(example(PAGE, "contradiction"), PAGE, "exec"), defined)
    shown = output(PAGE, "contradiction").splitlines()
    assert shown[0].startswith(f"{type(raised.value).__module__}.{type(raised.value).__name__}: ")
    told = raised.value.contradictions
    assert [line.split()[:2] for line in shown[1:]] == [line.split()[:2] for line in told]


def test_the_options_of_schemathesis_are_there() -> None:
    """tests/api/test_openapi_document.py runs it in nearly the same way."""
    tested = (PROJECT / "tests/api/test_openapi_document.py").read_text("utf-8")
    shown = example(PAGE, "schemathesis")
    for option in ("--phases", "--max-examples", "--generation-deterministic", "--header"):
        assert option in shown
        assert option in tested


def library(name: str, module: str) -> tuple[Any, dict[str, Any]]:
    """A library, if it is installed, and what the example of this name defines with it."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    names: dict[str, Any] = {"web": web, "auth": auth}
    code = example(PAGE, name).replace("from aiohttp_apigami", f"from {module}")
    exec(compile(code, PAGE, "exec"), names)
    return importlib.import_module(module), names


MARKED = auth.protected(scopes={"read:reports"})
REFUSED = {"401", "403", "503"}


@pytest.mark.filterwarnings("ignore")  # the library's own
async def test_the_document_of_apigami(aiohttp_client: AiohttpClient) -> None:
    """Or of aiohttp-apispec, for which tests/libraries/test_apart.py runs this."""
    module = os.environ.get("SCHEMAS_OF", "aiohttp-apigami").replace("-", "_")
    apispec, names_ = library("apigami", module)
    app = guarded()
    for path, mark in (("/reports", MARKED), ("/health", auth.public)):
        described = apispec.docs(responses={200: {"description": "Yes."}})
        app.router.add_get(path, described(mark(new_handler())))
    names_["add_apigami"](app)
    client = await aiohttp_client(ApiServer(app))
    document = valid(app["swagger_dict"])
    assert document["swagger"] == "2.0"
    assert names(document, "/reports") == [{BEARER: []}]
    assert answers(document, "/reports") == {"200", *REFUSED}
    assert names(document, "/health") == []
    async with client.get("/docs.json") as response:
        assert response.status == 401


@pytest.mark.filterwarnings("ignore")
async def test_the_document_of_swagger3(aiohttp_client: AiohttpClient) -> None:
    _, names_ = library("swagger3", "aiohttp_swagger3")
    app = guarded()
    handler = new_handler()
    handler.__doc__ = "---\nresponses:\n  '200': {description: Yes.}\n"
    names_["add_swagger3"](app, web.get("/reports", handler))
    await aiohttp_client(ApiServer(app))
    [document] = [each for each in app.values() if isinstance(each, dict) and "paths" in each]
    assert valid(document)["openapi"].startswith("3.0")
    assert {BEARER: []} in names(document, "/reports")
    assert answers(document, "/reports") == {"200", "401", "503"}


@pytest.mark.filterwarnings("ignore")
async def test_the_document_of_pydantic(aiohttp_client: AiohttpClient) -> None:
    pydantic, names_ = library("pydantic", "aiohttp_pydantic")

    async def get(self: web.View, page: int = 1) -> web.Response:
        return web.json_response([page])

    app = guarded()
    app.router.add_view("/reports", MARKED(type("Reports", (pydantic.PydanticView,), {"get": get})))
    app.router.add_get("/health", auth.public(new_handler()))
    names_["add_pydantic"](app)
    document = await fetched(await aiohttp_client(ApiServer(app)))
    assert document["info"] == {"title": "Reports", "version": "2.1.0"}
    assert {ISSUER: ["read:reports"]} in names(document, "/reports")
    assert answers(document, "/reports") >= REFUSED
    assert names(document, "/health") == []
    [page] = document["paths"]["/reports"]["get"]["parameters"]
    assert page["name"] == "page"


async def test_each_host_serves_its_own(
    defined: dict[str, Any], aiohttp_client: AiohttpClient
) -> None:
    client = await aiohttp_client(ApiServer(defined["create_app_with_another_host"]()))
    assert "/reports" in (await fetched(client))["paths"]
    async with client.get("/openapi.json", headers={"Host": "admin.example.com"}) as response:
        assert list(valid(await response.json())["paths"]) == ["/openapi.json"]
