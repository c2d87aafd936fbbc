"""Do the names of some issuers that take long to look up keep the keys of others waiting?"""

import asyncio
import socket
import threading
from typing import Any

import pytest

from hello.auth import TokenValidator, TrustedIssuer
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.validators import presented, reason_for

SLOW = [f"https://slow{number}.example.com/" for number in range(40)]


async def test_slow_names_keep_nobody_else_waiting(
    issuer: Issuer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event loop has a few threads for lookups only, whoever they are for."""
    go_on = threading.Event()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).startswith("slow"):
            assert go_on.wait(60)
            raise socket.gaierror
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = issuer.url.replace("127.0.0.1", "localhost")
    issuer.url = url
    trusted = [TrustedIssuer(issuer=name, audience=AUDIENCE) for name in (*SLOW, url)]
    validator = TokenValidator(issuers=trusted, jwks_timeout=20, clock=clock)
    waiting = [
        asyncio.create_task(reason_for(validator, issuer.mint(claims={"iss": name})))
        for name in SLOW
    ]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(30):
            await validator.validate(presented(issuer.mint()))
    finally:
        go_on.set()
    assert set(await asyncio.gather(*waiting)) == {"keys_unavailable"}
