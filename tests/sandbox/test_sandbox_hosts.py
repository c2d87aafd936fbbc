"""By which names can the sandbox's issuer be asked, so that no page elsewhere gets at it?"""

import asyncio

import pytest

from hello.sandbox.issuer import Issuer
from support.api import Client
from support.token_endpoint import (
    FORM,
    TOKEN,
    form,
)

FOREIGN = (
    "",
    "evil.example",
    "evil.example:6061",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.nip.io",
    "192.168.1.7:6061",
    "0.0.0.0:6061",
    "[::]:6061",
    "[2001:db8::1]:6061",
    "127.1",
    "2130706433",
    "::1",
    "[::1",
    "[::1].evil.example",
    "[localhost]",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost, evil.example",
    "localhost/",
    "localhost:port",
    "localhost:6061:6061",
    ".",
    "local host",
    "\u017f.localhost",
    "issuer.localhost:6061",
    "evil.localhost",
    "\xe9",
)
OWN = (
    "localhost",
    "localhost:",
    "localhost:6061",
    "LocalHost:6061",
    "127.0.0.1",
    "127.0.0.1:6061",
    "127.8.8.8:6061",
    "[::1]",
    "[::1]:6061",
)


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_page_that_was_rebound_to_this_machine_gets_nothing(
    client: Client, own: Issuer, host: str
) -> None:
    headers = {"Host": host, "Content-Type": FORM, "Origin": f"http://{host}"}
    for method, path in {
        "POST": TOKEN,
        "GET": "/authorize",
        "HEAD": "/.well-known/jwks.json",
        "OPTIONS": TOKEN,
        "PUT": "/nowhere",
    }.items():
        async with client.request(method, path, data=form(), headers=headers) as response:
            assert response.status == 421
            if method != "HEAD":
                assert (await response.json())["error"] == "invalid_request"
    assert not own.requests


@pytest.mark.parametrize("host", OWN)
async def test_every_name_of_this_machine_will_do(client: Client, host: str) -> None:
    headers = {"Host": host, "Content-Type": FORM}
    async with client.post(TOKEN, data=form(), headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_request_without_a_host_is_refused(client: Client, version: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /.well-known/jwks.json HTTP/%b\r\nConnection: close\r\n\r\n" % version)
    assert (await reader.read()).split(b" ")[1] in (b"400", b"421")
    writer.close()
    await writer.wait_closed()
