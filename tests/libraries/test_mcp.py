"""Can an endpoint for agents (MCP), which a library adds, require a permission?"""

from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.libraries import ORDERS, in_order, library, outcome, said, usual_routes

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def aiohttp_mcp(app: web.Application) -> None:
    theirs = library("aiohttp_mcp")
    mode = theirs.TransportMode.STREAMABLE_HTTP
    theirs.setup_mcp_subapp(app, theirs.AiohttpMCP(), transport_mode=mode, json_response=True)


def tiny_mcp(app: web.Application) -> None:
    theirs = library("aiohttp_tiny_mcp")
    app.add_routes(theirs.Endpoint(theirs.Registry("reports", "1")).routes("/mcp"))


ADDING: dict[str, Any] = {"aiohttp-mcp": aiohttp_mcp, "aiohttp-tiny-mcp": tiny_mcp}


async def outcomes(app: web.Application, issuer: Issuer) -> tuple[str, list[int], str]:
    """Started and stopped in one task, which aiohttp-mcp needs."""
    admin = issuer.mint(claims={"permissions": ["admin"]})
    statuses, answer = [], ""
    async with Client(ApiServer(app)) as client:
        for token in (None, "not.a.token", issuer.mint(), admin):
            headers = {"Accept": "application/json, text/event-stream"}
            headers |= bearer(token) if token else {}
            async with client.post("/mcp", json=INITIALIZE, headers=headers) as response:
                statuses.append(response.status)
                answer = await response.text()
        return await outcome(client, issuer), statuses, answer


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ADDING)
async def test_an_endpoint_requires_a_permission(
    validator: auth.TokenValidator, issuer: Issuer, order: str, name: str
) -> None:
    app = web.Application()
    in_order(order, lambda: auth.setup(app, validator), lambda: ADDING[name](app))
    auth.protect_paths(app, "/mcp", permissions={"admin"})
    app.add_routes(usual_routes())
    of_usual_routes, statuses, answer = await outcomes(app, issuer)
    assert of_usual_routes == said(name)[1 + ORDERS.index(order)]
    assert statuses == [401, 401, 403, 200]
    assert "serverInfo" in answer
