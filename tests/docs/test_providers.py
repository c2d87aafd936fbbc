"""Do the tokens of hello/docs/providers.md get what the page says, in the page's own code?"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key, OctKey

from hello import auth
from hello.app import create_app
from hello.config import Config, ConfigError
from hello.sandbox.client import FOLDER
from hello.sandbox.issuer import OMIT, base64url, sign
from hello.sandbox.issuer.signing import changed
from support.api import ApiServer, Client, bearer
from support.outputs import logged
from support.pages import example, examples, rows_by_id
from support.validators import presented

PAGE = "hello/docs/providers.md"
_TIMES = ("iat", "nbf", "exp", "auth_time")
# Where each publishes its keys: for some, on another host than the issuer's.
KEYS_AT = {
    "auth0": "https://dev-abc123.eu.auth0.com/.well-known/jwks.json",
    "keycloak": "https://keycloak.example.com/realms/hello/protocol/openid-connect/certs",
    "okta": "https://dev-123456.okta.com/oauth2/default/v1/keys",
    "entra": "https://login.microsoftonline.com/8f1c2d3e-0a1b-4c2d-8e3f-112233445566/"
    "discovery/v2.0/keys",
    "entra-v1": "https://login.microsoftonline.com/common/discovery/keys",
    "cognito": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Hello1234/"
    ".well-known/jwks.json",
    "google": "https://www.googleapis.com/oauth2/v3/certs",
}


NAMES = list(rows_by_id(PAGE, "providers"))


def typ(name: str) -> Any:
    """What the table at the top says that a provider's tokens have for a `typ`."""
    found = re.findall("`(.+)`", rows_by_id(PAGE, "providers")[name][2])
    return found[0] if found else OMIT


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A token, as it is sent, and the code that it is sent to."""

    claims: dict[str, Any]
    header: dict[str, Any]
    code: str
    key: Key
    on_the_way: Callable[[str], str] = field(default=lambda token: token)

    @property
    def token(self) -> str:
        header = changed({"alg": "RS256", "kid": self.key.kid}, self.header)
        return self.on_the_way(sign(header, changed(self.claims, {}), self.key))


def shown(name: str, key: Key) -> Sent:
    """The token that the page shows for a provider, as if it had been issued now."""
    claims = json.loads(example(PAGE, f"{name}-token"))
    later = int(time.time()) - claims["iat"]
    claims |= {each: claims[each] + later for each in _TIMES if each in claims}
    code = example(PAGE, f"{name}-app")
    return Sent(claims=claims, header={"typ": typ(name)}, code=code, key=key)


Change = Callable[[Sent], Sent]


def unchanged(sent: Sent) -> Sent:
    return sent


def having(claims: dict[str, Any], **header: Any) -> Change:
    return lambda sent: replace(
        sent, claims={**sent.claims, **claims}, header={**sent.header, **header}
    )


def settings(old: str, new: str) -> Change:
    def change(sent: Sent) -> Sent:
        assert old in sent.code
        return replace(sent, code=sent.code.replace(old, new))

    return change


def instead(token: str) -> Change:
    return lambda sent: replace(sent, on_the_way=lambda _: token)


def with_a_secret(alg: str) -> Change:
    key = OctKey.import_key(b"0123456789abcdef" * 4, {"kid": "shared"})
    return lambda sent: replace(sent, header={**sent.header, "alg": alg}, key=key)


def both(one: Change, two: Change) -> Change:
    return lambda sent: two(one(sent))


def for_graph(iss: str) -> Change:
    """What is signed has a hash for the nonce that is sent."""
    nonce = "AQABAAAAAAD--DLA3VO7QrddgJg7WevrwA"

    def unhashed(token: str) -> str:
        _, _, rest = token.partition(".")
        header = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))
        return f"{base64url(json.dumps({**header, 'nonce': nonce}).encode())}.{rest}"

    hashed = base64url(hashlib.sha256(nonce.encode()).digest())
    claims = {"iss": iss, "aud": "00000003-0000-0000-c000-000000000000", "scp": "User.Read"}
    return lambda sent: replace(having(claims, nonce=hashed)(sent), on_the_way=unhashed)


def id_token(client: str, **more: Any) -> Change:
    gone = ("scope", "scp", "permissions", "realm_access", "resource_access", "client_id", "cid")
    claims = {**dict.fromkeys(gone, OMIT), "aud": client, "nonce": "n-0S6_WzA2Mj", **more}
    return having(claims, typ="JWT")


V1 = "https://sts.windows.net/8f1c2d3e-0a1b-4c2d-8e3f-112233445566/"
V2 = "https://login.microsoftonline.com/8f1c2d3e-0a1b-4c2d-8e3f-112233445566/v2.0"
API = "3c9a7b10-5d2e-4f68-9b04-a1b2c3d4e5f6"
COGNITO_CLIENT = "3example4client5id6789abcd"
COGNITO_ID_TOKEN = id_token(COGNITO_CLIENT, token_use="id")
COGNITO_SETTINGS = settings('audience="https://api.example.com"', f'audience="{COGNITO_CLIENT}"')
KEYCLOAK = "https://keycloak.example.com/realms/hello"

# By provider, and by the id of a row in its table.
SENT: dict[str, dict[str, Change]] = {
    "auth0": {
        "good": unchanged,
        "no-permissions": having({"permissions": OMIT}),
        "opaque": instead("kXz0pQ9yR2sT"),
        "id-token": id_token("Hq3vGk2sQ8m0pY7wXr1LzT5uNcB9dEfA"),
        "custom-domain": having({"iss": "https://login.example.com/"}),
        "hs256": with_a_secret("HS256"),
        "no-slash": settings('auth0.com/"', 'auth0.com"'),
    },
    "keycloak": {
        "good": unchanged,
        "no-role": having({"realm_access": {"roles": ["offline_access"]}}),
        "no-roles": having({"realm_access": OMIT}),
        "account": having({"aud": "account"}),
        "no-audience": having({"aud": OMIT}),
        "localhost": having({"iss": "http://localhost:8080/realms/hello"}),
        "old-path": having({"iss": "https://keycloak.example.com/auth/realms/hello"}),
        "id-token": id_token("hello-spa", typ="ID"),
        "refresh-token": both(having({"typ": "Refresh", "aud": KEYCLOAK}), with_a_secret("HS512")),
        "slash": settings('realms/hello"', 'realms/hello/"'),
    },
    "okta": {
        "good": unchanged,
        "no-scope": having({"scp": ["openid"]}),
        "no-group": having({"groups": ["Everyone"]}),
        "org-server": having(
            {"iss": "https://dev-123456.okta.com", "aud": "https://dev-123456.okta.com"},
            typ="application/okta-internal-at+jwt",
        ),
        "other-server": having({"iss": "https://dev-123456.okta.com/oauth2/aus1abcdefGHIJKLM5d7"}),
        "id-token": id_token("0oa1abcdefGHIJKLM5d7"),
    },
    "entra": {
        "good": unchanged,
        "no-role": having({"roles": OMIT}),
        "daemon": having({"scp": OMIT}),
        "version-1": having({"iss": V1, "aud": f"api://{API}", "ver": "1.0"}),
        "graph": for_graph(V1),
        "id-token": id_token("71e0d2c4-8a6b-4f1d-9c3e-0b5a7d9e2f41"),
        "shared-registration": id_token(API),
        "api-audience": settings(f'audience="{API}"', f'audience="api://{API}"'),
        "common": settings(V2, "https://login.microsoftonline.com/common/v2.0"),
    },
    "entra-v1": {
        "good": unchanged,
        "version-2": having({"iss": V2, "aud": API, "ver": "2.0"}),
        "graph": for_graph(V1),
    },
    "cognito": {
        "good": unchanged,
        "no-group": having({"cognito:groups": OMIT}),
        "no-resource": having({"aud": OMIT}),
        "machine": having(
            {"aud": OMIT, "cognito:groups": OMIT, "username": OMIT, "sub": COGNITO_CLIENT}
        ),
        "id-token": COGNITO_ID_TOKEN,
        "id-token-client-audience": both(COGNITO_ID_TOKEN, COGNITO_SETTINGS),
        "client-audience": (COGNITO_SETTINGS),
    },
    "google": {
        "good": unchanged,
        "other-account": having({"email": "nightly@other-654321.iam.gserviceaccount.com"}),
        "no-email": having({"email": OMIT, "email_verified": OMIT}),
        "access-token": instead("ya29.a0AfH6SMBx3kQ"),
        "person": having(
            {"aud": "407408718192-abc.apps.googleusercontent.com", "email": "ada@example.com"}
        ),
        "old-issuer": having({"iss": "accounts.google.com"}),
        "cloud-run": lambda sent: replace(
            sent,
            on_the_way=lambda token: token.rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        ),
    },
}
ROWS = [
    (name, row, *cells[1:])
    for name in NAMES
    for row, cells in rows_by_id(PAGE, f"{name}-answers").items()
]


def published(name: str, iss: str, key: Key) -> Callable[[str], Awaitable[bytes]]:
    """What a provider serves: its metadata where this says, its keys where they are in fact."""
    jwk = {**key.as_dict(private=False), "use": "sig"}
    documents = {
        f"{iss.removesuffix('/')}/.well-known/openid-configuration": {
            "issuer": iss,
            "jwks_uri": KEYS_AT[name],
        },
        KEYS_AT[name]: {"keys": [jwk]},
    }

    async def fetch(url: str) -> bytes:
        return json.dumps(documents[url]).encode()

    return fetch


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, keys: list[Key]) -> Callable[[str], Sent]:
    """Puts a provider in the place of the network, and returns the token that the page shows."""

    def start(name: str) -> Sent:
        sent = shown(name, keys[0])
        monkeypatch.setattr(
            "hello.tokens.validator.fetch_with_aiohttp",
            published(name, sent.claims["iss"], keys[0]),
        )
        return sent

    return start


def app_of(code: str) -> web.Application:
    """The application that a Python block makes, or one around the validator that it makes."""
    names: dict[str, Any] = {}
    exec(compile(code, PAGE, "exec"), names)
    if "create_app" in names:
        app = names["create_app"]()
        assert isinstance(app, web.Application)
        return app

    @auth.protected(scopes={"Reports.Read"}, claims={"roles": {"Report.Reader"}})
    async def reports(_request: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    auth.setup(app, names["validator"])
    app.router.add_get("/reports", reports)
    return app


Serve = Callable[[ApiServer], Awaitable[Client]]


async def answered(client: Client, sent: Sent, method: str = "GET", path: str = "/reports") -> int:
    async with client.request(method, path, headers=bearer(sent.token)) as response:
        return response.status


@pytest.mark.parametrize(("name", "row", "status", "reason"), ROWS)
async def test_a_token_gets_the_answer_that_the_page_names(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    row: str,
    status: str,
    reason: str,
) -> None:
    sent = SENT[name][row](provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == int(status)
    refused = [logged(each)[2:4] for each in caplog.messages if each.startswith("refused")]
    assert refused == ([] if status == "200" else [(status, reason.strip("`"))])
    assert not [each for each in caplog.records if each.exc_info]  # a refusal leaves no stack


def test_every_row_has_its_token_and_every_example_its_provider() -> None:
    there = [(name, row) for name, sent in SENT.items() for row in sent]
    assert sorted((name, row) for name, row, *_ in ROWS) == sorted(there)
    of_providers = {
        f"{name}-{part}" for name in NAMES for part in ("env", "app", "token", "command")
    }
    besides = {"keycloak-save-keys", "keycloak-given-keys"}
    # What version 1.0 is asked for with is the same.
    assert set(examples(PAGE)) == (of_providers | besides) - {"entra-v1-command"}


IN_COMPOSE = "http://keycloak:8080"
WRITER = {"resource_access": {"hello-api": {"roles": ["writer"]}}}
DAEMON = {"scp": OMIT, "roles": ["Nightly.Run"]}


@pytest.mark.parametrize(
    ("name", "path", "claims", "status"),
    [
        ("keycloak", "/reports", WRITER, 200),
        ("keycloak", "/reports", {"resource_access": {"account": {"roles": ["writer"]}}}, 403),
        ("keycloak", "/reports", {"resource_access": OMIT}, 403),
        ("keycloak", "/reports", {"resource_access": None}, 403),
        ("keycloak", "/reports", {"resource_access": {"hello-api": None}}, 403),
        ("keycloak", "/reports", {"resource_access": {"hello-api": {"roles": "writer"}}}, 403),
        ("entra", "/nightly", DAEMON, 200),
        ("entra", "/nightly", {}, 403),
    ],
)
async def test_the_other_routes_of_a_section(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    path: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    sent = having(claims)(provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent, "POST", path) == status
    assert not [each for each in caplog.records if each.exc_info]


NO_ROLES: list[Any] = [None, 1, [], "report-reader", ["report-reader"]]
ODD: list[tuple[str, dict[str, Any]]] = [
    *(("keycloak", {"realm_access": odd}) for odd in NO_ROLES),
    *(("keycloak", {"realm_access": {"roles": odd}}) for odd in (*NO_ROLES[:4], {})),
    *(("google", {"email": odd}) for odd in (*NO_ROLES, {})),
]


@pytest.mark.parametrize(("name", "claims"), ODD)
async def test_a_claim_of_another_type_is_refused_as_a_missing_one_is(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    claims: dict[str, Any],
) -> None:
    sent = having(claims)(provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == 403
    assert not [each for each in caplog.records if each.exc_info]


@pytest.mark.parametrize("name", NAMES)
async def test_a_check_is_called_by_what_it_asks_for(
    provider: Callable[[str], Sent], name: str
) -> None:
    """In the list of routes and in the advice."""
    sent = provider(name)
    app = app_of(sent.code)
    access = {route.access for route in auth.routes(app)}
    checks = {each for line in access for each in line.split(", ") if each.startswith("check ")}
    assert "check check" not in checks
    lacking = having({"realm_access": None, "resource_access": None, "email": None})(sent)
    told = " ".join(str(await auth.explain(app, lacking.token)).split())
    assert all(each.removeprefix("check ") in told for each in checks)
    await app[auth.TOKEN_VALIDATOR].close()


ADMIN = "read:admin-messages"


@pytest.mark.parametrize(
    ("name", "claims", "status"),
    [
        ("auth0", {"permissions": [ADMIN]}, 200),
        ("keycloak", {"permissions": [ADMIN]}, 200),
        ("okta", {"permissions": [ADMIN]}, 200),
        ("entra", {"roles": [ADMIN]}, 403),
    ],
)
async def test_who_can_have_the_project_s_admin_permission(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    name: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    sent = having(claims)(provider(name))
    environ = {**environment_of(name), "ADMIN_PERMISSION": ADMIN}
    client = await aiohttp_client(ApiServer(create_app(Config.from_environ(environ))))
    assert await answered(client, sent, path="/api/messages/admin") == status


@pytest.fixture
def validator_with_given_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: list[Key]
) -> auth.TokenValidator:
    """What the page's block makes of the first key, as Keycloak publishes it: with another's."""

    async def fetch(url: str) -> bytes:
        raise AssertionError(f"{url} is asked")

    monkeypatch.setattr("hello.tokens.validator.fetch_with_aiohttp", fetch)
    signing = {**keys[0].as_dict(private=False), "use": "sig", "alg": "RS256"}
    encryption = {**keys[1].as_dict(private=False), "use": "enc", "alg": "RSA-OAEP"}
    [file] = re.findall(r"> (\S+)$", example(PAGE, "keycloak-save-keys"), re.MULTILINE)
    (tmp_path / file).write_text(json.dumps({"keys": [encryption, signing]}), "utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, "keycloak-given-keys"), PAGE, "exec"), names)
    validator = names["validator"]
    assert isinstance(validator, auth.TokenValidator)
    return validator


@pytest.mark.parametrize(("number", "verdict"), [(0, "valid"), (1, "unknown_key")])
async def test_keys_that_are_given_are_good_until_they_change(
    validator_with_given_keys: auth.TokenValidator, keys: list[Key], number: int, verdict: str
) -> None:
    sent = having({"iss": f"{IN_COMPOSE}/realms/hello"})(shown("keycloak", keys[number]))
    assert await verdict_of(validator_with_given_keys, sent) == verdict


def test_plain_http_between_containers_is_refused() -> None:
    realm = f"{IN_COMPOSE}/realms/hello"
    environ = {**environment_of("keycloak"), "ISSUER_BASE_URL": realm}
    with pytest.raises(ConfigError, match=r"^ISSUER_BASE_URL "):
        Config.from_environ(environ)
    with pytest.raises(ValueError, match="issuer"):
        auth.TokenValidator(issuer=realm, audience="hello-api")
    with pytest.raises(ValueError, match="jwks_uri"):
        auth.TrustedIssuer(
            issuer=KEYCLOAK,
            audience="hello-api",
            jwks_uri=KEYS_AT["keycloak"].replace("https", "http"),
        )


def test_given_keys_are_asked_for_where_keycloak_has_them() -> None:
    command = example(PAGE, "keycloak-save-keys")
    [url] = re.findall(r"^curl -s http://localhost:8080(\S+) > \S+$", command, re.MULTILINE)
    assert KEYS_AT["keycloak"] == f"https://keycloak.example.com{url}"


def test_the_demo_client_asks_for_what_the_page_says() -> None:
    """For these scopes alone, for no resource, and in two ways."""
    code = "".join((FOLDER / name).read_text("utf-8") for name in ("login.js", "oidc.js"))
    assert set(re.findall(r'\bscope: "([^"]+)"', code)) == {"openid profile email"}
    modes = set(re.findall(r'\bresponse_mode: "([^"]+)"', code))
    assert modes == {"query", "web_message"}
    assert not re.search(r"\bresource:", code)


async def test_entra_s_warnings(provider: Callable[[str], Sent], aiohttp_client: Serve) -> None:
    """Of ID tokens with the API's `aud`, and of tokens with 200 groups."""
    sent = provider("entra")
    app = app_of(sent.code)
    assert await app[auth.TOKEN_VALIDATOR].validate(presented(id_token(API)(sent).token))
    client = await aiohttp_client(ApiServer(app))
    many = {"groups": [f"c4d5e6f7-1a2b-4c3d-8e4f-{number:012}" for number in range(200)]}
    assert await answered(client, having(many)(sent)) == 400


