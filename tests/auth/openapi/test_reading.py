"""Is a document that is not one refused, with the place that is wrong, and no other changed?"""

import json
from datetime import date
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.openapi.schemes import BEARER, DPOP, ISSUER
from support.openapi import answers, foreign, guarded, names, valid
from support.protecting import new_handler

OPERATION: dict[str, Any] = {"responses": {"200": {"description": "Yes."}}}
ITEM: dict[str, Any] = {"get": OPERATION}


def part(*place: str, value: Any) -> dict[str, Any]:
    """A part of a document that has only this value."""
    for name in reversed(place):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def looped() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def of_operation(*place: str, value: Any) -> dict[str, Any]:
    return part("paths", "/a~b", "get", *place, value=value)


WRONG: list[tuple[Any, str]] = [
    ([], "#"),
    (None, "#"),
    ({"paths": None}, "#/paths"),
    ({"paths": []}, "#/paths"),
    (part("paths", "/", value=None), "#/paths/~1"),
    (part("paths", "/", "GET", value=OPERATION), "#/paths/~1/GET"),
    (part("paths", "/", "parameters", value=[None]), "#/paths/~1/parameters/0"),
    (part("paths", "/", "servers", value={}), "#/paths/~1/servers"),
    (of_operation(value=None), "#/paths/~1a~0b/get"),
    (of_operation("security", value=None), "#/paths/~1a~0b/get/security"),
    (of_operation("security", value="bearer"), "#/paths/~1a~0b/get/security"),
    (of_operation("security", value=["bearer"]), "#/paths/~1a~0b/get/security/0"),
    (of_operation("security", value=[{BEARER: "a"}]), f"#/paths/~1a~0b/get/security/0/{BEARER}"),
    (of_operation("security", value=[{"x": [{}]}]), "#/paths/~1a~0b/get/security/0/x/0"),
    (of_operation("responses", value=None), "#/paths/~1a~0b/get/responses"),
    (of_operation("responses", value={401: None}), "#/paths/~1a~0b/get/responses/401"),
    (
        of_operation("responses", "403", "headers", value=7),
        "#/paths/~1a~0b/get/responses/403/headers",
    ),
    (of_operation("responses", value={200: {}, "200": {}}), "#/paths/~1a~0b/get/responses"),
    (of_operation("operationId", value=["a"]), "#/paths/~1a~0b/get/operationId"),
    (of_operation("parameters", value=[{"name": {}}]), "#/paths/~1a~0b/get/parameters/0/name"),
    (of_operation("servers", value=[{}]), "#/paths/~1a~0b/get/servers/0"),
    ({"servers": ["/"]}, "#/servers/0"),
    ({"servers": [{"url": None}]}, "#/servers/0/url"),
    ({"servers": [{"url": "/{a}", "variables": {"a": {}}}]}, "#/servers/0/variables/a"),
    ({"tags": [{"name": ["a"]}]}, "#/tags/0/name"),
    ({"basePath": None}, "#/basePath"),
    ({"swagger": 2.0}, "#/swagger"),
    ({"components": None}, "#/components"),
    (part("components", "schemas", value=[]), "#/components/schemas"),
    (part("components", "securitySchemes", value=None), "#/components/securitySchemes"),
    (part("components", "securitySchemes", "a", value=None), "#/components/securitySchemes/a"),
    (part("securityDefinitions", "a", value="basic"), "#/securityDefinitions/a"),
    ({"x-set": {1}}, "#/x-set"),
    ({"x-more": [float("nan")]}, "#/x-more/0"),
    ({"x-more": looped()}, "#/x-more/0/0/0/0"),
    (part("paths", "/", "$ref", value="#/paths/~1"), "#/paths/~1"),
    (part("paths", "/", "$ref", value="other.yaml#/paths"), "#/paths/~1"),
    (part("paths", "/", "$ref", value="#/components/x"), "#/paths/~1"),
    (part("paths", "/", "$ref", value="#/x-list/1") | {"x-list": [ITEM]}, "#/paths/~1"),
    (part("paths", "/", "$ref", value="#/x-list/a") | {"x-list": [ITEM]}, "#/paths/~1"),
    (part("paths", "/", "$ref", value="#/x-text/a") | {"x-text": "a"}, "#/paths/~1"),
    (part("paths", "/", "$ref", value="#/x-text") | {"x-text": "a"}, "#/paths/~1"),
    (
        part("components", "securitySchemes", "a", value={"$ref": "#/nowhere"}),
        "#/components/securitySchemes/a",
    ),
]


