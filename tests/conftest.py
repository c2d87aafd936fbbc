"""What do the tests share: keys, a clock, and servers on real ports."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from joserfc.jwk import Key

from forger import Forger
from hello.app import create_app
from hello.auth import TokenValidator
from hello.auth.jwks import FetchedKeys
from hello.config import Config
from hello.sandbox.issuer import Issuer, new_key
from hello.server import Runner

pytest_plugins = ["hello.sandbox.fixtures", "logging_in", "protecting"]

AUDIENCE = "https://hello-world.example.com"
ORIGIN = "http://localhost:4040"

Client = TestClient[web.Request, web.Application]


@dataclass
class FakeClock:
    """A clock that stands still until it is told to move."""

    epoch: float = 1_800_000_000.0
    uptime: float = 1_000.0

    def time(self) -> float:
        return self.epoch

    def monotonic(self) -> float:
        return self.uptime

    def advance(self, seconds: float) -> None:
        self.epoch += seconds
        self.uptime += seconds


class ApiServer(TestServer):
    """A test server that runs an application just as run.py and gunicorn do."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return Runner(self.app)


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
    issuer.url = str((await aiohttp_server(issuer.app())).make_url("/"))
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


def signing_keys(validator: TokenValidator) -> FetchedKeys:
    """The fetched keys of a validator's only issuer."""
    [known] = validator.issuers.listed
    assert isinstance(known.keys, FetchedKeys)
    return known.keys


def config_for(issuer: Issuer, **environ: str) -> Config:
    """The configuration that trusts an issuer; `environ` adds variables."""
    return Config.from_environ(
        {
            "CLIENT_ORIGIN_URL": ORIGIN,
            "ISSUER_BASE_URL": issuer.url,
            "AUTH0_AUDIENCE": AUDIENCE,
            **environ,
        }
    )


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
