"""How does a test get a token, without a tenant and without a network?

Fixtures for your own suite; they need pytest-aiohttp. In your conftest.py:

    pytest_plugins = ["hello.sandbox.fixtures"]

`sandbox_issuer` is an issuer on a real port of this machine. Its `url` and its `audience` are what
your TokenValidator is given, and `mint` makes a token of it, right or wrong.
"""

from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from .issuer import Issuer, new_key

__all__ = ["Issuer"]


@pytest.fixture(scope="session")
def sandbox_key() -> Key:
    """Return what the issuer signs with: once, since it takes a tenth of a second to make."""
    return new_key()


@pytest_asyncio.fixture
async def sandbox_issuer(
    sandbox_key: Key,
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
) -> Issuer:
    """Return an issuer that is up, for the audience `https://api.example.com`."""
    issuer = Issuer(audience="https://api.example.com", key=sandbox_key)
    issuer.url = str((await aiohttp_server(issuer.app())).make_url("/"))
    return issuer
