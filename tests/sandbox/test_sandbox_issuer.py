"""Does the sandbox's issuer give a client tokens as Auth0 does, and refuse as RFC 6749 says?"""

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey

from hello.sandbox import issuer
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer, sign
from support.api import AUDIENCE, ApiServer, Client
from support.clock import FakeClock

READ, WRITE = "read:admin-messages", "write:admin-messages"
TOKEN = "/oauth/token"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
ASKED = {
    "grant_type": "client_credentials",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "audience": AUDIENCE,
}
ASKED_BY_HEADER = {"grant_type": "client_credentials", "audience": AUDIENCE}


def form(**changes: str) -> bytes:
    """The usual request with changes; OMIT leaves a parameter out."""
    asked = {**ASKED, **changes}
    return urlencode({name: value for name, value in asked.items() if value is not OMIT}).encode()


def as_json(**changes: Any) -> bytes:
    asked = {**ASKED, **changes}
    return json.dumps({name: value for name, value in asked.items() if value is not OMIT}).encode()


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"}


@pytest.fixture
async def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer whose time stands still."""
    permissions = frozenset({READ, WRITE})
    return Issuer(audience=AUDIENCE, permissions=permissions, key=keys[0], clock=clock.time)


@pytest.fixture
async def client(own: Issuer, aiohttp_client: Callable[[TestServer], Awaitable[Client]]) -> Client:
    """A client of that issuer, which runs as run.py runs it."""
    client = await aiohttp_client(ApiServer(own.app()))
    own.url = str(client.make_url("/"))
    return client


async def published(client: Client) -> dict[str, Any]:
    async with client.get("/.well-known/jwks.json") as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def verified(client: Client, token: str) -> jwt.Token:
    """A token's parts, once its signature is checked with the keys that are published."""
    keys = KeySet.import_key_set(await published(client))  # type: ignore[arg-type]
    return jwt.decode(token, keys, algorithms=["RS256"])


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


INVALID_REQUESTS: list[Any] = [
    (FORM, form(grant_type=OMIT), {}),
    (FORM, form(grant_type=""), {}),
    (FORM, form(audience=OMIT), {}),
    (FORM, form(audience=""), {}),
    (FORM, form(audience="https://elsewhere.example.com"), {}),
    (FORM, form(audience=f"{AUDIENCE}/"), {}),
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


async def test_keys_are_rotated_published_and_withdrawn(
    client: Client, own: Issuer, keys: list[Key]
) -> None:
    async def kids() -> list[str]:
        return [jwk["kid"] for jwk in (await published(client))["keys"]]

    old = own.mint()
    own.rotate(keys[1])
    assert await kids() == [keys[0].kid, keys[1].kid]
    assert (await verified(client, own.mint())).header["kid"] == keys[1].kid
    assert (await verified(client, old)).header["kid"] == keys[0].kid
    own.publish(keys[2])
    own.withdraw(keys[0])
    assert await kids() == [keys[1].kid, keys[2].kid]
    assert (await verified(client, own.mint())).header["kid"] == keys[1].kid
    own.rotate()
    assert own.key.kid not in {key.kid for key in keys}
    assert await kids() == [keys[1].kid, keys[2].kid, own.key.kid]
    assert (await verified(client, own.mint())).header["kid"] == own.key.kid


async def test_a_minted_token_can_be_changed_in_every_part(
    client: Client, own: Issuer, keys: list[Key], clock: FakeClock
) -> None:
    clock.advance(60.9)
    own.publish(keys[1])
    token = await verified(
        client,
        own.mint(
            claims={"sub": "auth0|alice", "gty": OMIT, "azp": OMIT, "nbf": 1},
            header={"typ": OMIT, "cty": "x"},
            key=keys[1],
        ),
    )
    assert token.header == {"alg": "RS256", "kid": keys[1].kid, "cty": "x"}
    assert token.claims == {
        "iss": own.url,
        "sub": "auth0|alice",
        "aud": AUDIENCE,
        "iat": 1_800_000_060,
        "exp": 1_800_086_460,
        "nbf": 1,
        "permissions": [],
    }


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS384"])
def test_a_token_is_signed_as_its_header_says(keys: list[Key], algorithm: str) -> None:
    token = sign({"alg": algorithm}, {"a": "b"}, keys[0])
    any_algorithm = RSAKey.import_key({**keys[0].as_dict(private=False), "alg": algorithm})
    assert jwt.decode(token, any_algorithm, algorithms=[algorithm]).claims == {"a": "b"}


@pytest.mark.parametrize("header", [b"no JSON", b"\xff", {"alg": 1}, {"alg": "unheard-of"}, {}])
def test_what_is_no_header_is_signed_too(keys: list[Key], header: Any) -> None:
    token = sign(header, b"\xff\x00", keys[0])
    assert len(token.split(".")) == 3
    assert len(token.rpartition(".")[2]) == 342  # 256 bytes: signed all the same


FOREIGN = (
    "",
    "evil.example",
    "evil.example:6061",
    "localhost.evil.example",
    "evil-localhost",
    "127.0.0.1.nip.io",
    "192.168.1.7:6061",
    "0.0.0.0:6061",
    "[::]:6061",
    "[2001:db8::1]:6061",
    "127.1",
    "2130706433",
    "::1",
    "[::1",
    "[::1].evil.example",
    "[localhost]",
    "localhost@evil.example",
    "evil.example@localhost",
    "localhost, evil.example",
    "localhost/",
    "localhost:port",
    "localhost:6061:6061",
    ".",
    "local host",
    "\u017f.localhost",
    "\xe9",
)
OWN = (
    "localhost",
    "localhost:",
    "localhost:6061",
    "LocalHost:6061",
    "issuer.localhost:6061",
    "127.0.0.1",
    "127.0.0.1:6061",
    "127.8.8.8:6061",
    "[::1]",
    "[::1]:6061",
)


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_page_that_was_rebound_to_this_machine_gets_nothing(
    client: Client, own: Issuer, host: str
) -> None:
    headers = {"Host": host, "Content-Type": FORM, "Origin": f"http://{host}"}
    for method, path in {
        "POST": TOKEN,
        "GET": "/authorize",
        "HEAD": "/.well-known/jwks.json",
        "OPTIONS": TOKEN,
        "PUT": "/nowhere",
    }.items():
        async with client.request(method, path, data=form(), headers=headers) as response:
            assert response.status == 421
            if method != "HEAD":
                assert (await response.json())["error"] == "invalid_request"
    assert not own.requests


@pytest.mark.parametrize("host", OWN)
async def test_every_name_of_this_machine_will_do(client: Client, host: str) -> None:
    headers = {"Host": host, "Content-Type": FORM}
    async with client.post(TOKEN, data=form(), headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_request_without_a_host_is_refused(client: Client, version: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /.well-known/jwks.json HTTP/%b\r\nConnection: close\r\n\r\n" % version)
    assert (await reader.read()).split(b" ")[1] in (b"400", b"421")
    writer.close()
    await writer.wait_closed()


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
    monkeypatch.setattr(issuer, "_MOST_PATHS", 2)
    for path in ["/a", "/b", "/c", "/a"]:
        async with client.get(path) as response:
            assert response.status == 404
    assert own.requests == {"/a": 2, "/b": 1}
