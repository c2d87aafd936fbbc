"""What do the tests of the sandbox share: a client of its issuer."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestServer

from hello.sandbox.issuer import Issuer, issuer_app
from support.api import ApiServer, Client


@pytest.fixture
async def client(own: Issuer, aiohttp_client: Callable[[TestServer], Awaitable[Client]]) -> Client:
    """A client of that issuer, which runs as run.py runs it."""
    client = await aiohttp_client(ApiServer(issuer_app(own)))
    own.url = str(client.make_url("/"))
    return client
