"""Does the document of an application describe its routes, each once and completely?"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.openapi import answers, guarded, names, resolved, valid
from support.pages import PROJECT
from support.protecting import new_handler


async def reports(_request: web.Request) -> web.Response:
    """List the reports.

    The newest come first.

    ---
    tags: [yaml]
    """
    return web.json_response([])


class ReportView(web.View):
    """Not what a client calls."""

    async def get(self) -> web.Response:
        """Show a report."""
        return web.json_response({})

    @auth.public
    async def delete(self) -> web.Response:
        return web.json_response({})


class PartialView(web.View):
    async def _show(self, _number: int) -> web.Response:
        """Show a report."""
        return web.json_response({})

    get = functools.partialmethod(_show, 1)


class ReadersView(web.View):
    get = reports


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (reports, {"summary": "List the reports.", "description": "The newest come first."}),
        (functools.partial(reports), {"summary": "List the reports."}),
        (auth.protected(ReadersView.get), {"summary": "List the reports."}),
        (ReportView, {"summary": "Show a report."}),
        (PartialView, {"summary": "Show a report."}),
        (new_handler(), {}),
    ],
)
def test_a_docstring_says_what_an_operation_does(handler: Any, said: dict[str, str]) -> None:
    operation = valid(auth.openapi(guarded(web.get("/", handler))))["paths"]["/"]["get"]
    found = {name: operation[name] for name in ("summary", "description") if name in operation}
    assert {name: found[name] for name in said} == said
    assert said or not found
    assert "tags" not in operation


@pytest.mark.parametrize(
    ("path", "shown", "patterns"),
    [
        ("", "/", {}),
        ("/reports", "/reports", {}),
        ("/a b/ü", "/a%20b/%C3%BC", {}),
        ("/reports/{number}", "/reports/{number}", {"number": None}),
        (r"/reports/{number:\d{1,3}}", "/reports/{number}", {"number": r"^(?:\d{1,3})$"}),
        (
            "/{a:x|y}/{b:[(]{2}}/{c}.{d:(?:p|q(r))}",
            "/{a}/{b}/{c}.{d}",
            {"a": "^(?:x|y)$", "b": "^(?:[(]{2})$", "c": None, "d": "^(?:(?:p|q(r)))$"},
        ),
        (r"/{escaped:\)+}", "/{escaped}", {"escaped": r"^(?:\)+)$"}),
        ("/{tail:.*}", "/{tail}", {"tail": "^(?:.*)$"}),
        ("/{only_python:(?i:x)}", "/{only_python}", {"only_python": None}),
        (r"/{only_python:x\Z}", "/{only_python}", {"only_python": None}),
    ],
)
def test_a_path_has_its_parameters(path: str, shown: str, patterns: dict[str, str | None]) -> None:
    document = valid(auth.openapi(guarded(web.get(path, new_handler()))))
    assert list(document["paths"]) == [shown]
    parameters = document["paths"][shown]["get"].get("parameters", [])
    assert {each["name"]: each["schema"].get("pattern") for each in parameters} == patterns
    assert all(each["in"] == "path" and each["required"] for each in parameters)


def test_each_method_of_a_view_is_an_operation() -> None:
    document = valid(auth.openapi(guarded(web.view("/reports/{id}", ReportView))))
    assert list(document["paths"]["/reports/{id}"]) == ["get", "delete"]
    assert names(document, "/reports/{id}", "delete") == []
    assert names(document, "/reports/{id}")


def test_a_route_for_all_methods_is_an_operation_for_each() -> None:
    app = guarded(web.get("/any", reports), web.route("*", "/any", auth.public(new_handler())))
    paths = valid(auth.openapi(app))["paths"]
    assert list(paths["/any"]) == ["get", "put", "post", "delete", "options", "patch", "trace"]
    assert paths["/any"]["get"]["security"]
    assert paths["/any"]["put"]["security"] == []


def test_head_is_listed_only_where_it_is_no_get() -> None:
    table = auth.protected(auth.RouteTable())
    table.get("/in-table")(new_handler())
    app = guarded(
        web.get("/get", reports), web.head("/head", reports), web.route("*", "/any", reports)
    )
    app.add_routes(table)
    listed = {path: "head" in item for path, item in auth.openapi(app)["paths"].items()}
    assert listed == {"/get": False, "/head": True, "/any": True, "/in-table": False}


def test_files_are_listed_without_their_folder(tmp_path: Path) -> None:
    table = auth.public(auth.RouteTable())
    table.static("/open", tmp_path)
    app = guarded(web.static("/files/", tmp_path))
    app.add_routes(table)
    document = valid(auth.openapi(app))
    assert list(document["paths"]) == ["/files/{filename}", "/open/{filename}"]
    assert list(document["paths"]["/open/{filename}"]) == ["get"]
    assert names(document, "/open/{filename}") == []
    assert names(document, "/files/{filename}")
    assert tmp_path.name not in json.dumps(document)


def test_a_method_that_openapi_does_not_know_is_left_out() -> None:
    app = guarded(*(web.route(method, "/", reports) for method in ("GET", "PROPFIND")))
    app.router.add_route("PROPFIND", "/other", reports)
    assert {path: list(item) for path, item in valid(auth.openapi(app))["paths"].items()} == {
        "/": ["get"]
    }


def test_sub_applications_have_their_prefix_their_tag_and_their_marks() -> None:
    app, office, users = guarded(web.get("/", reports)), web.Application(), web.Application()
    auth.protected(permissions={"admin"})(office)
    users.router.add_get("/{id}", auth.protected(scopes={"read:users"})(new_handler()))
    office.add_subapp("/users", users)
    office.router.add_get("/", reports)
    app.add_subapp("/back-office", office)
    document = valid(auth.openapi(app))
    user = document["paths"]["/back-office/users/{id}"]["get"]
    assert document["paths"]["/back-office/"]["get"]["tags"] == ["back-office"]
    assert user["tags"] == ["back-office/users"]
    assert "tags" not in document["paths"]["/"]["get"]
    assert {tag["name"] for tag in document["tags"]} == {"back-office", "back-office/users"}
    assert {"bearer": ["admin", "read:users"]} in user["security"]


def test_of_routes_that_share_a_place_the_one_is_listed_that_aiohttp_asks_first() -> None:
    app = guarded(
        web.get(r"/reports/{number:\d+}", auth.public(new_handler())),
        web.get("/reports/{name}", reports),
        web.delete("/reports/{name}", reports),
    )
    document = valid(auth.openapi(app))
    assert list(document["paths"]) == ["/reports/{number}"]
    assert names(document, "/reports/{number}") == []
    deleting = document["paths"]["/reports/{number}"]["delete"]
    assert [each["name"] for each in deleting["parameters"]] == ["number"]
    assert auth.openapi_gaps(document, app).routes == [("GET", "/reports/{name}", "a valid token")]


def test_each_operation_has_an_id_of_its_own_that_follows_from_its_path() -> None:
    paths = ("/", "/reports", "/reports/{id}", "/a-b", "/a_b", "/a/b")
    document = auth.openapi(guarded(*(web.get(path, reports) for path in paths)))
    identifiers = [document["paths"][path]["get"]["operationId"] for path in paths]
    assert identifiers == [
        "get",
        "get_reports",
        "get_reports_id",
        "get_a_b",
        "get_a_b_2",
        "get_a_b_3",
    ]


OWN = {
    "openapi": "3.0.3",
    "info": {"title": "Reports", "version": "2.1"},
    "servers": [{"url": "https://api.example.com"}],
    "tags": [{"name": "office", "description": "For us."}],
    "paths": {
        "/reports/{id}": {
            "get": {
                "summary": "One report.",
                "operationId": "report",
                "tags": ["reading"],
                "parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}],
                "responses": {200: {"description": "The report."}},
            },
            "summary": "A report.",
        }
    },
    "components": {"responses": {"Unauthorized": {"description": "Log in."}}},
}


def test_what_is_written_by_hand_stays_and_is_completed() -> None:
    office = web.Application()
    office.router.add_get("/", reports)
    app = guarded(web.get("/reports/{number}", auth.protected(scopes={"read"})(ReadersView)))
    app.add_subapp("/office", office)
    before = json.dumps(OWN)
    document = valid(auth.openapi(app, OWN))
    assert json.dumps(OWN) == before
    assert (document["openapi"], document["info"]) == (OWN["openapi"], OWN["info"])
    assert document["servers"] == OWN["servers"]
    assert document["tags"] == OWN["tags"]
    assert set(document["paths"]) == {"/reports/{id}", "/office/"}
    report = document["paths"]["/reports/{id}"]["get"]
    assert (report["summary"], report["operationId"]) == ("One report.", "report")
    assert report["description"] == "The newest come first."
    assert report["tags"] == ["reading"]
    assert [each["name"] for each in report["parameters"]] == ["page", "id"]
    assert answers(document, "/reports/{id}") == {"200", "401", "403", "503"}
    assert resolved(document, "/reports/{id}", "401") == {"description": "Log in."}
    assert {"openIdConnect": ["read"]} in report["security"]
    assert answers(document, "/office/") == {"default", "401", "503"}


def test_an_operation_that_is_written_by_hand_and_has_no_route_stays() -> None:
    own = {"paths": {"/elsewhere": {"get": {"responses": {"200": {"description": "Yes."}}}}}}
    document = valid(auth.openapi(guarded(web.get("/", reports)), own))
    assert document["paths"]["/elsewhere"] == own["paths"]["/elsewhere"]
    assert auth.openapi_gaps(document, guarded()).operations == ["GET /", "GET /elsewhere"]


def test_clients_find_the_application_where_setup_says() -> None:
    app = guarded(web.get("/", reports), public_url="https://api.example.com/v1/")
    document = auth.openapi(app)
    assert document["servers"] == [{"url": "https://api.example.com/v1"}]
    assert "servers" not in document["paths"]["/"]["get"]
    assert "servers" not in auth.openapi(guarded(web.get("/", reports)))


def test_a_path_that_a_proxy_shortens_is_not_taken_for_another() -> None:
    """Clients call /v1/a, and the application gets /a."""
    public, protected = auth.public(new_handler()), auth.protected(scopes={"b"})(new_handler())
    app = guarded(
        web.get("/a", public), web.get("/v1/a", protected), public_url="https://a.example/v1"
    )
    document = valid(auth.openapi(app))
    assert names(document, "/a") == []
    assert {"bearer": ["b"]} in names(document, "/v1/a")
    assert auth.openapi_gaps(document, app) == ([], [])


@pytest.mark.parametrize("where", ["", "document", "path"])
def test_an_application_within_may_be_found_elsewhere(where: str) -> None:
    root, own = web.Application(), [{"url": "https://mine.example"}]
    for name, url in (("a", "https://a.example"), ("b", None)):
        root.add_subapp(f"/{name}", guarded(web.get("/", new_handler()), public_url=url))
    given: dict[str, Any] = {"servers": own} if where == "document" else {}
    given |= {"paths": {"/a/": {"servers": own}}} if where == "path" else {}
    paths = valid(auth.openapi(root, given))["paths"]
    assert paths["/a/"]["get"].get("servers") == (None if where else [{"url": "https://a.example"}])
    assert "servers" not in paths["/b/"]["get"]


def test_a_changed_mark_changes_the_document() -> None:
    def document(handler: Any) -> Any:
        return auth.openapi(guarded(web.get("/", handler)))["paths"]["/"]["get"]["security"]

    said = [
        document(auth.public(new_handler())),
        document(auth.optional(new_handler())),
        document(new_handler()),
        document(auth.protected(scopes={"a"})(new_handler())),
        document(auth.protected(scopes={"b"})(new_handler())),
        document(auth.protected(permissions={"c"})(new_handler())),
    ]
    assert len({json.dumps(each) for each in said}) == len(said)


def test_what_nothing_protects_is_listed_and_nothing_is_said_about_who_may_call_it() -> None:
    root = web.Application()
    root.router.add_get("/open", new_handler())
    root.add_subapp("/child", guarded(web.get("/", reports)))
    document = valid(auth.openapi(root))
    assert "security" not in document["paths"]["/open"]["get"]
    assert names(document, "/child/")


def test_there_is_no_document_without_setup_and_none_of_swagger() -> None:
    app = web.Application()
    app.router.add_get("/", auth.protected(new_handler()))
    with pytest.raises(RuntimeError, match=r"auth\.setup"):
        auth.openapi(app)
    with pytest.raises(ValueError, match="add_security"):
        auth.openapi(guarded(web.get("/", reports)), {"swagger": "2.0"})


def test_it_is_the_same_in_every_process() -> None:
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); sys.path.insert(0, sys.argv[2])\n"
        "from aiohttp import web; from hello import auth; from support.openapi import guarded\n"
        "class View(web.View):\n"
        "    async def get(self): ...\n"
        "    async def post(self): ...\n"
        "    async def patch(self): ...\n"
        "asked = auth.protected(scopes={'a', 'b', 'c'}, permissions={'d', 'e'})\n"
        "print(json.dumps(auth.openapi(guarded(web.view('/', asked(View))))))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program, str(PROJECT), str(PROJECT / "tests")],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
