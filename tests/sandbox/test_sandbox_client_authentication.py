"""Which client can authenticate to the sandbox's issuer with a key, and who is refused?"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT, Issuer, base64url, sign
from hello.sandbox.issuer.signing import changed
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import log_in, refresh, tokens
from support.token_endpoint import TOKEN, basic

INTROSPECT = "/oauth/introspect"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NOW = 1_800_000_000
ENDPOINTS: dict[str, dict[str, str]] = {
    INTROSPECT: {"token": "nonsense"},
    TOKEN: {"grant_type": "client_credentials", "audience": AUDIENCE},
}

on_each_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer that knows a key of its client."""
    issuer = Issuer(audience=AUDIENCE, key=keys[0], clock=clock.time)
    issuer.register_client_key(keys[1])
    return issuer


def assertion(
    own: Issuer, key: Key, *, header: Mapping[str, Any] | None = None, **claims: Any
) -> str:
    """The usual assertion, with changes; OMIT leaves a member out."""
    usual = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": own.url, "exp": NOW + 60, "jti": "1"}
    return sign(changed({"alg": "RS256", "typ": "JWT"}, header), changed(usual, claims), key)


async def ask(
    client: Client,
    path: str,
    text: str,
    changes: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    form = {**ENDPOINTS[path], "client_assertion_type": TYPE, "client_assertion": text}
    async with client.post(path, data=changed(form, changes), headers=headers) as response:
        assert response.headers["Cache-Control"] == "no-store"
        return response.status, await response.json()


async def refused(client: Client, path: str, text: str, **changes: str) -> bool:
    """Whether an assertion is no authentication, and the answer repeats nothing of it."""
    status, answer = await ask(client, path, text, changes)
    if status == 200:
        return False
    assert (status, answer["error"]) == (401, "invalid_client")
    assert answer.keys() == {"error", "error_description"}
    # RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E
    assert answer["error_description"].isascii()
    assert answer["error_description"].isprintable()
    assert not set(answer["error_description"]) & set('"\\')
    return True


@pytest.mark.parametrize("endpoint", ["token", "introspection"])
async def test_the_metadata_names_the_method_and_its_algorithms(
    browser: Client, endpoint: str
) -> None:
    async with browser.get("/.well-known/openid-configuration") as response:
        metadata = await response.json()
    prefix = f"{endpoint}_endpoint_auth"
    assert "private_key_jwt" in metadata[f"{prefix}_methods_supported"]
    algorithms = metadata[f"{prefix}_signing_alg_values_supported"]
    assert set(algorithms) >= {"RS256", "PS256", "ES256"}
    assert not {name for name in algorithms if name.startswith("HS")} | {"none"} & set(algorithms)


@on_each_endpoint
@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["https://elsewhere.example.com", "{url}"]},
        {"aud": "{endpoint}"},
        {"nbf": NOW},
        {"iat": NOW - 60, "exp": NOW + 0.5},
        {"exp": 10**400},
        {"jti": "\ud800"},
    ],
)
@pytest.mark.parametrize("client_id", [OMIT, CLIENT_ID])
async def test_an_assertion_with_a_registered_key_is_accepted(
    browser: Client, own: Issuer, keys: list[Key], path: str, claims: Any, client_id: str
) -> None:
    written = json.dumps(claims).replace("{url}", own.url)
    written = written.replace("{endpoint}", f"{own.url.rstrip('/')}{path}")
    text = assertion(own, keys[1], **json.loads(written))
    assert not await refused(browser, path, text, client_id=client_id)


KEYS: dict[str, Callable[[], Key]] = {
    "PS256": lambda: RSAKey.generate_key(2048),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_keys_of_other_kinds_are_registered_beside_the_first(
    browser: Client, own: Issuer, keys: list[Key], algorithm: str
) -> None:
    key = KEYS[algorithm]()
    own.register_client_key(OKPKey.generate_key("X25519"))  # which no signature comes from
    own.register_client_key(key)
    text = assertion(own, key, header={"alg": algorithm})
    assert not await refused(browser, INTROSPECT, text)
    assert not await refused(browser, INTROSPECT, assertion(own, keys[1], jti="2"))


def test_only_the_public_part_of_a_key_is_kept(own: Issuer) -> None:
    assert [key.is_private for key in own.client_keys] == [False]


BAD_CLAIMS: list[dict[str, Any]] = [
    *({name: OMIT} for name in ("iss", "sub", "aud", "exp", "jti")),
    *({name: None} for name in ("iss", "sub", "aud", "exp", "nbf", "jti")),
    {"iss": "another"},
    {"sub": "another"},
    {"iss": "another", "sub": "another"},
    {"iss": [CLIENT_ID], "sub": [CLIENT_ID]},
    {"aud": "https://elsewhere.example.com"},
    {"aud": AUDIENCE},
    {"aud": []},
    {"aud": {"a": 1}},
    {"aud": [["a"], {}, 1]},
    {"exp": NOW},
    {"exp": NOW - 1},
    {"exp": -(10**400)},
    {"exp": True},
    {"exp": str(NOW + 60)},
    {"exp": [NOW + 60]},
    {"nbf": NOW + 1},
    {"nbf": True},
    {"nbf": str(NOW)},
    {"jti": ""},
    {"jti": 1},
    {"jti": ["1"]},
    {"jti": {}},
]


@on_each_endpoint
@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=str)
async def test_an_assertion_must_say_who_whom_and_how_long(
    browser: Client, own: Issuer, keys: list[Key], path: str, claims: dict[str, Any]
) -> None:
    assert await refused(browser, path, assertion(own, keys[1], **claims))


