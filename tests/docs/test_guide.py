"""Does each example of hello/docs/own-project.md do what the page says?"""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key, OctKey, RSAKey

from hello import auth
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from hello.tokens.jwt.claim_rules import audience_rules, claim_rules
from hello.tokens.jwt.header_rules import header_rules
from support.answers import NO_TOKEN, challenge
from support.api import ApiServer, Client, bearer
from support.outputs import logged
from support.pages import examples, rows
from support.protecting import new_handler
from support.validators import presented

PAGE = "hello/docs/own-project.md"
AUDIENCE = "https://api.example.com"
START = Callable[[web.Application], Awaitable[Client]]


# Run in the page's order, since some use what those before them define.
NAMES = [name for name in examples(PAGE, "python") if name not in ("starlette", "openfga")]


def defined(
    issuer_url: str = "https://dev-abc123.eu.auth0.com/", until: str = NAMES[-1]
) -> dict[str, Any]:
    """What the page's Python examples define, up to the one of an id."""
    names: dict[str, Any] = {}
    for name in NAMES[: NAMES.index(until) + 1]:
        code = examples(PAGE)[name]
        code = code.replace("from my_api import create_app\n", "")  # it is defined above
        for issuer in ("https://dev-abc123.eu.auth0.com/", "http://localhost:6061/"):
            code = code.replace(issuer, issuer_url)
        code = code.replace("https://hello-world.example.com", AUDIENCE)
        names["__name__"] = "my_api"
        exec(compile(code, PAGE, "exec"), names)
    return names


@pytest.fixture
def names(sandbox_issuer: Issuer) -> dict[str, Any]:
    """All that the page defines, for an issuer that is up."""
    return defined(sandbox_issuer.url)


async def answered(
    client: Client, path: str, claims: dict[str, Any] | None, issuer: Issuer, method: str = "GET"
) -> tuple[int, Any]:
    headers = {}
    if claims is not None:
        now = int(time.time())
        claims = {name: now if value is JUST_NOW else value for name, value in claims.items()}
        headers = bearer(issuer.mint(claims=claims))
    async with client.request(method, path, headers=headers) as response:
        return response.status, await response.json()


ADMIN = {"permissions": ["admin"], "org_id": "org_1"}
JUST_NOW = object()  # for the time at which a token is minted
VERIFIED = {"scope": "write:all", "email_verified": True}
ROWS: list[tuple[str, str, str, dict[str, Any] | None, int]] = [
    ("create_app", "GET", "/health", None, 200),
    ("create_app", "GET", "/reports", None, 401),
    ("create_app", "GET", "/reports", {}, 403),
    ("create_app", "GET", "/reports", {"permissions": ["read:reports"]}, 200),
    ("create_app", "POST", "/reports", VERIFIED, 201),
    ("create_app", "POST", "/reports", {**VERIFIED, "email_verified": "yes"}, 403),
    ("create_app", "POST", "/reports", {**VERIFIED, "scope": "read:all"}, 403),
    ("create_app", "GET", "/reports/7", {"permissions": ["read:reports"], "sub": "alice"}, 200),
    ("create_app", "GET", "/reports/7", {"permissions": ["read:reports"], "sub": "bob"}, 403),
    ("create_app", "GET", "/reports/8", {"permissions": ["read:reports"], "sub": "alice"}, 403),
    ("create_app", "POST", "/reports/7/copy", {"permissions": ["write:reports"]}, 201),
    ("create_app", "POST", "/reports/8/copy", {"permissions": ["write:reports"]}, 403),
    ("create_app", "GET", "/greeting", None, 200),
    ("create_app", "GET", "/greeting", {"exp": 1}, 401),
    ("create_app", "POST", "/transfers", {"acr": "phr", "auth_time": JUST_NOW}, 201),
    ("create_app", "POST", "/transfers", {"acr": "pwd", "auth_time": JUST_NOW}, 401),
    ("create_app", "POST", "/transfers", {"acr": "phr", "auth_time": 1}, 401),
    ("create_back_office", "GET", "/back-office/users", ADMIN, 200),
    ("create_back_office", "GET", "/back-office/users", {"permissions": ["admin"]}, 403),
    ("create_back_office", "GET", "/back-office/users", {"org_id": "org_1"}, 403),
    ("create_back_office", "DELETE", "/back-office/users/bob", ADMIN, 403),
    (
        "create_back_office",
        "DELETE",
        "/back-office/users/bob",
        {**ADMIN, "permissions": ["admin", "delete:users"]},
        200,
    ),
    ("create_discoverable_app", "GET", "/.well-known/oauth-protected-resource", None, 200),
    *(
        ("create_app_of_two_resources", "GET", *row)
        for row in (
            ("/.well-known/oauth-protected-resource/notes", None, 200),
            ("/.well-known/oauth-protected-resource/tasks", None, 200),
            ("/.well-known/oauth-protected-resource", None, 404),
            ("/notes/", {"aud": f"{AUDIENCE}/notes", "scope": "read:notes"}, 200),
            ("/notes/", {"aud": f"{AUDIENCE}/notes", "scope": "read:tasks"}, 403),
            ("/notes/", {"aud": f"{AUDIENCE}/tasks", "scope": "read:notes"}, 401),
            ("/tasks/", {"aud": f"{AUDIENCE}/tasks", "scope": "read:tasks"}, 200),
        )
    ),
]


