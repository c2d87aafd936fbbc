"""Do the examples of hello/docs/own-project.md take the certificate from a proxy alone?"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import Client, bearer
from support.certificates import identity
from support.pages import example
from support.protecting import new_handler

PAGE = "hello/docs/own-project.md"


@pytest.mark.parametrize(("proxy", "status"), [("127.0.0.1", 200), ("10.0.0.7", 401)])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("certificate-header", "create_app_behind_a_proxy"),
        ("certificate-function", "create_app_behind_traefik"),
    ],
)
async def test_the_certificate_comes_from_the_proxy(
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
    tmp_path: Path,
    name: str,
    function: str,
    proxy: str,
    status: int,
) -> None:
    validator = auth.TokenValidator(issuer=sandbox_issuer.url, audience=sandbox_issuer.audience)
    names: dict[str, Any] = {"auth": auth, "web": web, "validator": validator}
    exec(example(PAGE, name).replace("10.0.0.7", proxy), names)
    app = names[function]()
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(app)
    mine, other = identity(tmp_path, "mine"), identity(tmp_path, "other")
    for certificate, expected in [(mine, status), (other, 401)]:
        body = "".join(certificate.pem.splitlines()[1:-1])
        headers = bearer(sandbox_issuer.mint(claims=mine.bound))
        headers |= {"Client-Cert": f":{body}:", "X-Forwarded-Tls-Client-Cert": f"{body},{body}"}
        async with client.get("/", headers=headers) as response:
            assert response.status == expected
    async with client.get("/", headers=bearer(sandbox_issuer.mint(claims=mine.bound))) as response:
        assert response.status == 401  # no certificate at all


async def test_bound_tokens_alone_can_be_asked_for(
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
    tmp_path: Path,
) -> None:
    mine = identity(tmp_path, "mine")
    app = web.Application()
    validator = auth.TokenValidator(
        issuer=sandbox_issuer.url, audience=sandbox_issuer.audience, required_claims={"cnf"}
    )
    auth.setup(app, validator, client_certificate=lambda _request: mine.der)
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(app)
    tokens: list[tuple[dict[str, Any], int]] = [(mine.bound, 200), ({}, 401), ({"cnf": {}}, 401)]
    for claims, status in tokens:
        headers = bearer(sandbox_issuer.mint(claims=claims))
        async with client.get("/", headers=headers) as response:
            assert response.status == status
