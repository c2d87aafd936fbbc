"""Does the sandbox's issuer tell clients the truth about itself (RFC 8414, OpenID Discovery)?"""

from typing import Any

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import claims_of, log_in, tokens

ADDRESSES = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


async def metadata(browser: Client, address: str = ADDRESSES[1]) -> dict[str, Any]:
    async with browser.get(address) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        found: dict[str, Any] = await response.json()
        return found


async def test_both_addresses_say_the_same(browser: Client, own: Issuer) -> None:
    """RFC 8414 §3.1: as the issuer has no path, nothing is inserted."""
    first, second = [await metadata(browser, address) for address in ADDRESSES]
    assert first == second
    assert first["issuer"] == own.url


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer with all that it can have."""
    return Issuer(audience=AUDIENCE, registration=True, key=keys[0], clock=clock.time)


async def test_each_address_in_the_metadata_is_there(browser: Client, own: Issuer) -> None:
    found = await metadata(browser)
    urls = {name: url for name, url in found.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(urls) == 8
    for name, url in urls.items():
        path = url.removeprefix(own.url)
        assert path != url
        by_post = name not in ("authorization_endpoint", "end_session_endpoint", "jwks_uri")
        async with browser.request("POST" if by_post else "GET", f"/{path}") as response:
            assert response.status not in (404, 405), name


async def test_what_is_not_supported_and_by_default_would_be_is_said(browser: Client) -> None:
    """OpenID Connect Discovery 1.0 §3: without it, clients may send requests by reference."""
    assert (await metadata(browser))["request_uri_parameter_supported"] is False


async def test_the_claims_of_id_tokens_are_named(browser: Client) -> None:
    _, answer = await tokens(browser, await log_in(browser, organization="org_1"))
    assert claims_of(answer["id_token"]).keys() == {*(await metadata(browser))["claims_supported"]}


@pytest.mark.parametrize("address", ADDRESSES)
async def test_pages_of_the_client_may_read_it(browser: Client, own: Issuer, address: str) -> None:
    async with browser.get(address, headers={"Origin": own.client_origin}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == own.client_origin
