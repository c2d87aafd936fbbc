"""What does this API's OpenAPI document say that its routes and marks cannot?"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from . import auth
from .tokens.keys.state import State

PATH = "/api/openapi.json"


def serve_document(app: web.Application) -> None:
    """Serve the document of this API, to everybody."""
    auth.serve_openapi(app, PATH, _DOCUMENT)


def _object(**members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has these members and no others."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def _answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _reference(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _get(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {"get": {"responses": answers}}


def _status(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_USABLE = {"state": _status(*State), "usable_until": {"type": "string", "format": "date-time"}}
_KEYS = {"type": "array", "items": _object(**_USABLE) | {"required": ["state"]}}
_MESSAGE = _get({"200": _answer("The message.", _reference("Message"))})

_DOCUMENT = {
    "info": {
        "title": "Hello World API",
        "version": "1.0.0",
        "description": "Three messages: one for everybody, two for those who have an access token.",
    },
    "paths": {
        "/api/messages/public": _MESSAGE,
        "/api/messages/protected": _MESSAGE,
        "/api/messages/admin": _MESSAGE,
        "/livez": _get({"200": _answer("It is alive.", _object(status=_status("live")))}),
        "/readyz": _get(
            {
                "200": _answer("It can.", _reference("Ready")),
                "503": _answer("It cannot, or it is about to stop.", _reference("NotReady")),
            }
        ),
        PATH: _get({"200": _answer("This document.", {"type": "object"})}),
    },
    "components": {
        "schemas": {
            "Message": _object(text={"type": "string"}),
            "Ready": _object(status=_status("ready"), keys=_KEYS),
            "NotReady": _object(status=_status("not_ready", "draining"), keys=_KEYS)
            | {"required": ["status"]},
        }
    },
}
