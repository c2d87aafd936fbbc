"""Do the tokens of hello/auth/providers.md get what the page says, in the page's own code?"""

import base64
import hashlib
import json
import re
import subprocess
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
from hello.sandbox.signing import changed
from support.api import ApiServer, Client, bearer
from support.pages import blocks, text

PAGE = "hello/auth/providers.md"
_TIMES = ("iat", "nbf", "exp", "auth_time")
# Where each publishes its keys: for some, on another host than the issuer's.
KEYS_AT = {
    "Auth0": "https://dev-abc123.eu.auth0.com/.well-known/jwks.json",
    "Keycloak": "https://keycloak.example.com/realms/hello/protocol/openid-connect/certs",
    "Okta": "https://dev-123456.okta.com/oauth2/default/v1/keys",
    "Microsoft Entra ID": "https://login.microsoftonline.com/8f1c2d3e-0a1b-4c2d-8e3f-112233445566/"
    "discovery/v2.0/keys",
    "Tokens of version 1.0": "https://login.microsoftonline.com/common/discovery/keys",
    "Amazon Cognito": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Hello1234/"
    ".well-known/jwks.json",
    "Google": "https://www.googleapis.com/oauth2/v3/certs",
}


def parts() -> dict[str, str]:
    """What the page says below each heading."""
    split = re.split(r"^##+ (.+)\n", text(PAGE), flags=re.MULTILINE)
    return dict(zip(split[1::2], split[2::2], strict=True))


PARTS = parts()
# Those with a token of a provider.
SECTIONS = {heading: part for heading, part in PARTS.items() if "```json\n" in part}
IN_ONE_FILE = "Keycloak in the same compose file"


def only(heading: str, language: str) -> str:
    """A section's only block in a language."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```$", PARTS[heading], re.MULTILINE | re.DOTALL)
    return str(block)


def table(part: str, header: str) -> list[list[str]]:
    """The cells of a table's rows, without those of its head."""
    rows = part.split(header)[1].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def typ(iss: str) -> Any:
    """What the table at the top says that an issuer's tokens have for a `typ`."""
    [found] = [row[2] for row in table(text(PAGE), "| provider |") if row[1] == f"`{iss}`"]
    return OMIT if found == "none" else found.strip("`")


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


def shown(heading: str, key: Key) -> Sent:
    """The token that a section shows, as if it had been issued now."""
    claims = json.loads(only(heading, "json"))
    later = int(time.time()) - claims["iat"]
    claims |= {name: claims[name] + later for name in _TIMES if name in claims}
    code = only(heading, "python")
    return Sent(claims=claims, header={"typ": typ(claims["iss"])}, code=code, key=key)


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

