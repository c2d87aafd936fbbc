"""Does the document of another library come to say what the marks say?"""

import json
import re
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.openapi.schemes import BEARER, DPOP, ISSUER
from support.naming import naming
from support.openapi import answers, foreign, guarded, names, resolved, valid
from support.protecting import new_handler

VERSIONS = ["2.0", "3.0.3", "3.1.0"]


def asking(**requirements: Any) -> web.AbstractRouteDef:
    return web.get("/reports/{id}", auth.protected(**requirements)(new_handler()))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_document_is_returned_and_the_old_one_is_as_it_was(version: str) -> None:
    app = guarded(asking(scopes={"a"}))
    old = foreign(version, ("get", "/reports/{id}"))
    before = json.dumps(old)
    new = valid(auth.add_security(old, app))
    assert json.dumps(old) == before != json.dumps(new)
    assert answers(new, "/reports/{id}") == {"200", "401", "403", "503"}
    assert auth.add_security(new, app) == new


@pytest.mark.parametrize(
    ("version", "members", "path"),
    [
        ("2.0", {"basePath": "/v1"}, "/reports/{id}"),
        ("2.0", {"basePath": "/v1/"}, "/reports/{id}"),
        ("2.0", {"basePath": "/"}, "/v1/reports/{id}"),
        ("3.0.3", {"servers": [{"url": "/v1"}]}, "/reports/{id}"),
        ("3.1.0", {"servers": [{"url": "https://api.example.com/v1/"}]}, "/reports/{id}"),
        ("3.1.0", {"servers": [{"url": "/v2"}, {"url": "/v1"}]}, "/reports/{id}"),
        (
            "3.1.0",
            {"servers": [{"url": "/{stage}", "variables": {"stage": {"default": "v1"}}}]},
            "/reports/{id}",
        ),
        # A proxy removes what stands there.
        ("2.0", {"basePath": "/api"}, "/v1/reports/{id}"),
        ("3.1.0", {"servers": [{"url": "https://example.com/api"}]}, "/v1/reports/{id}"),
        ("3.1.0", {}, "/v1/reports/{other_name}"),
    ],
)
def test_a_path_is_found_below_the_base_of_the_document(
    version: str, members: dict[str, Any], path: str
) -> None:
    app = guarded(web.get(r"/v1/reports/{number:\d+}", new_handler()))
    document = foreign(version, ("get", path)) | members
    assert names(valid(auth.add_security(document, app)), path)
    assert auth.openapi_gaps(document, app) == ([], [])


@pytest.mark.parametrize("where", ["path", "operation"])
def test_a_path_and_an_operation_can_have_servers_of_their_own(where: str) -> None:
    app = guarded(web.get("/v1/a", new_handler()), web.get("/v2/a", auth.public(new_handler())))
    document = foreign("3.1.0", ("get", "/a")) | {"servers": [{"url": "/v1"}]}
    item = document["paths"]["/a"]
    (item if where == "path" else item["get"])["servers"] = [{"url": "/v2"}]
    assert names(valid(auth.add_security(document, app)), "/a") == []


def test_numbers_as_names_become_texts_and_what_is_no_path_is_passed_over() -> None:
    document = foreign("3.0.3", ("get", "/reports/{id}"))
    document["paths"]["x-more"] = "get"
    document["paths"]["/reports/{id}"] |= {"summary": "One.", "x-get": {}}
    document["paths"]["/reports/{id}"]["get"]["responses"] = {401: {"description": "Log in."}}
    new = auth.add_security(document, guarded(asking()))
    assert new["paths"].pop("x-more") == "get"
    valid(new)
    assert answers(new, "/reports/{id}") == {"401", "503"}
    refused = resolved(new, "/reports/{id}", "401")
    assert refused["description"] == "Log in."
    assert "WWW-Authenticate" in refused["headers"]
    assert "content" in refused


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_about_an_answer_stays(version: str) -> None:
    old = version == "2.0"
    header = {"type": "string"} if old else {"schema": {"type": "string"}}
    body = {"schema": {"type": "string"}}
    theirs = {
        "description": "Log in.",
        "headers": {"WWW-Authenticate": header},
        **(body if old else {"content": {"text/plain": body}}),
    }
    place = "#/responses/Denied" if old else "#/components/responses/Denied"
    document = foreign(
        version, ("get", "/reports/{id}"), responses={"401": theirs, "403": {"$ref": place}}
    )
    denied = {"responses": {"Denied": {"description": "No."}}}
    document |= denied if old else {"components": denied}
    new = valid(auth.add_security(document, guarded(asking(scopes={"a"}))))
    assert resolved(new, "/reports/{id}", "401") == theirs
    assert resolved(new, "/reports/{id}", "403") == {"description": "No."}