@pytest.mark.parametrize(("create", "method", "path", "claims", "status"), ROWS)
async def test_the_examples_routes_answer_as_the_page_says(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    create: str,
    method: str,
    path: str,
    claims: dict[str, Any] | None,
    status: int,
) -> None:
    client = await aiohttp_client(ApiServer(names[create]()))
    assert (await answered(client, path, claims, sandbox_issuer, method))[0] == status


@pytest.mark.parametrize(
    ("scope", "status"), [("admin:notes", 200), ("read:notes", 200), ("other", 403)]
)
async def test_a_scope_includes_what_the_page_says(
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    scope: str,
    status: int,
) -> None:
    names, app = defined(sandbox_issuer.url, "scope-includes"), web.Application()
    auth.setup(app, names["validator"])
    app.router.add_get("/", auth.protected(scopes={"read:notes"})(new_handler()))
    client = await aiohttp_client(ApiServer(app))
    assert (await answered(client, "/", {"scope": scope}, sandbox_issuer))[0] == status


ACME = {"org_id": "org_acme"}


@pytest.mark.parametrize(
    ("host", "claims", "status"),
    [
        ("acme.example.com", ACME, 200),
        ("ACME.example.com:8443", ACME, 200),
        ("umbrella.example.com", ACME, 403),
        ("acme.example.com", {}, 403),
        ("other.example.com", ACME, 403),
        ("other.example.com", {}, 403),
    ],
)
async def test_a_token_of_one_tenant_is_refused_at_the_host_of_another(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    host: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    client = await aiohttp_client(ApiServer(names["create_app"]()))
    headers = {"Host": host, **bearer(sandbox_issuer.mint(claims=claims))}
    async with client.get("/invoices", headers=headers) as response:
        assert response.status == status


async def test_a_page_may_read_answers_and_refusals(
    names: dict[str, Any], aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    client = await aiohttp_client(ApiServer(names["create_app_for_pages"]()))
    origin = {"Origin": "https://app.example.com"}
    for path, status in (("/health", 200), ("/reports", 401)):
        async with client.get(path, headers=origin) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == origin["Origin"]
            exposed = response.headers["Access-Control-Expose-Headers"].split(",")
            assert set(exposed) == {"WWW-Authenticate", "Retry-After", "DPoP-Nonce", "X-Request-ID"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,content-type,dpop",
    }
    async with client.options("/reports", headers=asked) as response:
        assert response.status == 200


async def test_the_log_names_whom_a_handler_refused(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = await aiohttp_client(ApiServer(names["create_app"]()))
    bob = {"permissions": ["read:reports"], "sub": "bob"}
    assert (await answered(client, "/reports/7", bob, sandbox_issuer))[0] == 403
    refused = ("", "", "403", "check", "GET", "/reports/{number}", "'bob'")
    assert refused in map(logged, caplog.messages)


async def test_refusals_can_look_otherwise(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> None:
    app = names["create_app_with_errors"](sandbox_issuer.url, AUDIENCE)
    client = await aiohttp_client(ApiServer(app))
    for claims, status, message in (
        (None, 401, "Requires authentication"),
        ({}, 403, "Permission denied"),
    ):
        answer = await answered(client, "/reports", claims, sandbox_issuer)
        assert answer == (status, {"error": {"status": status, "text": message}})
    async with client.get("/reports") as response:
        assert challenge(response.headers) == NO_TOKEN
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_web_socket_is_told_who_asks(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> None:
    client = await aiohttp_client(ApiServer(names["create_app"]()))
    for claims, said, code in (
        ({"sub": "alice"}, {"hello": "alice"}, 1000),
        ({"exp": 1}, None, 4401),
    ):
        async with client.ws_connect("/live") as socket:
            await socket.send_json({"access_token": sandbox_issuer.mint(claims=claims)})
            if said is not None:
                assert (await socket.receive_json())["access_token"]["status"] == 200
                assert await socket.receive_json() == said
            await socket.receive()
            assert socket.close_code == code


async def test_files_are_open(
    names: dict[str, Any],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/hello.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    app = names["create_app"]()
    app.add_routes(names["files"])
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/files/hello.txt") as response:
        assert await response.text() == "hello"


async def test_a_greeting_knows_who_is_known(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> None:
    client = await aiohttp_client(ApiServer(names["create_app"]()))
    for claims, who in ((None, "stranger"), ({"sub": "alice"}, "alice")):
        answer = await answered(client, "/greeting", claims, sandbox_issuer)
        assert answer == (200, {"hello": who})


def test_the_example_of_a_test_passes() -> None:
    defined(until="routes-test")["test_only_health_is_open"]()


async def test_the_examples_of_issuers(sandbox_issuer: Issuer) -> None:
    """Of the validators on the page: several issuers, a resolver, keys and a secret, a profile."""
    several, resolved, profile = (
        defined(sandbox_issuer.url, until=name)["validator"]
        for name in ("several-issuers", "resolver", "validator-options")
    )
    assert (await several.validate(presented(sandbox_issuer.mint()))).issuer == sandbox_issuer.url
    with pytest.raises(auth.InvalidTokenError) as refusal:
        await resolved.validate(presented(sandbox_issuer.mint()))
    assert refusal.value.reason is auth.Reason.ISSUER
    claims = {"client_id": "c", "jti": "1", "org_id": "o"}
    header = {"typ": "at+jwt"}
    assert await profile.validate(presented(sandbox_issuer.mint(claims=claims, header=header)))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"jti": "a1b2c3"}, "revoked"),
        ({"org_id": None}, "missing_claim"),
        ({"iat": 1}, "too_old"),
    ]
    for change, reason in changes:
        with pytest.raises(auth.InvalidTokenError) as refusal:
            await profile.validate(
                presented(sandbox_issuer.mint(claims={**claims, **change}, header=header))
            )
        assert refusal.value.reason == reason


async def test_the_example_of_introspection(sandbox_issuer: Issuer) -> None:
    """With the sandbox's issuer in place of the one on the page."""
    code = examples(PAGE)["introspection"]
    for shown, ours in (
        ("https://id.example.com/", sandbox_issuer.url),
        ("https://api.example.com", sandbox_issuer.audience),
        ("my-api", CLIENT_ID),
        ("not-a-secret", CLIENT_SECRET),
    ):
        assert shown in code
        code = code.replace(shown, ours)
    names: dict[str, Any] = {"auth": auth}
    exec(code, names)
    validator = names["validator"]
    token = sandbox_issuer.opaque()
    assert (await validator.validate(presented(token))).token == token
    assert sandbox_issuer.requests["/oauth/introspect"] == 1
    await validator.close()


async def test_the_example_of_keys_given_directly(
    names: dict[str, Any], sandbox_issuer: Issuer
) -> None:
    secret, key = b"0123456789abcdef" * 2, RSAKey.generate_key(2048)
    validator = names["our_own"](secret, key.as_pem(private=False).decode())
    signers: list[tuple[str, str, Key]] = [
        ("batch-jobs", "HS256", OctKey.import_key(secret)),
        ("partner", "RS256", key),
    ]
    for iss, alg, signer in signers:
        token = sandbox_issuer.mint(
            claims={"iss": iss, "aud": "api"}, header={"alg": alg, "kid": "any"}, key=signer
        )
        assert (await validator.validate(presented(token))).issuer == iss


async def test_the_example_of_an_offline_test(
    names: dict[str, Any],
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
) -> None:
    assert names["pytest_plugins"] == ["hello.sandbox.fixtures"]
    await names["test_who_may_read_reports_does"](aiohttp_client, sandbox_issuer)
    await names["test_a_partners_token_is_good"](sandbox_issuer)


def test_every_rule_is_in_the_table() -> None:
    named = re.findall(r"`(\w+)`", " ".join(part for part, _ in rows(PAGE, "rules")))
    of_headers = [rule.name for rule in header_rules(strict=False)]
    of_claims = [
        rule.name
        for rule in (*audience_rules("aud"), *claim_rules(required=(), strict=False, max_age=None))
    ]
    assert sorted(named) == sorted(["alg", "iss", *of_headers, *of_claims])


def test_every_option_of_protected_has_a_row() -> None:
    """All that the reference has, which `test_options.py` compares with the code."""
    shown = re.findall(r"(\w+)=", " ".join(cell for cell, _ in rows(PAGE, "protected")))
    listed = [cell.strip("`") for cell, *_ in rows("hello/docs/options.md", "protected")]
    assert set(shown) == set(listed)
