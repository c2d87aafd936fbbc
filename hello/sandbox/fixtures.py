"""How does a test get a token, without a tenant and without a network?

Fixtures for your own suite; they need pytest-aiohttp. In your conftest.py:

    pytest_plugins = ["hello.sandbox.fixtures"]

`sandbox_issuer` is an issuer on a real port of this machine. Give its `url` and its `audience` to
your TokenValidator. Its `bearer(permissions=["read:reports"])` returns the headers of a request.
Its `mint` makes a token, valid or not, and its `opaque` one that only it can read; its `revoke`
ends either. A ClientKey is for tokens that are bound to a key.
"""

from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc.jwk import Key

from .client_key import ClientKey
from .issuer import Issuer, issuer_app, new_key

__all__ = ["ClientKey", "Issuer"]


@pytest.fixture(scope="session")
def sandbox_key() -> Key:
    """Return the issuer's signing key. All tests share it: making one takes a tenth of a second."""
    return new_key()


@pytest_asyncio.fixture
async def sandbox_issuer(
    sandbox_key: Key,
    aiohttp_server: Callable[[web.Application], Awaitable[TestServer]],
) -> Issuer:
    """Return a running issuer for the audience `https://api.example.com`."""
    issuer = Issuer(audience="https://api.example.com", key=sandbox_key)
    issuer.url = str((await aiohttp_server(issuer_app(issuer))).make_url("/"))
    return issuer
