"""How does a library fare beside hello.auth, and what does the page say about it?"""

import importlib
import os
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client
from support.pages import rows_by_id
from support.protecting import status

PAGE = "hello/docs/beside-other-libraries.md"
ORDERS = ["first", "second"]
"""Whether our part is written above the library's: our mark, or auth.setup."""

admins: Any = auth.protected(permissions={"admin"})
Judge = Callable[..., Awaitable[Client]]


def library(name: str) -> Any:
    """A module, or a reason to skip those who ask for it. In CI it has to be there."""
    if os.environ.get("CI") != "true":
        pytest.importorskip(name, reason=f"{name} is missing: pip install -e '.[libraries]'")
    return importlib.import_module(name)


def said(name: str) -> list[str]:
    """What the page says about a library: its version, what becomes of our part in each order.

    A version that has a row of its own is installed apart, by tests/libraries/test_apart.py.
    """
    rows = rows_by_id(PAGE, "libraries")
    apart = f"{name}-{version(name)}".replace(".", "-")
    return rows[apart if apart in rows else name][1:]


async def outcome(client: Client, issuer: Issuer, path: str = "/reports") -> str:
    """What becomes of `admins` at a path, of `auth.public` at /open, and of no mark at /unmarked.

    "ignored" would be a hole; "lost" is refused or a 500.
    """
    admin = issuer.mint(claims={"permissions": ["admin"]})
    let_in = [
        await status(client, token, path) for token in (None, "not.a.token", issuer.mint(), admin)
    ]
    unmarked = [await status(client, token, "/unmarked") for token in (None, issuer.mint())]
    if min(*let_in[:3], unmarked[0]) < 400:
        return "ignored"
    opened = await status(client, path="/open")
    statuses = [*let_in, *unmarked, opened]
    return "kept" if statuses == [401, 401, 403, 200, 401, 200, 200] else f"lost {statuses}"


@pytest.fixture
def judge(issuer: Issuer, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]) -> Judge:
    """Serves an application, and compares what becomes of its marks with the page."""

    async def start(app: web.Application, name: str, order: str, path: str = "/reports") -> Client:
        client = await aiohttp_client(ApiServer(app))
        assert await outcome(client, issuer, path) == said(name)[1 + ORDERS.index(order)]
        return client

    return start


async def answered(_request: web.Request) -> web.Response:
    return web.json_response({})


def usual_routes() -> list[web.RouteDef]:
    """Routes of `outcome`, for a library that has nothing to do with handlers."""
    return [
        web.get("/reports", admins(_copy())),
        web.get("/open", auth.public(_copy())),
        web.get("/unmarked", _copy()),
    ]


def _copy() -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        return await answered(request)

    return handler


def in_order(order: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    """Do both, ours first or second."""
    for each in (ours, theirs) if order == "first" else (theirs, ours):
        each()


def above(order: str, mark: Any, decorator: Any) -> Any:
    """One decorator above the other, the mark on top if it is first."""
    return (
        (lambda handler: mark(decorator(handler)))
        if order == "first"
        else (lambda handler: decorator(mark(handler)))
    )