@pytest.mark.parametrize(("document", "place"), WRONG)
def test_what_is_wrong_is_told_with_its_place(document: Any, place: str) -> None:
    app = guarded(web.get("/", new_handler()))
    whole = document if not isinstance(document, dict) else {"openapi": "3.1.0", **document}
    for read in (auth.add_security, auth.openapi_gaps, lambda given, app: auth.openapi(app, given)):
        if whole is None and read not in (auth.add_security, auth.openapi_gaps):
            continue  # no document is given
        with pytest.raises(ValueError, match="OpenAPI") as raised:
            read(whole, app)
        assert place in str(raised.value).split()


def test_yaml_that_grows_without_end_is_refused() -> None:
    grown: Any = "text"
    for _ in range(40):
        grown = {"a": grown, "b": grown}
    with pytest.raises(ValueError, match="1,000,000"):
        auth.add_security({"openapi": "3.1.0", "x-more": grown}, guarded())


def test_dates_of_yaml_become_texts() -> None:
    document = foreign("3.1.0", ("get", "/")) | {"x-since": date(2026, 1, 2), "x-of": (1.5, True)}
    new = auth.add_security(document, guarded(web.get("/", new_handler())))
    assert (new["x-since"], new["x-of"]) == ("2026-01-02", [1.5, True])
    json.dumps(new)


def test_an_operation_that_is_changed_changes_no_other() -> None:
    """As YAML's aliases, and what all operations are given, might."""
    said = {"responses": {"401": {"description": "Log in.", "headers": {}}}}
    document = foreign("3.1.0") | {
        "paths": {path: {"get": said, "put": said} for path in ["/a", "/b"]}
    }
    paths = [web.get(path, new_handler()) for path in ("/a", "/b")]
    for new in (
        auth.add_security(document, guarded(*paths)),
        auth.openapi(guarded(*paths), document),
        auth.openapi(guarded(*paths)),
    ):
        found: set[int] = set()
        count = 0
        left: list[Any] = [new]
        while left:
            value = left.pop()
            if isinstance(value, dict | list):
                count += 1
                found.add(id(value))
                left += value.values() if isinstance(value, dict) else value
        assert len(found) == count
        new["components"]["responses"]["ServiceUnavailable"]["headers"].clear()
        new["info"]["title"] = "Changed"
    again = auth.openapi(guarded(*paths))
    assert again["components"]["responses"]["ServiceUnavailable"]["headers"]
    assert again["info"]["title"] == "API"


@pytest.mark.parametrize("version", ["3.1.0", "3.0.3", "2.0"])
def test_a_path_that_is_somewhere_else_in_the_document_is_put_in_its_place(version: str) -> None:
    document = foreign(version, ("get", "/a"), ("put", "/a")) | {
        "x-items": [{"$ref": "#/paths/~1a"}]
    }
    document["paths"]["/b%20c"] = {"$ref": "#/x%2Ditems/0", "put": OPERATION}
    marked = web.get("/b c", auth.protected(scopes={"b"})(new_handler()))
    app = guarded(web.get("/a", auth.public(new_handler())), marked)
    new = valid(auth.add_security(document, app))
    assert names(new, "/a") == []
    assert names(new, "/b%20c")
    assert new["paths"]["/b%20c"]["put"] == OPERATION
    assert auth.openapi_gaps(document, app).routes == []


def test_a_scheme_that_is_somewhere_else_in_the_document_is_known() -> None:
    document = foreign("3.1.0", ("get", "/"), security=[{"theirs": []}])
    token = {"type": "http", "scheme": "bearer"}
    reference = {"$ref": "#/components/securitySchemes/token"}
    document["components"] = {"securitySchemes": {"theirs": reference, "token": token}}
    new = valid(auth.add_security(document, guarded(web.get("/", new_handler()))))
    assert names(new, "/") == [{"theirs": []}]