async def test_an_assertion_for_one_endpoint_is_not_for_another(
    browser: Client, own: Issuer, keys: list[Key]
) -> None:
    text = assertion(own, keys[1], aud=f"{own.url}oauth/token")
    assert await refused(browser, INTROSPECT, text)


SECRET = OctKey.import_key(CLIENT_SECRET * 3)
FORGED: dict[str, Callable[[Issuer, list[Key]], str]] = {
    "the issuer's key": lambda own, keys: assertion(own, keys[0]),
    "a key that nobody registered": lambda own, keys: assertion(own, keys[2]),
    "the other's kid": lambda own, keys: assertion(own, keys[2], header={"kid": keys[1].kid}),
    "a key that came along": lambda own, keys: assertion(
        own, keys[2], header={"jwk": keys[2].as_dict(private=False)}
    ),
    "the client's secret": lambda own, _: assertion(own, SECRET, header={"alg": "HS256"}),
    "an algorithm that is not on the list": lambda own, keys: assertion(
        own, keys[1], header={"alg": "RS512"}
    ),
    "the right key and another's algorithm": lambda own, _: assertion(
        own, ECKey.generate_key("P-256"), header={"alg": "ES256"}
    ),
    "something critical": lambda own, keys: assertion(own, keys[1], header={"crit": ["exp"]}),
    "something critical of a wrong type": lambda own, keys: assertion(
        own, keys[1], header={"crit": 1}
    ),
    "no signature": lambda own, keys: assertion(own, keys[1]).rpartition(".")[0] + ".",
    "alg none": lambda own, keys: (
        assertion(own, keys[1], header={"alg": "none"}).rpartition(".")[0] + "."
    ),
    "another's signature": lambda own, keys: ".".join(
        [
            *assertion(own, keys[1], jti="2").split(".")[:2],
            assertion(own, keys[1]).rpartition(".")[2],
        ]
    ),
}


@on_each_endpoint
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_an_assertion_that_is_not_signed_with_a_registered_key_is_refused(
    browser: Client,
    own: Issuer,
    keys: list[Key],
    path: str,
    forge: Callable[[Issuer, list[Key]], str],
) -> None:
    assert await refused(browser, path, forge(own, keys))


@pytest.mark.parametrize(
    "alg", [OMIT, None, 1, True, ["RS256"], {"RS256": 1}, "", "rs256", "unheard-of"]
)
async def test_an_assertion_names_an_algorithm_of_the_list(
    browser: Client, own: Issuer, keys: list[Key], alg: Any
) -> None:
    text = assertion(own, keys[1], header={"alg": alg})  # signed with RS256 all the same
    assert await refused(browser, INTROSPECT, text)


async def test_without_a_registered_key_no_assertion_is_good(
    browser: Client, own: Issuer, keys: list[Key]
) -> None:
    own.client_keys.clear()
    assert await refused(browser, INTROSPECT, assertion(own, keys[1]))


HOSTILE: list[bytes] = [
    b"",
    b"null",
    b"1",
    b'"alg"',
    b"[]",
    b'["alg"]',
    b"\xff",
    b"{",
    b"{}{}",
    b'{"a": NaN}',
    b'{"exp": 1e999}',
    b"9" * 5000,
    b"[" * 1000,
    b'{"a":' * 1000,
    b'{"a":' * 1000 + b"1" + b"}" * 1000,
    b'{"a": 1, "a": 2}',
    json.dumps({"\r\n\x1b[31m": "\ud800"}).encode(),
]


