"""Does the sandbox's issuer give a client tokens as Auth0 does, and refuse as RFC 6749 says?"""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlencode

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.token_endpoint import (
    ASKED,
    ASKED_BY_HEADER,
    FORM,
    JSON,
    TOKEN,
    as_json,
    basic,
    form,
    published,
    verified,
)

READ, WRITE = "read:admin-messages", "write:admin-messages"


@pytest.fixture
async def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer whose time stands still."""
    permissions = frozenset({READ, WRITE})
    return Issuer(audience=AUDIENCE, permissions=permissions, key=keys[0], clock=clock.time)


async def test_the_metadata_leads_to_the_keys_and_the_token_endpoint(
    client: Client, own: Issuer
) -> None:
    async with client.get("/.well-known/openid-configuration") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        metadata = await response.json()
    assert own.url.endswith("/")
    assert metadata["issuer"] == own.url
    assert metadata["jwks_uri"] == f"{own.url}.well-known/jwks.json"
    assert metadata["token_endpoint"] == f"{own.url}oauth/token"
    assert "client_credentials" in metadata["grant_types_supported"]
    assert set(metadata["token_endpoint_auth_methods_supported"]) >= {
        "client_secret_post",
        "client_secret_basic",
    }
    assert set(metadata["scopes_supported"]) >= {READ, WRITE}


async def test_its_page_does_not_say_for_how_many_apis_it_is(client: Client) -> None:
    async with client.get("/") as response:
        assert "one API" not in await response.text()


async def test_the_key_set_has_the_public_half_and_nothing_else(
    client: Client, keys: list[Key]
) -> None:
    (jwk,) = (await published(client))["keys"]
    assert set(jwk) == {"kty", "use", "alg", "kid", "n", "e"}
    assert (jwk["kty"], jwk["use"], jwk["alg"], jwk["kid"]) == ("RSA", "sig", "RS256", keys[0].kid)


@pytest.mark.parametrize(
    ("content_type", "body", "headers"),
    [
        (FORM, form(), {}),
        (f"{FORM}; charset=UTF-8", form(), {}),
        (FORM, form(unknown="ignored"), {}),
        (FORM, form(scope=""), {}),
        (JSON, as_json(), {}),
        (FORM, urlencode(ASKED_BY_HEADER).encode(), basic(CLIENT_ID, CLIENT_SECRET)),
        (JSON, json.dumps(ASKED_BY_HEADER).encode(), basic(CLIENT_ID, CLIENT_SECRET)),
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        (FORM, urlencode(ASKED_BY_HEADER).encode(), basic("%73andbox", "not%2Da%2Dsecret")),
        (FORM, form(client_secret=OMIT), basic(CLIENT_ID, CLIENT_SECRET)),
        # An empty parameter counts as not sent, so this is one way of authentication.
        (FORM, form(client_secret=""), basic(CLIENT_ID, CLIENT_SECRET)),
    ],
)
async def test_a_client_gets_a_token_like_auth0s(
    client: Client,
    own: Issuer,
    clock: FakeClock,
    content_type: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    headers = {**headers, "Content-Type": content_type}
    async with client.post(TOKEN, data=body, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Pragma"] == "no-cache"
        answer = await response.json()
    token = await verified(client, answer.pop("access_token"))
    assert answer == {"token_type": "Bearer", "expires_in": 86400}
    assert token.header == {"alg": "RS256", "typ": "JWT", "kid": own.key.kid}
    assert token.claims == {
        "iss": own.url,
        "sub": f"{CLIENT_ID}@clients",
        "aud": AUDIENCE,
        "iat": int(clock.epoch),
        "exp": int(clock.epoch) + 86400,
        "jti": ANY,
        "azp": CLIENT_ID,
        "permissions": [],
        "gty": "client-credentials",
    }


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (READ, [READ]),
        (f"{WRITE} {READ}", [READ, WRITE]),
        (f" {READ}  {READ} ", [READ]),
        ("read:what-nobody-knows", ["read:what-nobody-knows"]),
    ],
)
@pytest.mark.parametrize("encode", [form, as_json])
async def test_a_scope_that_was_asked_for_is_granted_as_permissions(
    client: Client, encode: Callable[..., bytes], asked: str, given: list[str]
) -> None:
    headers = {"Content-Type": FORM if encode is form else JSON}
    async with client.post(TOKEN, data=encode(scope=asked), headers=headers) as response:
        assert response.status == 200
        answer = await response.json()
    token = await verified(client, answer["access_token"])
    assert answer["scope"] == token.claims["scope"] == " ".join(given)
    assert token.claims["permissions"] == given


@pytest.mark.parametrize("audience", [OMIT, ""])
@pytest.mark.parametrize(("asked", "given"), [(OMIT, {}), ("b a", {"scope": "a b"})])
@pytest.mark.parametrize("encode", [form, as_json])
async def test_a_client_that_names_no_audience_gets_an_opaque_token(
    client: Client, encode: Callable[..., bytes], asked: str, given: dict[str, str], audience: str
) -> None:
    headers = {"Content-Type": FORM if encode is form else JSON}
    body = encode(audience=audience, scope=asked)
    async with client.post(TOKEN, data=body, headers=headers) as response:
        assert response.status == 200
        answer = await response.json()
    token = answer.pop("access_token")
    assert len(token) >= 32
    assert "." not in token
    assert answer == {"token_type": "Bearer", "expires_in": 86400, **given}


INVALID_REQUESTS: list[Any] = [
    (FORM, form(grant_type=OMIT), {}),
    (FORM, form(grant_type=""), {}),
    (FORM, form() + b"&grant_type=client_credentials", {}),
    (FORM, form() + b"&scope=a&scope=a", {}),
    (FORM, form() + b"&unknown=&unknown=", {}),
    (FORM, form() + b"&unknown=\xff", {}),
    (FORM, form(), basic(CLIENT_ID, CLIENT_SECRET)),
    (JSON, as_json(), basic(CLIENT_ID, CLIENT_SECRET)),
    ("text/plain", form(), {}),
    ("", form(), {}),
    ("multipart/form-data; boundary=x", b"--x--\r\n", {}),
    (JSON, as_json(grant_type=OMIT), {}),
    (JSON, as_json(grant_type=""), {}),
    (JSON, b"[]", {}),
    (JSON, b"null", {}),
    (JSON, b'"client_credentials"', {}),
    (JSON, b"", {}),
    (JSON, as_json()[:-1], {}),
    (JSON, b"\xff" + as_json(), {}),
    (JSON, as_json(scope=None), {}),
    (JSON, as_json(scope=1), {}),
    (JSON, as_json(scope=[READ]), {}),
    (JSON, as_json(client_secret={"$ne": ""}), {}),
]
INVALID_CLIENTS: list[Any] = [
    (FORM, b"", {}),
    (FORM, form(client_id=OMIT), {}),
    (FORM, form(client_secret=OMIT), {}),
    (FORM, form(client_id="somebody"), {}),
    (FORM, form(client_secret="wrong"), {}),
    (FORM, form(client_secret="sécret"), {}),
    (FORM, form(client_secret=f"{CLIENT_SECRET}\0"), {}),
    (FORM, form(client_id=f"{CLIENT_ID}:{CLIENT_SECRET}", client_secret=OMIT), {}),
    (JSON, as_json(client_secret="sécret"), {}),
    (JSON, b"{}", {}),
    *(
        (FORM, urlencode(ASKED_BY_HEADER).encode(), headers)
        for headers in [
            basic(CLIENT_ID, "wrong"),
            basic(CLIENT_ID, "sécret"),
            basic(CLIENT_ID, "%ff"),
            basic(CLIENT_ID, f"{CLIENT_SECRET}:"),
            {"Authorization": "Basic"},
            {"Authorization": ""},
            {"Authorization": "Basic not base64!"},
            {"Authorization": "Basic sécret"},
            {"Authorization": basic(CLIENT_ID, CLIENT_SECRET)["Authorization"].replace("b", "!b")},
            {"Authorization": f"Basic {b64encode(CLIENT_ID.encode()).decode()}"},
            {"Authorization": f"Basic {b64encode(bytes([0xFF, 0xFE])).decode()}"},
            {"Authorization": basic(CLIENT_ID, CLIENT_SECRET)["Authorization"][6:]},
            {"Authorization": f"Bearer {basic(CLIENT_ID, CLIENT_SECRET)['Authorization'][6:]}"},
        ]
    ),
]
OTHERS: list[Any] = [
    *((FORM, form(grant_type=name), {}) for name in ["password", "implicit", "CLIENT_CREDENTIALS"]),
    (JSON, as_json(grant_type="password"), {}),
]
NO_SCOPES: list[Any] = [
    (FORM, form(scope='"read"'), {}),
    (FORM, form(scope=f"{READ} a\\b"), {}),
    (FORM, form(scope=f"{READ},{WRITE}"), {}),
    (FORM, form(scope="l\u00e9s"), {}),
    (FORM, form(scope="a\0"), {}),
    (FORM, form(scope="a\u00a0b"), {}),
    (FORM, form(scope="a\r\nb"), {}),
    (JSON, as_json(scope="\ud800"), {}),
]


@pytest.mark.parametrize(
    ("error", "status", "content_type", "body", "headers"),
    [
        *(("invalid_request", 400, *row) for row in INVALID_REQUESTS),
        *(("invalid_client", 401, *row) for row in INVALID_CLIENTS),
        *(("unsupported_grant_type", 400, *row) for row in OTHERS),
        *(("invalid_scope", 400, *row) for row in NO_SCOPES),
    ],
)
async def test_a_refusal_has_the_form_of_rfc_6749(
    client: Client,
    error: str,
    status: int,
    content_type: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    headers = {"Content-Type": content_type, **headers}
    async with client.post(TOKEN, data=body, headers=headers) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Pragma"] == "no-cache"
        challenge = 'Basic realm="sandbox"' if status == 401 else None
        assert response.headers.get("WWW-Authenticate") == challenge
        answer = await response.json()
    assert set(answer) == {"error", "error_description"}
    assert answer["error"] == error
    assert answer["error_description"].isascii()  # RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E
    assert not set(answer["error_description"]) & set('"\\')


@pytest.mark.parametrize(
    ("content_type", "body", "headers"),
    [
        (JSON, b"[" * 100_000, {}),
        (JSON, b'{"a":' * 100_000, {}),
        (JSON, b"9" * 5_000, {}),
        (JSON, as_json().decode().encode("utf-16"), {}),
        (f"{JSON}; charset=utf-16", as_json(), {}),
        (f"{JSON}; charset=nonsense", as_json(), {}),
        (f"{JSON}; charset=zlib", as_json(), {}),
        (f"{JSON}; charset=punycode", b"\xff", {}),
        (JSON, as_json(client_secret="x\udcff"), {}),
        (JSON, as_json(audience="\ud800"), {}),
        (JSON, as_json(grant_type="\ud800"), {}),
        (JSON, as_json(client_id="\ud800"), {}),
        (JSON, as_json(client_secret="\ud800"), {}),
        (JSON, b"x" * 2_000_000, {}),
        (FORM, b"a=" * 100_000, {}),
        (FORM, b"&".join(b"a%d=" % number for number in range(10_000)), {}),
        (FORM, b"x" * 2_000_000, {}),
        (FORM, form().decode().encode("utf-16"), {}),
        (f"{FORM}; charset=utf-16", form(), {}),
        (f"{FORM}; charset=nonsense", form(), {}),
        (f"{FORM}; charset=zlib", form(), {}),
        ("multipart/form-data", b"--x", {}),
        ("\xe9", form(), {}),
        (FORM, form(), {"Content-Encoding": "gzip"}),
        (FORM, gzip.compress(form())[:20], {"Content-Encoding": "gzip"}),
        (FORM, gzip.compress(b"x" * 9_000_000), {"Content-Encoding": "gzip"}),
    ],
)
async def test_a_hostile_request_is_refused_and_is_no_failure_of_ours(
    client: Client, content_type: str, body: bytes, headers: dict[str, str]
) -> None:
    headers = {**headers, "Content-Type": content_type}
    async with client.post(TOKEN, data=BytesIO(body), headers=headers) as response:
        assert 400 <= response.status < 500
        assert response.content_type == "application/json"
        await response.json()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_tokens_are_asked_for_with_post_only(client: Client, method: str) -> None:
    async with client.request(method, TOKEN, params=ASKED) as response:
        assert response.status == 405
        assert "POST" in response.headers["Allow"].split(",")


async def test_what_was_asked_is_counted_by_path(client: Client, own: Issuer) -> None:
    assert not own.requests
    await published(client)
    for body in [form(), form(client_secret="wrong")]:
        async with client.post(TOKEN, data=body, headers={"Content-Type": FORM}):
            pass
    async with client.get(f"{TOKEN}?a=b"), client.get("/nowhere"):
        pass
    assert own.requests == {"/.well-known/jwks.json": 1, TOKEN: 3, "/nowhere": 1}


async def test_it_counts_no_more_paths_than_it_has_room_for(
    client: Client, own: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hello.sandbox.issuer.app._MAX_COUNTED_PATHS", 2)
    for path in ["/a", "/b", "/c", "/a"]:
        async with client.get(path) as response:
            assert response.status == 404
    assert own.requests == {"/a": 2, "/b": 1}