def nested(*any_scopes: list[str], scopes: set[str]) -> tuple[web.Application, str]:
    """A route in groups, each of which wants one of several scopes, and its path."""
    app = web.Application()
    app.router.add_get("/", auth.protected(scopes=scopes)(new_handler()))
    for any_scope in any_scopes:
        outer = guarded() if any_scope is any_scopes[-1] else web.Application()
        outer.add_subapp("/x", auth.protected(any_scope=any_scope)(app))
        app = outer
    return app, "/x" * len(any_scopes) + "/"


@pytest.mark.parametrize(
    ("any_scopes", "scopes", "expected"),
    [
        # What another group or the route itself wants is enough.
        ([["a", "b"], ["b", "a"]], set(), [["a"], ["b"]]),
        ([["a", "b"], ["b", "c"]], set(), [["b"], ["a", "c"]]),
        ([["a", "b"]], {"a"}, [["a"]]),
        ([[f"{n}{i}" for i in range(7)] for n in "abcde"], {"s"}, [["s"]]),
    ],
)
def test_each_choice_is_enough_and_no_more(
    any_scopes: list[list[str]], scopes: set[str], expected: list[list[str]]
) -> None:
    app, path = nested(*any_scopes, scopes=scopes)
    said = names(valid(auth.openapi(app)), path)
    for name in (BEARER, DPOP, ISSUER):
        assert sorted(each[name] for each in said if name in each) == sorted(expected)


@pytest.mark.parametrize(
    ("written", "agrees"),
    [
        ([f"{n}3" for n in "abcde"] + ["s"], True),
        ([f"{n}3" for n in "abcde"], False),
        ([f"{n}3" for n in "abcd"] + ["s"], False),
        ([f"{n}3" for n in "abcde"] + ["s", "a4"], False),
        (["s"], False),
    ],
)
def test_a_choice_of_very_many_may_be_written_by_hand(written: list[str], *, agrees: bool) -> None:
    app, path = nested(*([f"{n}{i}" for i in range(20)] for n in "abcde"), scopes={"s"})
    document = foreign("3.1.0", ("get", path), security=[{BEARER: written}])
    if agrees:
        assert names(auth.add_security(document, app), path) == [{BEARER: written}]
    else:
        with pytest.raises(auth.SecurityContradictionError):
            auth.add_security(document, app)


def test_an_id_is_given_to_one_operation_only() -> None:
    """Webhooks and operations without a route have theirs, too."""
    own = {"/elsewhere": {"get": OPERATION | {"operationId": "get_a"}}}
    hooks = {"hook": {"post": OPERATION | {"operationId": "get_b"}}}
    app = guarded(web.get("/a", new_handler()), web.get("/b", new_handler()))
    document = valid(auth.openapi(app, {"paths": own, "webhooks": hooks}))
    assert document["paths"]["/a"]["get"]["operationId"] == "get_a_2"
    assert document["paths"]["/b"]["get"]["operationId"] == "get_b_2"


@pytest.mark.parametrize("where", ["path", "operation"])
@pytest.mark.parametrize("referred", [False, True])
def test_a_parameter_that_is_written_by_hand_is_not_described_again(
    where: str, *, referred: bool
) -> None:
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    parameter = {"$ref": "#/components/parameters/id"} if referred else number
    item: dict[str, Any] = {"get": dict(OPERATION)}
    (item if where == "path" else item["get"])["parameters"] = [parameter]
    own = {"paths": {"/{id}/{other}": item}, "components": {"parameters": {"id": number}}}
    document = valid(auth.openapi(guarded(web.get("/{id}/{other}", new_handler())), own))
    described = document["paths"]["/{id}/{other}"]["get"]["parameters"]
    assert [each.get("name") for each in described if each != parameter] == ["other"]
    assert answers(document, "/{id}/{other}") == {"200", "401", "503"}
