"""Does Authlib, a client that somebody else wrote, work with the sandbox without a special case?"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urljoin

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata  # type: ignore[import-untyped]
from authlib.oidc.discovery import OpenIDProviderMetadata  # type: ignore[import-untyped]
from joserfc.jwk import Key

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, issuer_app
from support.api import AUDIENCE, Client
from support.logging_in import ADA, VERIFIER, claims_of

PROGRAM = "http://127.0.0.1:53682/callback"


@pytest.fixture
async def own(keys: list[Key], aiohttp_client: Callable[..., Awaitable[Client]]) -> Issuer:
    """An issuer that runs, and that tells the real time."""
    issuer = Issuer(audience=AUDIENCE, registration=True, rfc9068=True, key=keys[0])
    issuer.url = str((await aiohttp_client(issuer_app(issuer))).make_url("/"))
    return issuer


def choose(url: str) -> str:
    """Choose who one is at the login page, and return where the browser is sent."""
    with requests.Session() as browser:
        page = browser.get(url)
        found = re.search(r'name="transaction" value="([^"]+)"', page.text)
        assert found
        form = {"transaction": found[1], "person": ADA}
        answer = browser.post(urljoin(url, "/login"), data=form, allow_redirects=False)
        return answer.headers["Location"]


def discover(url: str) -> dict[str, str]:
    for kind, path in (
        (OpenIDProviderMetadata, "openid-configuration"),
        (AuthorizationServerMetadata, "oauth-authorization-server"),
    ):
        metadata = requests.get(f"{url}.well-known/{path}").json()
        kind(metadata).validate()
    found: dict[str, str] = metadata
    return found


def log_in_and_out(url: str) -> None:
    metadata = discover(url)
    asked = {"redirect_uris": [PROGRAM], "token_endpoint_auth_method": "none"}
    client = requests.post(metadata["registration_endpoint"], json=asked).json()
    with OAuth2Session(
        client["client_id"],
        redirect_uri=PROGRAM,
        scope="openid profile offline_access",
        token_endpoint_auth_method="none",
        code_challenge_method="S256",
    ) as session:
        to, state = session.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=VERIFIER, resource=AUDIENCE
        )
        token = session.fetch_token(
            metadata["token_endpoint"],
            authorization_response=choose(to),
            state=state,
            code_verifier=VERIFIER,
            resource=AUDIENCE,
        )
        assert claims_of(token["access_token"])["client_id"] == client["client_id"]
        assert session.get(metadata["userinfo_endpoint"]).json()["sub"] == ADA
        renewed = session.refresh_token(metadata["token_endpoint"])
        assert renewed["access_token"] != token["access_token"]
        ended = session.revoke_token(
            metadata["revocation_endpoint"], renewed["refresh_token"], "refresh_token"
        )
        assert ended.status_code == 200
        assert session.get(metadata["userinfo_endpoint"]).status_code == 401
    with OAuth2Session(CLIENT_ID, CLIENT_SECRET) as own:
        got = own.fetch_token(metadata["token_endpoint"], resource=AUDIENCE, scope="read:reports")
        for text, is_active in ((got["access_token"], True), (renewed["access_token"], False)):
            answer = own.introspect_token(metadata["introspection_endpoint"], text).json()
            assert answer["active"] is is_active


async def test_a_client_that_knows_the_issuer_alone_logs_somebody_in_and_out(
    own: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the sandbox is on this machine
    await asyncio.to_thread(log_in_and_out, own.url)
