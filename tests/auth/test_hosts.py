"""Do all who read which host a request names read the same (RFC 9112 §3.2)?"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from hello import auth
from hello.auth.reading.request import host_of
from hello.connections import Runner
from hello.responses import errors_as_json
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE

A, B = "a.example", "b.example"


class Tenants(NamedTuple):
    """Two tenants at two hosts of one application, each with an audience of its own."""

    port: int
    issuer: Issuer

    async def ask(self, target: str, *hosts: str, tenant: str, version: str = "1.1") -> int:
        """The status of a request with a tenant's token."""
        token = self.issuer.mint(claims={"aud": f"{AUDIENCE}/{tenant}"})
        lines = [f"GET {target} HTTP/{version}", *(f"Host: {host}" for host in hosts)]
        lines += [f"Authorization: Bearer {token}", "Connection: close", "", ""]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join(lines).encode("utf-8", "surrogateescape"))
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ")[1])


@pytest.fixture
async def tenants(issuer: Issuer) -> AsyncIterator[Tenants]:
    async def resolver(iss: str, host: str) -> auth.TrustedIssuer | None:
        known = {A, B} & {host}
        return auth.TrustedIssuer(issuer=iss, audience=f"{AUDIENCE}/{host}") if known else None

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, auth.TokenValidator(issuers=resolver))
    for host in (A, B):
        child = web.Application()
        child.router.add_get("/x", answer)
        app.add_domain(host, child)
    app.router.add_get("/by-default", answer)  # for every host
    runner = Runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Tenants(runner.addresses[0][1], issuer)
    await runner.cleanup()


@pytest.mark.parametrize(
    ("target", "hosts", "own", "others"),
    [
        ("/x", [A], 200, 401),
        ("/x", [B], 401, 200),
        (f"http://{A}/x", [A], 200, 401),
        (f"http://{A.upper()}/x", [A], 200, 401),
        (f"http://{A}:80/x", [A], 200, 401),
        # Whoever reads the target is at another tenant than who reads Host.
        (f"http://{B}/x", [A], 400, 400),
        (f"http://{A}/x", [B], 400, 400),
        (f"http://{A}:81/x", [A], 400, 400),
        (f"https://{A}:80/x", [A], 400, 400),
        (f"http://user@{A}/x", [A], 400, 400),
        (f"http://{A}@{B}/x", [A], 400, 400),
        ("/x", [A, B], 400, 400),
        ("/x", [A, A], 400, 400),
        ("/x", [], 400, 400),
        ("/x", [""], 400, 400),
        ("/x", [f"{A},{B}"], 400, 400),
        ("/x", [f"{A}/"], 400, 400),
        ("/x", [f"{A} "], 200, 401),  # white space around a value is not its
        ("/x", [f"{B}@{A}"], 400, 400),
        ("/x", ["a.ex\udcffample"], 400, 400),
        ("/x", ["c.example"], 404, 404),
    ],
)
async def test_a_request_is_for_one_tenant(
    tenants: Tenants, target: str, hosts: list[str], own: int, others: int
) -> None:
    assert await tenants.ask(target, *hosts, tenant=A) == own
    assert await tenants.ask(target, *hosts, tenant=B) == others


@pytest.mark.parametrize("path", ["/x", "/by-default"])
@pytest.mark.parametrize(
    ("host", "found"),
    [(A, True), (A.upper(), True), (f"{A}.", False), (f"{A}.:80", False), ("c.example.", True)],
)
async def test_a_host_is_routed_by_what_it_names_or_not_at_all(
    tenants: Tenants, path: str, host: str, *, found: bool
) -> None:
    """To aiohttp, `a.example.` is another host, so it would find what is for all other hosts."""
    status = await tenants.ask(path, host, tenant=A)
    assert (status != 400) is found


async def test_an_old_client_may_name_no_host(tenants: Tenants) -> None:
    assert await tenants.ask("/x", tenant=A, version="1.0") == 404


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://[::1/x", None),
        ("x", None),
        ("", None),
        ("*", "a.example"),
        ("http:/x", None),
        ("http:///x", None),
    ],
)
def test_a_target_that_is_no_path_names_a_host(target: str, host: str | None) -> None:
    request: Any = SimpleNamespace(
        headers=CIMultiDict({"Host": "a.example"}),
        raw_headers=[(b"Host", b"a.example")],
        version=HttpVersion11,
        raw_path=target,
    )
    assert host_of(request) == host
