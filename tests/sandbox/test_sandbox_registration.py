"""Which clients can register themselves (RFC 7591), and what may they do then?"""

import json
from typing import Any

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import CLIENT_ID, OMIT, Issuer
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import ADA, authorize, choose, claims_of, refresh, tokens
from support.token_endpoint import FORM, TOKEN, basic, form

REGISTER = "/oidc/register"
PAGE = "https://app.example.com/callback"
PROGRAM = "http://127.0.0.1:4711/callback"
BY_NAME = "http://localhost:4711/callback"
PUBLIC = {"redirect_uris": [PAGE], "token_endpoint_auth_method": "none"}
INTROSPECT, REVOKE = "/oauth/introspect", "/oauth/revoke"


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer with which clients may register."""
    return Issuer(audience=AUDIENCE, registration=True, key=keys[0], clock=clock.time)


async def register(client: Client, metadata: Any) -> tuple[int, dict[str, Any]]:
    body = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    headers = {"Content-Type": "application/json"}
    async with client.post(REGISTER, data=body, headers=headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def registered(client: Client, **metadata: Any) -> dict[str, Any]:
    status, answer = await register(client, {**PUBLIC, **metadata})
    assert status == 201
    return answer


async def code_for(browser: Client, client_id: str, address: str) -> str:
    page = await authorize(
        browser, client_id=client_id, redirect_uri=address, scope="offline_access"
    )
    assert page.status == 200
    location = (await choose(browser, page, ADA)).headers["Location"]
    assert location.startswith(address)
    return location.partition("code=")[2].partition("&")[0]


async def test_nobody_registers_unless_that_is_switched_on(
    browser: Client, own: Issuer, aiohttp_client: Any, keys: list[Key]
) -> None:
    assert own.metadata()["registration_endpoint"] == f"{own.url}oidc/register"
    from hello.sandbox.issuer import issuer_app  # noqa: PLC0415 - another issuer than `browser`'s

    usual = Issuer(audience=AUDIENCE, key=keys[0])
    assert "registration_endpoint" not in usual.metadata()
    client = await aiohttp_client(issuer_app(usual))
    async with client.post(REGISTER, json=PUBLIC) as response:
        assert response.status == 404


async def test_a_public_client_registers_and_logs_somebody_in(
    browser: Client, clock: FakeClock
) -> None:
    answer = await registered(browser, client_name="<script>", scope="openid", unknown={"a": 1})
    client_id = answer.pop("client_id")
    assert answer == {
        **PUBLIC,
        "client_id_issued_at": int(clock.epoch),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
    code = await code_for(browser, client_id, PAGE)
    status, first = await tokens(browser, code, client_id=client_id, redirect_uri=PAGE)
    assert status == 200
    assert claims_of(first["access_token"])["azp"] == client_id
    assert (await refresh(browser, first["refresh_token"], client_id=client_id))[0] == 200


@pytest.mark.parametrize("method", [OMIT, "client_secret_basic", "client_secret_post"])
async def test_a_client_with_a_secret_must_show_it(browser: Client, method: str) -> None:
    """RFC 6749 §3.2.1. RFC 7591 §2: by default, a client gets a secret."""
    metadata = {"redirect_uris": [PAGE], "token_endpoint_auth_method": method}
    status, client = await register(
        browser, {name: value for name, value in metadata.items() if value is not OMIT}
    )
    assert status == 201
    client_id, secret = client["client_id"], client["client_secret"]
    assert client["client_secret_expires_at"] == 0
    assert client["grant_types"] == ["authorization_code", "refresh_token", "client_credentials"]
    named = {"client_id": client_id, "redirect_uri": PAGE}
    code = await code_for(browser, client_id, PAGE)
    for wrong in ({}, {"client_secret": "guess"}, {"client_secret": f"{secret}x"}):
        status, answer = await tokens(browser, code, **named, **wrong)
        assert (status, answer["error"]) == (401, "invalid_client")
    status, first = await tokens(browser, code, **named, client_secret=secret)
    assert status == 200
    status, answer = await refresh(browser, first["refresh_token"], client_id=client_id)
    assert (status, answer["error"]) == (401, "invalid_client")
    status, answer = await refresh(
        browser, first["refresh_token"], client_id=client_id, client_secret=secret
    )
    assert status == 200


async def test_a_client_with_a_secret_gets_tokens_for_itself(browser: Client) -> None:
    client = await registered(
        browser,
        token_endpoint_auth_method="client_secret_basic",
        redirect_uris=[],
        grant_types=["client_credentials"],
    )
    assert (client["grant_types"], client["response_types"]) == (["client_credentials"], [])
    body = form(client_id=OMIT, client_secret=OMIT)
    headers = {"Content-Type": FORM, **basic(client["client_id"], client["client_secret"])}
    for audience in (AUDIENCE, OMIT):
        body = form(client_id=OMIT, client_secret=OMIT, audience=audience)
        async with browser.post(TOKEN, data=body, headers=headers) as response:
            token = (await response.json())["access_token"]
        async with browser.post(INTROSPECT, data={"token": token}, headers=headers) as response:
            answer = await response.json()
        assert (answer["client_id"], answer["sub"]) == (
            client["client_id"],
            f"{client['client_id']}@clients",
        )
    body = form(client_secret=OMIT)  # it names the sandbox's own client
    async with browser.post(TOKEN, data=body, headers=headers) as response:
        assert (response.status, (await response.json())["error"]) == (401, "invalid_client")
    response = await authorize(browser, client_id=client["client_id"])
    assert response.status == 400


async def test_a_public_client_gets_none_for_itself(browser: Client) -> None:
    client = await registered(browser)
    for changes in ({"client_secret": OMIT}, {"client_secret": "None"}, {}):
        body = form(**{"client_id": client["client_id"], **changes})
        async with browser.post(TOKEN, data=body, headers={"Content-Type": FORM}) as response:
            assert (response.status, (await response.json())["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("registered_uri", "asked", "status"),
    [
        (PAGE, PAGE, 200),
        (PAGE, f"{PAGE}/", 400),
        (PAGE, f"{PAGE}?a=b", 400),
        (PAGE, PAGE.replace(".com", ".com:8443"), 400),
        (PAGE, "http://localhost:4040/callback", 400),
        (PAGE, PROGRAM, 400),
        (PROGRAM, PROGRAM, 200),
        (PROGRAM, "http://127.0.0.1:5151/callback", 200),
        (PROGRAM, "http://127.0.0.1/callback", 200),
        (PROGRAM, "http://127.0.0.1:5151/", 400),
        (PROGRAM, "http://127.0.0.1:5151/callback?a=b", 400),
        (PROGRAM, "http://[::1]:5151/callback", 400),
        (PROGRAM, "http://localhost:4711/callback", 400),
        ("http://[::1]/callback", "http://[::1]:5151/callback", 200),
        (BY_NAME, BY_NAME, 200),
        (BY_NAME, "http://localhost:5151/callback", 400),
    ],
)
async def test_a_registered_client_is_answered_where_it_said(
    browser: Client, registered_uri: str, asked: str, status: int
) -> None:
    """At 127.0.0.1 and [::1] the port does not matter (RFC 8252 §7.3), and all else does."""
    client = await registered(browser, redirect_uris=[registered_uri])
    response = await authorize(browser, client_id=client["client_id"], redirect_uri=asked)
    assert (response.status, "Location" in response.headers) == (status, False)


@pytest.mark.parametrize(
    "address",
    [
        "http://app.example.com/callback",
        "http://192.168.1.7/callback",
        "https://app.example.com/#fragment",
        "https://app.example.com;script-src/",
        "https://app.example.com@evil.example/",
        "https://user:password@app.example.com/",
        r"https://app.example.com\@evil.example/",
        "https://app.example.com/\u2028",
        "https://app.example.com/a b",
        "https://app.example.com/\r\nSet-Cookie: a=b",
        "https:///callback",
        "com.example.app:/callback",
        "javascript:alert(1)",
        "/callback",
        "",
        f"https://app.example.com/{'a' * 2000}",
    ],
)
async def test_an_address_that_may_not_be_the_clients_is_refused(
    browser: Client, address: str
) -> None:
    status, answer = await register(browser, {**PUBLIC, "redirect_uris": [PAGE, address]})
    assert (status, answer["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": [f"{PAGE}{number}" for number in range(11)]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_client_metadata"),
        ({"redirect_uris": PAGE}, "invalid_client_metadata"),
        ({"redirect_uris": [1]}, "invalid_client_metadata"),
        ({"redirect_uris": None}, "invalid_client_metadata"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": None}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata"),
    ],
)
async def test_bad_metadata_is_refused(browser: Client, metadata: Any, error: str) -> None:
    status, answer = await register(browser, {**PUBLIC, **metadata})
    assert (status, answer["error"]) == (400, error)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5000])
async def test_what_is_no_metadata_is_refused(browser: Client, body: bytes) -> None:
    status, answer = await register(browser, body)
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_a_form_is_no_registration(browser: Client) -> None:
    async with browser.post(REGISTER, data={"redirect_uris": PAGE}) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_client_metadata"


async def test_a_flood_of_registrations_is_bounded(browser: Client) -> None:
    """The client that was used least recently must register again; the one at work stays."""
    used, unused = await registered(browser), await registered(browser)
    for _ in range(99):
        await registered(browser)
        page = await authorize(browser, client_id=used["client_id"], redirect_uri=PAGE)
        assert page.status == 200
    page = await authorize(browser, client_id=unused["client_id"], redirect_uri=PAGE)
    assert page.status == 400


async def test_a_registration_of_any_size_is_not_read(browser: Client) -> None:
    async with browser.post(REGISTER, json={**PUBLIC, "client_name": "a" * 20_000}) as response:
        assert response.status == 413


async def test_the_sandboxs_own_client_is_none_that_registers(browser: Client) -> None:
    assert (await registered(browser, client_id=CLIENT_ID))["client_id"] != CLIENT_ID
