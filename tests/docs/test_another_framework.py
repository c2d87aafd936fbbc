"""Does the page's example protect an application of another framework?"""

import json
from typing import Any

import pytest
from starlette.applications import Starlette

from hello.sandbox.issuer import Issuer
from hello.tokens import TokenValidator
from support.pages import example

PAGE = "hello/docs/own-project.md"


@pytest.fixture
def app(sandbox_issuer: Issuer) -> Starlette:
    """The example's application, with an issuer that is up."""
    code = example(PAGE, "starlette").replace(
        "https://dev-abc123.eu.auth0.com/", sandbox_issuer.url
    )
    names: dict[str, Any] = {}
    exec(compile(code, PAGE, "exec"), names)
    assert isinstance(names["validator"], TokenValidator)
    application: Starlette = names["app"]
    return application


async def ask(app: Starlette, *authorization: str) -> tuple[int, dict[bytes, bytes], Any]:
    """Send one request to an ASGI application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/reports",
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "server": ("a.example", 80),
        "headers": [
            (b"host", b"a.example"),
            *((b"authorization", value.encode()) for value in authorization),
        ],
    }
    await app(scope, receive, send)
    start, *bodies = sent
    body = b"".join(message.get("body", b"") for message in bodies)
    return start["status"], dict(start["headers"]), json.loads(body)


async def test_a_request_with_what_is_required_is_answered(
    app: Starlette, sandbox_issuer: Issuer
) -> None:
    token = sandbox_issuer.mint(claims={"sub": "alice", "permissions": ["read:reports"]})
    status, _, body = await ask(app, f"Bearer {token}")
    assert (status, body) == (200, {"for": "alice"})


@pytest.mark.parametrize(
    ("claims", "copies", "status", "message"),
    [
        ({}, 0, 401, "Requires authentication"),
        ({}, 1, 403, "Permission denied"),
        ({"permissions": ["read:reports"]}, 2, 401, "Bad credentials"),
        ({"permissions": ["read:reports"], "aud": "another"}, 1, 401, "Bad credentials"),
        ({"permissions": ["read:reports"], "exp": 1}, 1, 401, "Bad credentials"),
    ],
)
async def test_every_other_request_is_refused_as_the_contract_says(
    app: Starlette,
    sandbox_issuer: Issuer,
    claims: dict[str, Any],
    copies: int,
    status: int,
    message: str,
) -> None:
    token = sandbox_issuer.mint(claims=claims)
    got, headers, body = await ask(app, *[f"Bearer {token}"] * copies)
    assert (got, body) == (status, {"message": message})
    assert headers[b"www-authenticate"].startswith(b'Bearer realm="api"')
