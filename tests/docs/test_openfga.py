"""Does the page's example ask a real client of OpenFGA who may see an object?"""

import os
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client
from support.pages import example
from support.protecting import status

pytestmark = pytest.mark.skipif(
    find_spec("openfga_sdk") is None and os.environ.get("CI") != "true",
    reason="openfga-sdk is not installed: it is in the extra libraries",
)

STORE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
VIEWERS = {("user:alice", "viewer", "document:plan"): True, ("user:bob", "viewer", "x"): True}


async def check(request: web.Request) -> web.Response:
    """Answer as the server of OpenFGA does."""
    asked = (await request.json())["tuple_key"]
    key = asked["user"], asked["relation"], asked["object"]
    if asked["user"] == "user:mallory":
        raise web.HTTPInternalServerError
    return web.json_response({"allowed": VIEWERS.get(key, False)})


@pytest.fixture
async def client(
    sandbox_issuer: Issuer,
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    monkeypatch: pytest.MonkeyPatch,
) -> Client:
    openfga = web.Application()
    openfga.router.add_post(f"/stores/{STORE}/check", check)
    server = await aiohttp_server(openfga)
    monkeypatch.setenv("FGA_API_URL", str(server.make_url("")).rstrip("/"))
    monkeypatch.setenv("FGA_STORE_ID", STORE)
    names: dict[str, Any] = {"__name__": "my_api"}
    exec(compile(example("hello/docs/own-project.md", "openfga"), "page", "exec"), names)
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer=sandbox_issuer.url, audience=AUDIENCE))
    app.add_routes(names["documents"])
    app.cleanup_ctx.append(names["connect_openfga"])
    return await aiohttp_client(ApiServer(app))


@pytest.mark.parametrize(
    ("subject", "path", "expected"),
    [
        ("alice", "/documents/plan", 200),
        ("alice", "/documents/other", 403),
        ("bob", "/documents/plan", 403),
        ("mallory", "/documents/plan", 403),  # the server fails
    ],
)
async def test_only_who_may_view_a_document_gets_it(
    client: Client, sandbox_issuer: Issuer, subject: str, path: str, expected: int
) -> None:
    token = sandbox_issuer.mint(claims={"sub": subject, "aud": AUDIENCE})
    assert await status(client, token, path) == expected
