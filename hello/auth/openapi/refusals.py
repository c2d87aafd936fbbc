"""Which answers does an application give in place of its handler's, in the words of OpenAPI?"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiohttp import web

from hello.auth.protection import arguments_of
from hello.tokens import InsufficientScopeError, InvalidTokenError, UnauthorizedError
from hello.tokens import UnavailableError as Unavailable

from .schemes import Dialect

Response = dict[str, Any]
"""A Response Object (OpenAPI 3.1 §4.8.17)."""

_CHALLENGE = "WWW-Authenticate"

NAMES = {401: "Unauthorized", 403: "Forbidden", 503: "ServiceUnavailable"}
"""What the responses and their bodies are called among the components of a document."""


class Refusal(NamedTuple):
    """An answer without its body, and the schema of the body, if it is known."""

    response: Response
    body: dict[str, Any] | None

    def with_body(self, schema: Mapping[str, Any], dialect: Dialect) -> Response:
        """Return the answer with its body. `schema` may refer to the one of the body."""
        if dialect is Dialect.SWAGGER_2:
            return self.response | {"schema": schema}
        return self.response | {"content": {"application/json": {"schema": schema}}}


def refusals(app: web.Application, dialect: Dialect) -> dict[int, Refusal]:
    """Return the answers of an application with `setup`, by their status.

    If it makes the bodies itself (`refuse`), nothing is known about them.
    """
    given = arguments_of(app)
    nonces = {} if given.challenges.next_nonce is None else {"DPoP-Nonce": _NONCE}
    told = {
        401: (
            "There is no token, or it is not valid.",
            [UnauthorizedError.message, InvalidTokenError.message],
            {_CHALLENGE: _REQUIRED | {"description": "What to send (RFC 6750 §3)."}, **nonces},
        ),
        403: (
            "The token is valid, but it does not grant enough.",
            [InsufficientScopeError.message],
            {_CHALLENGE: _REQUIRED | {"description": "What it lacks (RFC 6750 §3)."}, **nonces},
        ),
        503: (
            "It is unknown at the moment whether the token is valid.",
            [Unavailable.message],
            {"Retry-After": _SECONDS, **nonces},
        ),
    }
    return {
        status: Refusal(
            {"description": text, "headers": _headers(headers, dialect)},
            None if given.refuse is not None else _body(messages),
        )
        for status, (text, messages, headers) in told.items()
    }


_STRING = {"type": "string"}
_REQUIRED: dict[str, Any] = {"required": True, "schema": _STRING}
_SECONDS: dict[str, Any] = {
    "required": True,
    "description": "After how many seconds to try again.",
    "schema": {"type": "integer", "minimum": 0},
}
_NONCE: dict[str, Any] = {
    "description": "The nonce of the next proof, if the request has the scheme DPoP (RFC 9449 §8).",
    "schema": _STRING,
}


def _headers(headers: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    if dialect is not Dialect.SWAGGER_2:
        return dict(headers)
    return {
        name: {**header["schema"], "description": header["description"]}
        for name, header in headers.items()
    }


def _body(messages: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"message": _STRING | {"enum": messages}},
        "required": ["message"],
        "additionalProperties": False,
    }


def completed(written: Mapping[str, Any], ours: Response) -> Response:
    """Return a hand-written response with what it does not say. What it says stays."""
    if "$ref" in written:
        return dict(written)
    headers = {**ours["headers"], **written.get("headers", {})}
    return {**ours, **written, "headers": headers}