@pytest.mark.parametrize(
    ("version", "scheme"),
    [
        ("3.1.0", {"type": "http", "scheme": "Bearer"}),
        ("3.0.3", {"type": "http", "scheme": "bearer", "bearerFormat": "opaque"}),
        ("2.0", {"type": "apiKey", "in": "header", "name": "authorization"}),
    ],
)
def test_a_scheme_that_is_there_is_not_added_again(version: str, scheme: dict[str, Any]) -> None:
    document = foreign(version, ("get", "/reports/{id}"))
    schemes = {"theirs": scheme}
    old = version == "2.0"
    document |= (
        {"securityDefinitions": schemes} if old else {"components": {"securitySchemes": schemes}}
    )
    new = valid(auth.add_security(document, guarded(asking())))
    parts = new["securityDefinitions"] if old else new["components"]["securitySchemes"]
    assert set(parts) == ({"theirs"} if old else {"theirs", DPOP, ISSUER})
    assert {"theirs": []} in names(new, "/reports/{id}")


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    document = foreign("3.1.0", ("get", "/reports/{id}"))
    other = {"type": "apiKey", "in": "query", "name": "key"}
    document["components"] = {"securitySchemes": {BEARER: other}}
    new = valid(auth.add_security(document, guarded(asking())))
    assert new["components"]["securitySchemes"][BEARER] == other
    assert {f"{BEARER}2": []} in names(new, "/reports/{id}")


SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "proved": {"type": "http", "scheme": "dpop"},
    "basic": {"type": "http", "scheme": "basic"},
    "header": {"type": "apiKey", "in": "header", "name": "Authorization"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "Authorization"},
    "other": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "login": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.com/x"},
    "tls": {"type": "mutualTLS"},
}
EITHER = auth.protected(any_scope=["a", "b"], permissions={"p"})
SCOPES = auth.protected(scopes={"a", "b"})
NO_DPOP = {"dpop": "off"}
ONLY_DPOP = {"dpop": "required"}


@pytest.mark.parametrize(
    ("mark", "written", "options", "agrees"),
    [
        (auth.public, [], {}, True),
        (auth.public, [{}], {}, True),
        (auth.public, [{"token": []}], {}, False),
        (auth.public, [{}, {"token": []}], {}, False),
        (auth.optional, [{}, {"token": []}], {}, True),
        (auth.optional, [{"token": []}, {}], {}, True),
        (auth.optional, [{"token": []}], {}, False),
        (auth.optional, [{}], {}, False),
        (auth.optional, [], {}, False),
        (auth.optional, [{}, {"cookie": []}], {}, False),
        (auth.protected, [{"token": []}], {}, True),
        (auth.protected, [{BEARER: []}], {}, True),
        (auth.protected, [{"header": []}], {}, True),
        (auth.protected, [{"login": []}], {}, True),
        (auth.protected, [{"proved": []}], {}, True),
        (auth.protected, [{"token": [], "other": []}], {}, True),
        (auth.protected, [], {}, False),
        (auth.protected, [{}], {}, False),
        (auth.protected, [{}, {"token": []}], {}, False),
        (auth.protected, [{"basic": []}], {}, False),
        (auth.protected, [{"cookie": []}], {}, False),
        (auth.protected, [{"other": []}], {}, False),
        (auth.protected, [{"tls": []}], {}, False),
        (auth.protected, [{"unknown": []}], {}, False),
        (auth.protected, [{"token": []}, {"other": []}], {}, False),
        (auth.protected, [{"token": ["a"]}], {}, False),
        (auth.protected, [{"login": ["a"]}], {}, False),
        (auth.protected, [{"proved": []}], NO_DPOP, False),
        (auth.protected, [{DPOP: []}], NO_DPOP, False),
        (auth.protected, [{"token": []}], ONLY_DPOP, False),
        (auth.protected, [{"proved": []}], ONLY_DPOP, True),
        (SCOPES, [{"token": []}], {}, True),
        (SCOPES, [{"token": ["b", "a"]}], {}, True),
        (SCOPES, [{"login": ["a", "b"]}], {}, True),
        (SCOPES, [{"login": []}], {}, False),
        (SCOPES, [{"login": ["a"]}], {}, False),
        (SCOPES, [{"token": ["a"]}], {}, False),
        (SCOPES, [{"token": ["a", "b", "c"]}], {}, False),
        (SCOPES, [{"token": ["a", "b"]}, {"login": ["a"]}], {}, False),
        (EITHER, [{"login": ["a"]}], {}, True),
        (EITHER, [{"token": ["a"]}, {"token": ["b", "p"]}], {}, True),
        (EITHER, [{"login": ["a", "b"]}], {}, False),
        (EITHER, [{"token": ["p"]}], {}, False),
    ],
)
def test_security_that_is_written_by_hand_stays_or_is_named(
    mark: Any, written: list[dict[str, list[str]]], options: dict[str, Any], *, agrees: bool
) -> None:
    validator = auth.TokenValidator(issuer="https://id.example.com/", audience="api", **options)
    app = guarded(web.get("/", mark(new_handler())), validator=validator)
    document = foreign("3.1.0", ("get", "/"), security=written)
    document["components"] = {"securitySchemes": SCHEMES}
    if agrees:
        assert names(valid(auth.add_security(document, app)), "/") == written
        return
    with pytest.raises(auth.SecurityContradictionError) as raised:
        auth.add_security(document, app)
    [named] = raised.value.contradictions
    assert named.startswith("GET / ")


