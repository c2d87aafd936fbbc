"""What do the tests share: keys, a clock, and servers on real ports."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from hello.app import create_app
from hello.auth import TokenValidator
from hello.config import Config
from hello.sandbox.issuer import Issuer, issuer_app, new_key
from support.api import AUDIENCE, ApiServer, Client, config_for
from support.clock import FakeClock
from support.forger import Forger

pytest_plugins = [
    "support.checking",
    "hello.sandbox.fixtures",
    "support.logging_in",
    "support.protecting",
    "support.libraries",
    "support.spans",
    "support.redis_server",
]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def keys() -> list[Key]:
    """RSA keys of 2048 bits: each takes a tenth of a second to make, so there are only three."""
    return [new_key() for _ in range(3)]


@pytest.fixture
async def issuer(
    keys: list[Key],
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
) -> Issuer:
    """An issuer that is up, in real time."""
    issuer = Issuer(audience=AUDIENCE, key=keys[0])
    issuer.url = str((await aiohttp_server(issuer_app(issuer))).make_url("/"))
    return issuer


@pytest.fixture
def forger(issuer: Issuer, keys: list[Key]) -> Forger:
    """A forger, and an issuer that publishes two keys."""
    issuer.publish(keys[1])
    return Forger(issuer=issuer, other=keys[1], attacker=keys[2])


@pytest.fixture
def validator(issuer: Issuer) -> TokenValidator:
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE)


@pytest.fixture
def config(issuer: Issuer) -> Config:
    return config_for(issuer)


@pytest.fixture
async def api(config: Config, aiohttp_client: Callable[[TestServer], Awaitable[Client]]) -> Client:
    """A client of the API, whose issuer is up."""
    return await aiohttp_client(ApiServer(create_app(config)))