@on_each_endpoint
@pytest.mark.parametrize("part", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_assertion_is_refused_and_is_no_failure_of_ours(
    browser: Client,
    own: Issuer,
    keys: list[Key],
    caplog: pytest.LogCaptureFixture,
    path: str,
    part: bytes,
) -> None:
    """Signed with the right key, and each part alone."""
    header, claims, _ = assertion(own, keys[1]).split(".")
    assert await refused(browser, path, sign({"alg": "RS256"}, part, keys[1]))
    assert await refused(browser, path, sign(part, b"{}", keys[1]))
    assert await refused(browser, path, f"{header}.{claims}.{base64url(part)}")
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@on_each_endpoint
@pytest.mark.parametrize(
    "text",
    ["x", ".", "..", "...", "a.b.c", "é.é.é", "a.b", "\0", "\x1b[31m\r\n", "{}", ".".join("abcde")],
)
async def test_a_text_that_is_no_assertion_is_refused(
    browser: Client, path: str, text: str
) -> None:
    assert await refused(browser, path, text)


@pytest.mark.parametrize("value", ["\ud800", "x", "."])
async def test_a_hostile_assertion_in_json_is_refused(browser: Client, value: str) -> None:
    body = {"grant_type": "client_credentials", "client_assertion": value}
    async with browser.post(TOKEN, json=body) as response:
        assert (response.status, (await response.json())["error"]) == (401, "invalid_client")


@on_each_endpoint
@pytest.mark.parametrize(
    "changes",
    [
        {"client_assertion_type": OMIT},
        {"client_assertion_type": ""},
        {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        {"client_id": "another"},
        {"client_assertion": OMIT},
        {"client_assertion": ""},
    ],
)
async def test_the_parameters_must_fit_the_assertion(
    browser: Client, own: Issuer, keys: list[Key], path: str, changes: dict[str, str]
) -> None:
    assert await refused(browser, path, assertion(own, keys[1]), **changes)


@on_each_endpoint
@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        (basic(CLIENT_ID, CLIENT_SECRET), {}),
        ({}, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}),
        (basic(CLIENT_ID, CLIENT_SECRET), {"client_secret": CLIENT_SECRET}),
        (
            basic(CLIENT_ID, CLIENT_SECRET),
            {"client_secret": CLIENT_SECRET, "client_assertion": OMIT},
        ),
    ],
)
async def test_a_client_authenticates_in_one_way(
    browser: Client,
    own: Issuer,
    keys: list[Key],
    path: str,
    headers: dict[str, str],
    changes: dict[str, str],
) -> None:
    """RFC 6749 §2.3: it must not use more than one method in a request."""
    status, answer = await ask(browser, path, assertion(own, keys[1]), changes, headers)
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_an_assertion_is_good_once(
    browser: Client, own: Issuer, keys: list[Key], clock: FakeClock
) -> None:
    """On whichever endpoint, and until it expires: after that its `jti` may come back."""
    first = assertion(own, keys[1], jti="a")
    assert await refused(browser, TOKEN, first, client_assertion_type=OMIT)
    assert not await refused(browser, TOKEN, first)
    assert await refused(browser, TOKEN, first)
    assert await refused(browser, INTROSPECT, first)
    assert await refused(browser, TOKEN, assertion(own, keys[1], jti="a", exp=NOW + 120))
    assert not await refused(browser, TOKEN, assertion(own, keys[1], jti="b"))
    clock.advance(60)
    assert await refused(browser, TOKEN, first)
    assert not await refused(browser, TOKEN, assertion(own, keys[1], jti="a", exp=NOW + 120))


async def test_the_clock_of_assertions_can_be_set_after_the_start(
    browser: Client, own: Issuer, keys: list[Key], clock: FakeClock
) -> None:
    own.clock = lambda: clock.epoch + 60
    assert await refused(browser, TOKEN, assertion(own, keys[1]))
    later = assertion(own, keys[1], exp=NOW + 120)
    assert not await refused(browser, TOKEN, later)
    assert await refused(browser, TOKEN, later)


async def test_a_client_that_needs_no_authentication_is_refused_if_it_fails_at_it(
    browser: Client, own: Issuer, keys: list[Key]
) -> None:
    code = await log_in(browser, client_id=CLIENT_ID, scope="offline_access")
    given = {"client_id": CLIENT_ID, "client_assertion_type": TYPE}
    bad, good = assertion(own, keys[2]), assertion(own, keys[1])
    assert (await tokens(browser, code, **given, client_assertion=bad))[0] == 401
    status, answer = await tokens(browser, code, **given, client_assertion=good)
    assert status == 200
    renewed = await refresh(browser, answer["refresh_token"], **given, client_assertion=good)
    assert (renewed[0], renewed[1]["error"]) == (401, "invalid_client")
