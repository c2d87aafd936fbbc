"""What else do the pages about providers say of routes, checks, permissions and strictness?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hello import auth
from hello.app import create_app
from hello.config import Config
from hello.sandbox.issuer import OMIT
from support.api import ApiServer, Client
from support.providers.apps import KINDE_MACHINE
from support.providers.every import PROVIDERS, answered, app_of, environment_of, verdict_of
from support.providers.login import COGNITO_MACHINE
from support.providers.microsoft import API
from support.providers.sending import Change, Sent, having, id_token, unchanged
from support.providers.workloads import PROGRAM
from support.validators import presented

NAMES = list(PROVIDERS)
Serve = Callable[[ApiServer], Awaitable[Client]]

DAEMON = having({"scp": OMIT, "roles": ["Nightly.Run"]})


def client_roles(resource_access: Any) -> Change:
    return having({"resource_access": resource_access})


@pytest.mark.parametrize(
    ("name", "path", "change", "status"),
    [
        ("keycloak", "/reports", client_roles({"hello-api": {"roles": ["writer"]}}), 200),
        ("keycloak", "/reports", client_roles({"account": {"roles": ["writer"]}}), 403),
        ("keycloak", "/reports", client_roles(OMIT), 403),
        ("keycloak", "/reports", client_roles(None), 403),
        ("keycloak", "/reports", client_roles({"hello-api": None}), 403),
        ("keycloak", "/reports", client_roles({"hello-api": {"roles": "writer"}}), 403),
        ("entra", "/nightly", DAEMON, 200),
        ("entra", "/nightly", unchanged, 403),
        ("cognito", "/nightly", COGNITO_MACHINE, 200),
        ("cognito", "/nightly", unchanged, 403),
        ("kinde", "/nightly", KINDE_MACHINE, 200),
        ("kinde", "/nightly", unchanged, 403),
        ("cloudflare", "/nightly", PROGRAM, 200),
        ("cloudflare", "/nightly", unchanged, 403),
    ],
)
async def test_the_other_routes_of_a_section(
    provider: Callable[[str], Awaitable[Sent]],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    path: str,
    change: Change,
    status: int,
) -> None:
    sent = change(await provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent, "POST", path) == status
    assert not [each for each in caplog.records if each.exc_info]


NO_ROLES: list[Any] = [None, 1, [], "report-reader", ["report-reader"]]
ODD: list[tuple[str, dict[str, Any]]] = [
    *(("keycloak", {"realm_access": odd}) for odd in NO_ROLES),
    *(("keycloak", {"realm_access": {"roles": odd}}) for odd in (*NO_ROLES[:4], {})),
    *(("google", {"email": odd}) for odd in (*NO_ROLES, {})),
    *(("cloudflare", {"email": odd}) for odd in (*NO_ROLES[:3], {})),
    *(("clerk", {"o": odd}) for odd in (*NO_ROLES, {}, {"rol": ["admin"]})),
    *(("supabase", {"app_metadata": odd}) for odd in (*NO_ROLES, {})),
    *(("supabase", {"app_metadata": {"roles": odd}}) for odd in (*NO_ROLES[:4], {})),
]


@pytest.mark.parametrize(("name", "claims"), ODD)
async def test_a_claim_of_another_type_is_refused_as_a_missing_one_is(
    provider: Callable[[str], Awaitable[Sent]],
    aiohttp_client: Serve,
    caplog: pytest.LogCaptureFixture,
    name: str,
    claims: dict[str, Any],
) -> None:
    sent = having(claims)(await provider(name))
    client = await aiohttp_client(ApiServer(app_of(sent.code)))
    assert await answered(client, sent) == 403
    assert not [each for each in caplog.records if each.exc_info]


@pytest.mark.parametrize("name", NAMES)
async def test_a_check_is_called_by_what_it_asks_for(
    provider: Callable[[str], Awaitable[Sent]], name: str
) -> None:
    """In the list of routes and in the advice."""
    sent = await provider(name)
    app = app_of(sent.code)
    access = {route.access for route in auth.routes(app)}
    checks = {each for line in access for each in line.split(", ") if each.startswith("check ")}
    assert "check check" not in checks
    nested = ("realm_access", "resource_access", "email", "o", "app_metadata")
    lacking = having(dict.fromkeys(nested))(sent)
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
        ("kinde", {"permissions": [ADMIN]}, 200),
        ("entra", {"roles": [ADMIN]}, 403),
    ],
)
async def test_who_can_have_the_project_s_admin_permission(
    provider: Callable[[str], Awaitable[Sent]],
    aiohttp_client: Serve,
    name: str,
    claims: dict[str, Any],
    status: int,
) -> None:
    sent = having(claims)(await provider(name))
    environ = {**environment_of(name), "ADMIN_PERMISSION": ADMIN}
    client = await aiohttp_client(ApiServer(create_app(Config.from_environ(environ))))
    assert await answered(client, sent, path="/api/messages/admin") == status


async def test_entra_s_warnings(
    provider: Callable[[str], Awaitable[Sent]], aiohttp_client: Serve
) -> None:
    """Of ID tokens with the API's `aud`, and of tokens with 200 groups."""
    sent = await provider("entra")
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
    provider: Callable[[str], Awaitable[Sent]], name: str, change: Change, verdict: str
) -> None:
    sent = change(await provider(name))
    trusted = auth.TrustedIssuer(
        issuer=sent.claims["iss"],
        audience=sent.claims.get("aud", "none"),
        algorithms=[PROVIDERS[name].alg],
        jwks_uri=PROVIDERS[name].keys_at,
        allow_insecure_http=True,
    )
    validator = auth.TokenValidator(issuers=[trusted], strict=True)
    assert await verdict_of(validator, sent) == verdict


async def test_google_s_health_checks_need_no_assertion(
    provider: Callable[[str], Awaitable[Sent]], aiohttp_client: Serve
) -> None:
    client = await aiohttp_client(ApiServer(app_of((await provider("iap")).code)))
    async with client.get("/health") as response:
        assert response.status == 200
