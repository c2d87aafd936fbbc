"""What do the tests of live connections share?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hello import auth
from hello.auth.live import connection, watch
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client
from support.clock import FakeClock
from support.live import Live


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second would be half a second for each test."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(connection, "_LEAVE_SECONDS", 0.2)


@pytest.fixture
def issuer(issuer: Issuer, clock: FakeClock) -> Issuer:
    """An issuer in the time of the clock."""
    issuer.clock = clock.time
    return issuer


@pytest.fixture
def revoked() -> set[str]:
    """The subjects whose tokens are revoked."""
    return set()


@pytest.fixture
def validator(issuer: Issuer, clock: FakeClock, revoked: set[str]) -> auth.TokenValidator:
    return auth.TokenValidator(
        issuer=issuer.url,
        audience=AUDIENCE,
        clock=clock,
        revoked=lambda token: token.subject in revoked,
    )


Start = Callable[..., Awaitable[Live]]


@pytest.fixture
def live(
    issuer: Issuer,
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> Start:
    """Serves a feed. `also_from` and what is required are for its mark, the rest for auth.live."""

    async def start(
        also_from: Any = (), setup: Any = None, *, validator: Any = validator, **options: Any
    ) -> Live:
        live = Live(aiohttp_client, issuer)
        live.options = options
        mark = auth.protected(permissions={"read:reports"}, also_from=also_from)
        await live.serve(mark, validator, **(setup or {}))
        return live

    return start