# By section, and by the first cell of its table's rows.
SENT: dict[str, dict[str, Change]] = {
    "Auth0": {
        "the token above": unchanged,
        "one without `permissions`: RBAC is off": having({"permissions": OMIT}),
        "one that was asked for without `audience`: it is opaque": instead("kXz0pQ9yR2sT"),
        "the ID token": id_token("Hq3vGk2sQ8m0pY7wXr1LzT5uNcB9dEfA"),
        "one from your custom domain, which is its `iss` then": having(
            {"iss": "https://login.example.com/"}
        ),
        "one of an API that signs with HS256": with_a_secret("HS256"),
        "the token above, but the settings lack the slash": settings('auth0.com/"', 'auth0.com"'),
    },
    "Keycloak": {
        "the token above": unchanged,
        "one without the realm role": having({"realm_access": {"roles": ["offline_access"]}}),
        "one without any role: there is no `realm_access`": having({"realm_access": OMIT}),
        "one of a client without your scope: `aud` is `account`": having({"aud": "account"}),
        "one of a client without any role: there is no `aud`": having({"aud": OMIT}),
        "one that was asked for at `http://localhost:8080`, from inside a container": having(
            {"iss": "http://localhost:8080/realms/hello"}
        ),
        "one of a Keycloak before version 17, below `/auth`": having(
            {"iss": "https://keycloak.example.com/auth/realms/hello"}
        ),
        "the ID token": id_token("hello-spa", typ="ID"),
        "the refresh token, signed with HS512": both(
            having({"typ": "Refresh", "aud": KEYCLOAK}), with_a_secret("HS512")
        ),
        "the token above, but the settings have a slash at the end": settings(
            'realms/hello"', 'realms/hello/"'
        ),
    },
    "Okta": {
        "the token above": unchanged,
        "one that was asked for without the scope": having({"scp": ["openid"]}),
        "one without the group": having({"groups": ["Everyone"]}),
        "one of the org server": having(
            {"iss": "https://dev-123456.okta.com", "aud": "https://dev-123456.okta.com"},
            typ="application/okta-internal-at+jwt",
        ),
        "one of another custom server of the same org": having(
            {"iss": "https://dev-123456.okta.com/oauth2/aus1abcdefGHIJKLM5d7"}
        ),
        "the ID token": id_token("0oa1abcdefGHIJKLM5d7"),
    },
    "Microsoft Entra ID": {
        "the token above": unchanged,
        "one of a person without the app role": having({"roles": OMIT}),
        "a daemon's: it has `roles` and no `scp`": having({"scp": OMIT}),
        "one of version 1.0: the API's manifest was not changed": having(
            {"iss": V1, "aud": f"api://{API}", "ver": "1.0"}
        ),
        "one for Microsoft Graph": for_graph(V1),
        "the ID token of a client that is registered by itself": id_token(
            "71e0d2c4-8a6b-4f1d-9c3e-0b5a7d9e2f41"
        ),
        "the ID token where client and API share a registration": id_token(API),
        "the token above, but the settings have `api://…` for the audience": settings(
            f'audience="{API}"', f'audience="api://{API}"'
        ),
        "the token above, but the settings have `common` for the tenant": settings(
            V2, "https://login.microsoftonline.com/common/v2.0"
        ),
    },
    "Tokens of version 1.0": {
        "the token above": unchanged,
        "one of version 2.0": having({"iss": V2, "aud": API, "ver": "2.0"}),
        "one for Microsoft Graph": for_graph(V1),
    },
    "Amazon Cognito": {
        "the token above": unchanged,
        "one of a person who is not in the group": having({"cognito:groups": OMIT}),
        "one that was asked for without `resource`: it has no `aud`": having({"aud": OMIT}),
        "a machine's: it has no `aud` either": having(
            {"aud": OMIT, "cognito:groups": OMIT, "username": OMIT, "sub": COGNITO_CLIENT}
        ),
        "the ID token": COGNITO_ID_TOKEN,
        "the ID token, where the settings have the client's identifier for the audience": both(
            COGNITO_ID_TOKEN, COGNITO_SETTINGS
        ),
        "the token above, but the settings have the client's identifier for the audience": (
            COGNITO_SETTINGS
        ),
    },
    "Google": {
        "the token above": unchanged,
        "one of somebody else's service account": having(
            {"email": "nightly@other-654321.iam.gserviceaccount.com"}
        ),
        "one that was made without `--include-email`": having(
            {"email": OMIT, "email_verified": OMIT}
        ),
        "an access token, `ya29.…`": instead("ya29.a0AfH6SMBx3kQ"),
        "a person's ID token, for the client that asked for it": having(
            {"aud": "407408718192-abc.apps.googleusercontent.com", "email": "ada@example.com"}
        ),
        "one with the old `iss`, `accounts.google.com`": having({"iss": "accounts.google.com"}),
        "one that Cloud Run has checked, and taken the signature off": lambda sent: replace(
            sent,
            on_the_way=lambda token: token.rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        ),
    },
}
ROWS = [
    (heading, row) for heading, part in SECTIONS.items() for row in table(part, "| what is sent |")
]


