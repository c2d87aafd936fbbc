"""An application behind a proxy that logs people in: which header has its token?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.answers import challenge
from support.api import ApiServer, Client
from support.logs import reasons
from support.protecting import new_handler

Start = Callable[[ApiServer], Awaitable[Client]]
HEADER = "Cf-Access-Jwt-Assertion"


@pytest.fixture
async def client(validator: auth.TokenValidator, aiohttp_client: Start) -> Client:
    app = web.Application()
    auth.setup(app, validator, header=HEADER, resource="https://api.example.com")
    app.router.add_get("/", new_handler())
    return await aiohttp_client(ApiServer(app))


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ([(HEADER, "{token}")], 200),
        ([(HEADER.upper(), "{token}")], 200),
        ([(HEADER, "Bearer {token}")], 200),
        ([(HEADER, "{token}"), ("Authorization", "Bearer x")], 200),
        ([], "no_credentials"),
        ([(HEADER, "")], "no_credentials"),
        ([(HEADER, "Bearer ")], "malformed"),
        ([("Authorization", "Bearer {token}")], "no_credentials"),
        ([("Cookie", f"{HEADER}={{token}}")], "no_credentials"),
        ([(HEADER, "{token}"), (HEADER, "{token}")], "several_credentials"),
        ([(HEADER, "Basic {token}")], "malformed"),
        ([(HEADER, "{token}, {token}")], "malformed"),
        ([(HEADER, "{token}x")], "malformed"),
    ],
)
async def test_the_token_is_in_that_header_only(
    client: Client,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    headers: list[tuple[str, str]],
    answer: object,
) -> None:
    token = issuer.mint()
    sent = [(name, value.format(token=token)) for name, value in headers]
    async with client.get("/", headers=sent) as response:
        if answer == 200:
            assert response.status == 200
        else:
            assert (response.status, reasons(caplog)) == (401, [f"401 {answer}"])
            assert challenge(response.headers)["realm"] == "api"
    assert token not in caplog.text


async def test_a_query_is_not_read(client: Client, issuer: Issuer) -> None:
    for name in (HEADER, "access_token"):
        async with client.get("/", params={name: issuer.mint()}) as response:
            assert response.status == 401


@pytest.mark.parametrize("header", ["authorization", "AUTHORIZATION"])
async def test_the_usual_header_in_other_letters_is_the_usual_header(
    validator: auth.TokenValidator, aiohttp_client: Start, issuer: Issuer, header: str
) -> None:
    app = web.Application()
    auth.setup(app, validator, header=header, resource="https://api.example.com")
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for value, expected in ((f"Bearer {issuer.mint()}", 200), (issuer.mint(), 401)):
        async with client.get("/", headers={"Authorization": value}) as response:
            assert response.status == expected
    assert (await metadata(client))["bearer_methods_supported"] == ["header"]


async def test_no_method_of_rfc_6750_is_announced_for_it(client: Client) -> None:
    assert "bearer_methods_supported" not in await metadata(client)


async def metadata(client: Client) -> dict[str, Any]:
    async with client.get("/.well-known/oauth-protected-resource") as response:
        assert response.status == 200
        members: dict[str, Any] = await response.json()
        return members


@pytest.mark.parametrize(
    "header", ["", "X Y", "X:", "X\r\nY", "é", None, 1, "Cookie", "host", "dpop"]
)
def test_a_header_that_can_carry_no_token(validator: auth.TokenValidator, header: Any) -> None:
    with pytest.raises(ValueError, match="header"):
        auth.setup(web.Application(), validator, header=header)
