"""Applications whose OpenAPI documents are read, and what is in these documents."""

from typing import Any

from aiohttp import web
from openapi_spec_validator import validate

from hello import auth

ISSUER = "https://id.example.com/"
DISCOVERY = "https://id.example.com/.well-known/openid-configuration"


def guarded(*routes: web.AbstractRouteDef, validator: Any = None, **setup: Any) -> web.Application:
    """An application that is protected."""
    app = web.Application()
    if validator is None:
        validator = auth.TokenValidator(issuer=ISSUER, audience="api")
    auth.setup(app, validator, **setup)
    app.add_routes(routes)
    return app


def valid(document: dict[str, Any]) -> dict[str, Any]:
    """The document, if it is one as its version of OpenAPI or Swagger says."""
    validate(document)
    return document


def foreign(version: str, *operations: tuple[str, str], **members: Any) -> dict[str, Any]:
    """A document of another library, which describes operations without saying who may call them.

    `members` are those of each operation.
    """
    paths: dict[str, Any] = {}
    for method, path in operations:
        names = [name.strip("{}") for name in path.split("/") if name.startswith("{")]
        form = {"type": "string"} if version == "2.0" else {"schema": {"type": "string"}}
        paths.setdefault(path, {})[method] = {
            "responses": {"200": {"description": "Yes."}},
            "parameters": [
                {"name": name, "in": "path", "required": True, **form} for name in names
            ],
            **members,
        }
    kind = "swagger" if version == "2.0" else "openapi"
    return {kind: version, "info": {"title": "Theirs", "version": "1"}, "paths": paths}


def names(document: dict[str, Any], path: str, method: str = "get") -> list[dict[str, list[str]]]:
    """What an operation says about its security."""
    said: list[dict[str, list[str]]] = document["paths"][path][method]["security"]
    return said


def answers(document: dict[str, Any], path: str, method: str = "get") -> set[str]:
    """For which statuses an operation has an answer."""
    return set(document["paths"][path][method]["responses"])


def resolved(document: dict[str, Any], path: str, status: str, method: str = "get") -> Any:
    """An answer of an operation, wherever in the document it is."""
    return referred(document, document["paths"][path][method]["responses"][status])


def referred(document: dict[str, Any], part: dict[str, Any]) -> Any:
    """A part of a document, or what it refers to."""
    there: Any = document
    for name in part["$ref"].removeprefix("#/").split("/") if "$ref" in part else ():
        there = there[name]
    return there if "$ref" in part else part