def published(heading: str, iss: str, key: Key) -> Callable[[str], Awaitable[bytes]]:
    """What a provider serves: its metadata where this says, its keys where they are in fact."""
    jwk = {**key.as_dict(private=False), "use": "sig"}
    documents = {
        f"{iss.removesuffix('/')}/.well-known/openid-configuration": {
            "issuer": iss,
            "jwks_uri": KEYS_AT[heading],
        },
        KEYS_AT[heading]: {"keys": [jwk]},
    }

    async def fetch(url: str) -> bytes:
        return json.dumps(documents[url]).encode()

    return fetch


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, keys: list[Key]) -> Callable[[str], Sent]:
    """Puts a provider in the place of the network, and returns the token that the page shows."""

    def start(heading: str) -> Sent:
        sent = shown(heading, keys[0])
        monkeypatch.setattr(
            "hello.auth.fetch.fetch", published(heading, sent.claims["iss"], keys[0])
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


@pytest.mark.parametrize(("heading", "row"), ROWS, ids=lambda value: str(value)[:60])
async def test_a_token_gets_the_answer_that_the_page_names(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    heading: str,
    row: list[str],
) -> None:
    what, status, reason = row
    sent = SENT[heading][what](provider(heading))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == int(status)
    refused = [each.split(":")[0] for each in caplog.messages if each.startswith("refused")]
    expected = [] if status == "200" else [f"refused {status} {reason.strip('`')}"]
    assert refused == expected
    assert not [each for each in caplog.records if each.exc_info]  # a refusal leaves no stack


def test_every_section_has_its_tokens_and_no_other() -> None:
    named = {heading: [row[0] for r, row in ROWS if r == heading] for heading in SECTIONS}
    assert named == {heading: list(sent) for heading, sent in SENT.items()}
    assert len(table(text(PAGE), "| provider |")) == len(SECTIONS)
    shown_besides = {"python": [GIVEN_KEYS], "json": []}
    for language, besides in shown_besides.items():
        of_sections = [only(heading, language) for heading in SECTIONS]
        assert sorted(blocks(PAGE, language)) == sorted(of_sections + besides)


GIVEN_KEYS = only(IN_ONE_FILE, "python")
IN_COMPOSE = "http://keycloak:8080"
WRITER = {"resource_access": {"hello-api": {"roles": ["writer"]}}}
DAEMON = {"scp": OMIT, "roles": ["Nightly.Run"]}


@pytest.mark.parametrize(
    ("heading", "path", "claims", "status"),
    [
        ("Keycloak", "/reports", WRITER, 200),
        ("Keycloak", "/reports", {"resource_access": {"account": {"roles": ["writer"]}}}, 403),
        ("Keycloak", "/reports", {"resource_access": OMIT}, 403),
        ("Keycloak", "/reports", {"resource_access": None}, 403),
        ("Keycloak", "/reports", {"resource_access": {"hello-api": None}}, 403),
        ("Keycloak", "/reports", {"resource_access": {"hello-api": {"roles": "writer"}}}, 403),
        ("Microsoft Entra ID", "/nightly", DAEMON, 200),
        ("Microsoft Entra ID", "/nightly", {}, 403),
    ],
)
async def test_the_other_routes_of_a_section(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    heading: str,
    path: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    sent = having(claims)(provider(heading))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent, "POST", path) == status
    assert not [each for each in caplog.records if each.exc_info]


NO_ROLES: list[Any] = [None, 1, [], "report-reader", ["report-reader"]]
ODD: list[tuple[str, dict[str, Any]]] = [
    *(("Keycloak", {"realm_access": odd}) for odd in NO_ROLES),
    *(("Keycloak", {"realm_access": {"roles": odd}}) for odd in (*NO_ROLES[:4], {})),
    *(("Google", {"email": odd}) for odd in (*NO_ROLES, {})),
]


@pytest.mark.parametrize(("heading", "claims"), ODD)
async def test_a_claim_of_another_type_is_refused_as_a_missing_one_is(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    heading: str,
    claims: dict[str, Any],
) -> None:
    sent = having(claims)(provider(heading))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == 403
    assert not [each for each in caplog.records if each.exc_info]


@pytest.mark.parametrize("heading", SECTIONS)
async def test_a_check_is_called_by_what_it_asks_for(
    provider: Callable[[str], Sent], heading: str
) -> None:
    """In the list of routes and in the advice; and where the page says how, so it is."""
    sent = provider(heading)
    app = app_of(sent.code)
    access = {route.access for route in auth.routes(app)}
    checks = {each for line in access for each in line.split(", ") if each.startswith("check ")}
    assert "check check" not in checks
    assert checks == set(re.findall(r"`(check [^`]+)`", PARTS[heading])) or heading == "Google"
    lacking = having({"realm_access": None, "resource_access": None, "email": None})(sent)
    told = " ".join(str(await auth.explain(app, lacking.token)).split())
    for each in checks:
        assert f"The route's {each} does not let this token through" in told
    await app[auth.TOKEN_VALIDATOR].close()


ADMIN = "read:admin-messages"


@pytest.mark.parametrize(
    ("heading", "claims", "status"),
    [
        ("Auth0", {"permissions": [ADMIN]}, 200),
        ("Keycloak", {"permissions": [ADMIN]}, 200),
        ("Okta", {"permissions": [ADMIN]}, 200),
        ("Microsoft Entra ID", {"roles": [ADMIN]}, 403),
    ],
)
async def test_who_can_have_the_project_s_admin_permission(
    provider: Callable[[str], Sent],
    aiohttp_client: Serve,
    heading: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    sent = having(claims)(provider(heading))
    environ = {**environment_of(heading), "ADMIN_PERMISSION": ADMIN}
    client = await aiohttp_client(ApiServer(create_app(Config.from_environ(environ))))
    assert await answered(client, sent, path="/api/messages/admin") == status


@pytest.fixture
def validator_with_given_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: list[Key]
) -> auth.TokenValidator:
    """What the page's block makes of the first key, as Keycloak publishes it: with another's."""

    async def fetch(url: str) -> bytes:
        raise AssertionError(f"{url} is asked")

    monkeypatch.setattr("hello.auth.fetch.fetch", fetch)
    signing = {**keys[0].as_dict(private=False), "use": "sig", "alg": "RS256"}
    encryption = {**keys[1].as_dict(private=False), "use": "enc", "alg": "RSA-OAEP"}
    [file] = re.findall(r"> (\S+)$", KEYS_COMMAND, re.MULTILINE)
    (tmp_path / file).write_text(json.dumps({"keys": [encryption, signing]}), "utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(GIVEN_KEYS, PAGE, "exec"), names)
    validator = names["validator"]
    assert isinstance(validator, auth.TokenValidator)
    return validator


@pytest.mark.parametrize(("number", "verdict"), [(0, "valid"), (1, "unknown_key")])
async def test_keys_that_are_given_are_good_until_they_change(
    validator_with_given_keys: auth.TokenValidator, keys: list[Key], number: int, verdict: str
) -> None:
    sent = having({"iss": f"{IN_COMPOSE}/realms/hello"})(shown("Keycloak", keys[number]))
    assert await verdict_of(validator_with_given_keys, sent) == verdict
    assert verdict == "valid" or f"401 `{verdict}`" in PARTS[IN_ONE_FILE]


def test_plain_http_between_containers_is_refused() -> None:
    realm = f"{IN_COMPOSE}/realms/hello"
    environ = {**environment_of("Keycloak"), "ISSUER_BASE_URL": realm}
    with pytest.raises(ConfigError, match=r"^ISSUER_BASE_URL is .*, not an https URL"):
        Config.from_environ(environ)
    with pytest.raises(ValueError, match="issuer is an https URL"):
        auth.TokenValidator(issuer=realm, audience="hello-api")
    with pytest.raises(ValueError, match="jwks_uri is an https URL"):
        auth.TrustedIssuer(
            issuer=KEYCLOAK,
            audience="hello-api",
            jwks_uri=KEYS_AT["Keycloak"].replace("https", "http"),
        )


def test_given_keys_are_asked_for_where_keycloak_has_them() -> None:
    subprocess.run(["sh", "-n"], input=KEYS_COMMAND, text=True, check=True)
    [url] = re.findall(r"^curl -s http://localhost:8080(\S+) > \S+$", KEYS_COMMAND, re.MULTILINE)
    assert KEYS_AT["Keycloak"] == f"https://keycloak.example.com{url}"


def test_the_demo_client_asks_for_what_the_page_says() -> None:
    said = PARTS["What the settings have in common"].split("- `run.py --client`")[1]
    code = "".join((FOLDER / name).read_text("utf-8") for name in ("login.js", "oidc.js"))
    assert set(re.findall(r'\bscope: "([^"]+)"', code)) == {"openid profile email"}
    modes = set(re.findall(r'\bresponse_mode: "([^"]+)"', code))
    assert modes == {"query", "web_message"}
    assert "`openid profile email`" in said
    assert "`web_message`" in said
    assert "`resource`" in said
    assert not re.search(r"\bresource:", code)


async def test_entra_s_warnings(provider: Callable[[str], Sent], aiohttp_client: Serve) -> None:
    """Of ID tokens with the API's `aud`, and of tokens with 200 groups."""
    sent = provider("Microsoft Entra ID")
    app = app_of(sent.code)
    assert await app[auth.TOKEN_VALIDATOR].validate(id_token(API)(sent).token)
    client = await aiohttp_client(ApiServer(app))
    many = {"groups": [f"c4d5e6f7-1a2b-4c3d-8e4f-{number:012}" for number in range(200)]}
    assert await answered(client, having(many)(sent)) == 400


NEW_PROFILE = having({"azp": OMIT, "client_id": "hello", "jti": "73WakrfVbN"}, typ="at+jwt")
STRICT: list[tuple[str, Change, str]] = [
    *((heading, unchanged, "type") for heading in SECTIONS),
    ("Auth0", NEW_PROFILE, "valid"),
    ("Keycloak", having({}, typ="at+jwt"), "missing_claim"),
    ("Keycloak", having({"client_id": "hello-spa"}, typ="at+jwt"), "valid"),
]


@pytest.mark.parametrize(("heading", "change", "verdict"), STRICT)
async def test_whose_tokens_a_strict_validator_takes(
    provider: Callable[[str], Sent], heading: str, change: Change, verdict: str
) -> None:
    sent = change(provider(heading))
    aud = sent.claims["aud"]
    validator = auth.TokenValidator(issuer=sent.claims["iss"], audience=aud, strict=True)
    assert await verdict_of(validator, sent) == verdict


async def verdict_of(validator: auth.TokenValidator, sent: Sent) -> str:
    try:
        await validator.validate(sent.token)
    except auth.InvalidTokenError as refusal:
        return refusal.reason
    return "valid"


def environment_of(heading: str) -> dict[str, str]:
    [block] = [block for block in ENVIRONMENTS if block in SECTIONS[heading]]
    return dict(line.split("=", 1) for line in block.splitlines())


ENVIRONMENTS = blocks(PAGE, "dotenv")
KEYS_COMMAND = only(IN_ONE_FILE, "bash")
COMMANDS = [block for block in blocks(PAGE, "bash") if block != KEYS_COMMAND]


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_s_environment_is_for_its_token(heading: str) -> None:
    claims = json.loads(only(heading, "json"))
    config = Config.from_environ(environment_of(heading))
    assert config.issuer == claims["iss"]
    aud = claims["aud"]
    assert config.audience in ([aud] if isinstance(aud, str) else aud)
    assert config.algorithms == ("RS256",)


@pytest.mark.parametrize("block", COMMANDS)
def test_a_command_is_one_and_ends_in_the_check(block: str) -> None:
    """Of the project's own part; what the provider answers, only the provider knows."""
    subprocess.run(["sh", "-n"], input=block, text=True, check=True)
    for command in re.split(r"\n(?=curl|az |gcloud )", block):
        if not command.startswith("echo"):
            assert re.search(r"\|\s+\.venv/bin/python run\.py --check-token$", command.strip())


def test_each_bash_block_belongs_to_a_section() -> None:
    assert len(ENVIRONMENTS) == len(SECTIONS)
    assert len(COMMANDS) == len(SECTIONS) - 1  # what version 1.0 is asked for with is the same
    for block in (*ENVIRONMENTS, *COMMANDS):
        assert any(block in part for part in SECTIONS.values())