def test_a_token_in_a_header_of_its_own_is_in_no_other() -> None:
    app = guarded(web.get("/", new_handler()), header="X-Token")
    right = {"type": "apiKey", "in": "header", "name": "x-token"}
    for scheme, agrees in ((right, True), *((scheme, False) for scheme in SCHEMES.values())):
        document = foreign("3.1.0", ("get", "/"), security=[{"theirs": []}])
        document["components"] = {"securitySchemes": {"theirs": scheme}}
        if agrees:
            assert names(auth.add_security(document, app), "/") == [{"theirs": []}]
        else:
            with pytest.raises(auth.SecurityContradictionError):
                auth.add_security(document, app)


def test_all_contradictions_are_told_at_once() -> None:
    app = guarded(web.get("/a", auth.public(new_handler())), web.get("/b", new_handler()), asking())
    document = foreign("3.1.0", ("get", "/a"), ("get", "/b"), ("get", "/reports/{id}"))
    document["paths"]["/a"]["get"]["security"] = [{BEARER: []}]
    document["paths"]["/b"]["get"]["security"] = []
    for tell in (auth.add_security, lambda document, app: auth.openapi(app, document)):
        with pytest.raises(auth.SecurityContradictionError) as raised:
            tell(document, app)
        told = raised.value.contradictions
        assert [
            re.search(naming(*each), told[number]) is not None
            for number, each in enumerate((["GET /a", "public"], ["GET /b", "a valid token"]))
        ] == [True, True]
        assert len(told) == 2
        assert all(each in str(raised.value) for each in told)


def test_security_of_the_whole_document_is_only_a_default() -> None:
    app = guarded(web.get("/a", auth.public(new_handler())), web.get("/b", new_handler()))
    document = foreign("3.1.0", ("get", "/a"), ("get", "/b")) | {"security": [{"token": []}]}
    document["components"] = {"securitySchemes": SCHEMES}
    new = valid(auth.add_security(document, app))
    assert names(new, "/a") == []
    assert {"token": []} in names(new, "/b")


def test_what_is_in_one_of_both_only_is_told(caplog: pytest.LogCaptureFixture) -> None:
    app = guarded(
        web.get("/both", new_handler()),
        web.get("/route", auth.public(new_handler())),
        web.route("*", "/any", new_handler()),
        web.route("*", "/undocumented", new_handler()),
    )
    document = foreign(
        "3.1.0", ("get", "/both"), ("get", "/operation"), ("post", "/any"), ("post", "/both")
    )
    gaps = auth.openapi_gaps(document, app)
    assert gaps.routes == [("GET", "/route", "public"), ("*", "/undocumented", "a valid token")]
    assert sorted(gaps.operations) == ["GET /operation", "POST /both"]
    assert not caplog.messages
    new = auth.add_security(document, app)
    assert new["paths"]["/operation"] == document["paths"]["/operation"]
    [message] = caplog.messages
    assert re.search(naming("GET /operation"), message)
    assert re.search(naming("POST /both"), message)
    assert caplog.records[0].levelname == "WARNING"