NEW_PROFILE = having({"azp": OMIT, "client_id": "hello", "jti": "73WakrfVbN"}, typ="at+jwt")
STRICT: list[tuple[str, Change, str]] = [
    *((name, unchanged, "type") for name in NAMES),
    ("auth0", NEW_PROFILE, "valid"),
    ("keycloak", having({}, typ="at+jwt"), "missing_claim"),
    ("keycloak", having({"client_id": "hello-spa"}, typ="at+jwt"), "valid"),
]


@pytest.mark.parametrize(("name", "change", "verdict"), STRICT)
async def test_whose_tokens_a_strict_validator_takes(
    provider: Callable[[str], Sent], name: str, change: Change, verdict: str
) -> None:
    sent = change(provider(name))
    aud = sent.claims["aud"]
    validator = auth.TokenValidator(issuer=sent.claims["iss"], audience=aud, strict=True)
    assert await verdict_of(validator, sent) == verdict


async def verdict_of(validator: auth.TokenValidator, sent: Sent) -> str:
    try:
        await validator.validate(presented(sent.token))
    except auth.InvalidTokenError as refusal:
        return refusal.reason
    return "valid"


def environment_of(name: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in example(PAGE, f"{name}-env").splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_s_environment_is_for_its_token(name: str) -> None:
    claims = json.loads(example(PAGE, f"{name}-token"))
    config = Config.from_environ(environment_of(name))
    assert config.issuer == claims["iss"]
    assert rows_by_id(PAGE, "providers")[name][1] == f"`{claims['iss']}`"
    aud = claims["aud"]
    assert config.audience in ([aud] if isinstance(aud, str) else aud)
    assert config.algorithms == ("RS256",)


@pytest.mark.parametrize(
    "code", [code for name, code in examples(PAGE).items() if name.endswith("-command")]
)
def test_a_command_is_one_and_ends_in_the_check(code: str) -> None:
    """Of the project's own part; what the provider answers, only the provider knows."""
    for command in re.split(r"\n(?=curl|az |gcloud )", code):
        if not command.startswith("echo"):
            assert re.search(r"\|\s+\.venv/bin/python run\.py --check-token$", command.strip())
