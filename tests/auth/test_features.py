"""Is there each feature that peers have or lack, with a token that it lets in and one it keeps out?

The peers are those of express-oauth2-jwt-bearer, Auth0's Python packages, Spring Security, Envoy
and go-jwt-middleware.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, assert_type

import pytest
from aiohttp import web
from joserfc.jwk import OctKey

from hello import auth
from hello.auth import AccessToken, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from support.api import ApiServer, Client, bearer
from support.logs import reasons
from support.protecting import new_handler

SECRET = b"0123456789abcdef" * 4
DAY = 86_400


class Case(NamedTuple):
    """What is asked of tokens and of a route; then a token that will do, and one that will not."""

    feature: str
    good: Mapping[str, Any]
    bad: Mapping[str, Any]
    refusal: str
    asked: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    trusted: Mapping[str, Any] = {}
    several: bool = False
    resolved: bool = False


def is_alice(token: AccessToken) -> bool:
    return token.subject == "alice"


async def is_blocked(token: AccessToken) -> bool:
    return token.claims.get("jti") == "blocked"


RFC_9068 = {"client_id": "c", "jti": "1"}
NOW = 1_800_000_000
CASES = [
    Case(
        "all of the scopes", {"scope": "a b"}, {"scope": "a"}, "403 scope", {"scopes": {"a", "b"}}
    ),
    Case("scopes as a list", {"scope": ["a"]}, {"scope": ["b"]}, "403 scope", {"scopes": {"a"}}),
    Case("scopes in scp", {"scp": ["a"]}, {"scp": "b"}, "403 scope", {"scopes": {"a"}}),
    Case(
        "any of the scopes", {"scope": "b"}, {"scope": "c"}, "403 scope", {"any_scope": ["a", "b"]}
    ),
    Case(
        "Auth0's permissions",
        {"permissions": ["p"]},
        {"permissions": OMIT},
        "403 permissions",
        {"permissions": {"p"}},
    ),
    Case("a claim equals", {"org": "o"}, {"org": "x"}, "403 claim", {"claims": {"org": "o"}}),
    Case(
        "a claim includes", {"g": ["a", "b"]}, {"g": ["a"]}, "403 claim", {"claims": {"g": {"b"}}}
    ),
    Case("a rule of one's own", {"sub": "alice"}, {"sub": "bob"}, "403 check", {"check": is_alice}),
    Case("step-up by acr", {"acr": "mfa"}, {}, "401 authentication", {"acr_values": ["mfa"]}),
    Case(
        "step-up by the age of the login",
        {"auth_time": NOW - 60},
        {"auth_time": NOW - 61},
        "401 authentication",
        {"max_auth_age": 60},
    ),
    Case(
        "strict RFC 9068",
        {"typ": "at+jwt", **RFC_9068},
        {"typ": "JWT", **RFC_9068},
        "401 type",
        options={"strict": True},
    ),
    Case("leeway", {"exp": NOW - 29}, {"exp": NOW - 30}, "401 expired", options={"leeway": 30}),
    Case(
        "the age of a token",
        {"iat": NOW - 64},
        {"iat": NOW - 65},
        "401 too_old",
        options={"max_age": 60},
    ),
    Case(
        "required claims",
        {"org_id": "1"},
        {},
        "401 missing_claim",
        options={"required_claims": ["org_id"]},
    ),
    Case(
        "revocation",
        {"jti": "good"},
        {"jti": "blocked"},
        "401 revoked",
        options={"revoked": is_blocked},
    ),
    Case(
        "an allow-list of algorithms",
        {"alg": "PS256"},
        {"alg": "RS384"},
        "401 algorithm",
        trusted={"algorithms": ["PS256", "RS256"]},
    ),
    Case(
        "several audiences",
        {"aud": "api://two"},
        {"aud": "api://three"},
        "401 audience",
        trusted={"audience": ["https://hello-world.example.com", "api://two"]},
    ),
    Case(
        "a shared secret",
        {"alg": "HS256"},
        {"alg": "RS256"},
        "401 algorithm",
        trusted={"secret": SECRET},
    ),
    Case("keys given directly", {}, {"alg": "PS256"}, "401 algorithm", trusted={"keys": "its own"}),
    Case("several issuers", {}, {"iss": "https://x.example.com"}, "401 issuer", several=True),
    Case("a resolver's issuers", {}, {"iss": "https://x.example.com"}, "401 issuer", resolved=True),
    Case("bound tokens without a proof", {}, {"cnf": {"jkt": "x"}}, "401 bound"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.feature)
async def test_it_lets_in_and_keeps_out(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    case: Case,
) -> None:
    """Each refusal with its reason in the log, for machines to read."""

    class Clock:
        def time(self) -> float:
            return NOW

        def monotonic(self) -> float:
            return 0

    issuer.clock = Clock().time
    own = {name: value for name, value in issuer.published[0].items() if name != "alg"}
    issuer.published = [own]
    trusted = {"issuer": issuer.url, "audience": issuer.audience, **case.trusted}
    if "keys" in trusted:
        trusted["keys"] = own
    known = [TrustedIssuer(**trusted)]
    if case.several:
        known.append(TrustedIssuer(issuer="https://y.example.com", audience="y"))

    async def resolver(iss: str, _host: str) -> TrustedIssuer | None:
        return {issuer.url: known[0]}.get(iss)

    app = web.Application()
    issuers: Any = resolver if case.resolved else known
    auth.setup(app, TokenValidator(issuers=issuers, clock=Clock(), **case.options))
    app.router.add_get("/", auth.protected(**case.asked)(new_handler()))
    client = await aiohttp_client(ApiServer(app))

    def token(changes: Mapping[str, Any]) -> str:
        header = {name: changes[name] for name in ("alg", "typ") if name in changes}
        claims = {name: value for name, value in changes.items() if name not in header}
        key = OctKey.import_key(SECRET) if header.get("alg") == "HS256" else None
        return issuer.mint(claims=claims, header={**header, "kid": own["kid"]}, key=key)

    async with client.get("/", headers=bearer(token(case.good))) as response:
        assert response.status == 200
    async with client.get("/", headers=bearer(token(case.bad))) as response:
        assert str(response.status) == case.refusal.split()[0]
    assert reasons(caplog) == [case.refusal]


async def test_a_user_gets_types(issuer: Issuer) -> None:
    """What mypy makes of a user's code, in its strict mode."""

    @auth.protected(scopes={"a"})
    async def handler(request: web.Request) -> web.Response:
        assert_type(request[auth.ACCESS_TOKEN], AccessToken)
        return web.json_response({})

    async def resolver(_issuer: str, _host: str) -> TrustedIssuer | None:
        return None

    typed: list[Callable[[web.Request], Awaitable[web.Response]]] = [handler]
    assert typed == [handler]
    known: auth.Resolver = resolver
    app = auth.protected(web.Application())
    assert_type(app, web.Application)
    assert_type(auth.public(auth.RouteTable()), auth.RouteTable)
    auth.setup(app, TokenValidator(issuers=known))
    assert_type(app[auth.TOKEN_VALIDATOR], auth.Validator)
    assert_type(auth.routes(app), list[auth.RouteAccess])
    assert_type(await auth.explain(app, issuer.mint()), auth.Explanation)