def test_routes_that_nothing_protects_are_left_alone() -> None:
    root = web.Application()
    root.router.add_get("/open", new_handler())
    root.add_subapp("/child", guarded(web.get("/", new_handler())))
    document = foreign("3.1.0", ("get", "/open"), ("get", "/child/"), security=[{"basic": []}])
    del document["paths"]["/child/"]["get"]["security"]
    document["components"] = {"securitySchemes": SCHEMES}
    new = valid(auth.add_security(document, root))
    assert new["paths"]["/open"] == document["paths"]["/open"]
    assert names(new, "/child/")


@pytest.mark.parametrize(
    "document",
    [
        {},
        *(
            {"openapi": version}
            for version in ("4.0.0", "3.1", "3.10.0", "3.1.x", "3.1.0x", "2.0.1")
        ),
        *({"openapi": version} for version in (3, 3.1, None)),
        *({"swagger": version} for version in ("1.2", "2.0 ", "2", 2.0)),
    ],
)
def test_what_is_no_such_document_is_told(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="OpenAPI"):
        auth.add_security(document, guarded())


def test_of_routes_that_look_alike_the_one_with_the_same_names_is_meant() -> None:
    app = guarded(
        web.get(r"/{number:\d+}", auth.public(new_handler())),
        web.get("/{name}", auth.protected(scopes={"a"})(new_handler())),
    )
    document = foreign("3.1.0", ("get", "/{name}"), ("get", r"/{number:\d{1,3}}"), ("get", "/{x}"))
    new = auth.add_security(document, app)
    assert {"bearer": ["a"]} in names(new, "/{name}")
    assert names(new, r"/{number:\d{1,3}}") == names(new, "/{x}") == []
    assert auth.openapi_gaps(document, app) == ([], [])
    [(path, item)] = auth.openapi(app)["paths"].items()
    assert path == "/{number}"
    assert item["get"]["parameters"][0]["schema"]["pattern"] == r"^(?:\d+)$"


@pytest.mark.parametrize("path", ["/ä b", "/%C3%A4%20b", "/%c3%a4 b"])
def test_a_path_may_be_quoted_or_not(path: str) -> None:
    document = foreign("3.1.0", ("get", path))
    assert auth.openapi_gaps(document, guarded(web.get("/ä b", new_handler()))) == ([], [])


def test_methods_of_the_newest_version_are_operations_too() -> None:
    """OpenAPI 3.2 §4.9 has QUERY, and every other method under a name of its own."""
    app = guarded(
        web.route("QUERY", "/a", auth.public(new_handler())),
        web.route("PROPFIND", "/a", new_handler()),
        web.route("*", "/any", new_handler()),
    )
    operation = {"responses": {"200": {"description": "Yes."}}}
    item = {"query": operation, "additionalOperations": {"PROPFIND": operation}}
    old = foreign("3.1.0") | {"paths": {"/any": {"get": operation}}}
    assert auth.openapi_gaps(old, app) == ([], [])  # it cannot have the others
    document = foreign("3.2.0") | {"paths": {}}
    left_out = [route.method for route in auth.openapi_gaps(document, app).routes]
    assert set(left_out) == {"PROPFIND", "QUERY", "*"}
    document["paths"] = {"/a": item, "/any": item}
    for new in (auth.add_security(document, app), auth.openapi(app, document)):
        assert names(new, "/a", "query") == []
        for path, method in (("/a", "PROPFIND"), ("/any", "PROPFIND")):
            assert new["paths"][path]["additionalOperations"][method]["security"]
        assert names(new, "/any", "query")
    assert auth.openapi_gaps(document, app) == ([], [])
    document["paths"]["/a"] = {"QUERY": operation}
    with pytest.raises(ValueError, match="query"):
        auth.add_security(document, app)
