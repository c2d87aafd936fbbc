"""What does an operation say about who may call it, and what a refusal looks like?"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.auth.openapi.schemes import BEARER, CERTIFICATE, DPOP, ISSUER
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.openapi import DISCOVERY, answers, foreign, guarded, names, referred, resolved, valid
from support.protecting import new_handler

VERSIONS = ["2.0", "3.0.3", "3.1.0"]
PROTECTED = auth.protected


def said(app: web.Application, version: str = "3.1.0", path: str = "/") -> dict[str, Any]:
    """A document about one operation."""
    return valid(auth.add_security(foreign(version, ("get", path)), app))


def marked(mark: Callable[[Any], Any], **setup: Any) -> web.Application:
    return guarded(web.get("/", mark(new_handler())), **setup)


def all_of(names: list[str], scopes: list[str]) -> list[dict[str, list[str]]]:
    """Of an application that takes bearer tokens and DPoP, and whose issuer is known."""
    return [{BEARER: names}, {DPOP: names}, {ISSUER: scopes}]


async def is_owner(_token: auth.AccessToken) -> bool:
    return True


BOTH = PROTECTED(scopes={"b", "a"}, permissions={"p"})
EITHER = PROTECTED(any_scope=["a", "b"], scopes={"c"})


@pytest.mark.parametrize(
    ("mark", "version", "expected"),
    [
        (auth.public, "2.0", []),
        (auth.public, "3.0.3", []),
        (auth.public, "3.1.0", []),
        (auth.optional, "2.0", [{}, {BEARER: []}]),
        (auth.optional, "3.1.0", [{}, *all_of([], [])]),
        (PROTECTED, "2.0", [{BEARER: []}]),
        (PROTECTED, "3.0.3", all_of([], [])),
        (PROTECTED, "3.1.0", all_of([], [])),
        (BOTH, "2.0", [{BEARER: []}]),
        (BOTH, "3.0.3", all_of([], ["a", "b"])),
        (BOTH, "3.1.0", all_of(["a", "b", "p"], ["a", "b"])),
        (BOTH, "3.2.0", all_of(["a", "b", "p"], ["a", "b"])),
        (EITHER, "2.0", [{BEARER: []}]),
        (
            EITHER,
            "3.0.3",
            [{BEARER: []}, {DPOP: []}, {ISSUER: ["a", "c"]}, {ISSUER: ["b", "c"]}],
        ),
        (
            EITHER,
            "3.1.0",
            [{name: [one, "c"]} for name in (BEARER, DPOP, ISSUER) for one in ("a", "b")],
        ),
        (PROTECTED(claims={"org": "x"}, check=is_owner), "3.1.0", all_of([], [])),
    ],
)
def test_a_mark_becomes_security(
    mark: Callable[[Any], Any], version: str, expected: list[dict[str, list[str]]]
) -> None:
    assert names(said(marked(mark), version), "/") == expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("mark", "statuses"),
    [
        (auth.public, set()),
        (auth.optional, {"401", "503"}),
        (PROTECTED, {"401", "503"}),
        (PROTECTED(scopes={"a"}), {"401", "403", "503"}),
        (PROTECTED(any_scope=["a"]), {"401", "403", "503"}),
        (PROTECTED(permissions={"a"}), {"401", "403", "503"}),
        (PROTECTED(claims={"a": 1}), {"401", "403", "503"}),
        (PROTECTED(check=is_owner), {"401", "403", "503"}),
        (PROTECTED(acr_values=["mfa"], max_auth_age=60), {"401", "503"}),
    ],
)
def test_a_403_is_there_only_where_a_valid_token_can_lack_something(
    mark: Callable[[Any], Any], version: str, statuses: set[str]
) -> None:
    document = said(marked(mark), version)
    assert answers(document, "/") == {"200", *statuses}
    assert ("components" in document or "responses" in document) is bool(statuses)


def test_requirements_of_groups_add_up() -> None:
    app = guarded()
    child = PROTECTED(any_scope=["x", "y"])(web.Application())
    child.router.add_get("/", PROTECTED(scopes={"a"})(new_handler()))
    child.router.add_get("/hi", auth.optional(new_handler()))
    app.add_subapp("/child", child)
    document = valid(auth.openapi(app))
    assert names(document, "/child/")[:2] == [{BEARER: ["a", "x"]}, {BEARER: ["a", "y"]}]
    assert names(document, "/child/hi")[:3] == [{}, {BEARER: ["x"]}, {BEARER: ["y"]}]
    assert "403" in answers(document, "/child/hi")


def validator(**options: Any) -> auth.TokenValidator:
    return auth.TokenValidator(
        **{"issuer": "https://id.example.com/", "audience": "api", "dpop": "off"} | options
    )


async def acme(_iss: str, _host: str) -> auth.TrustedIssuer | None:
    return None


class Own:
    """A validator of the application's own."""

    timing = auth.Timing()
    authorization_servers = ("https://id.example.com/",)
    challenges = auth.Challenges()

    async def validate(self, _presented: auth.Presented) -> auth.AccessToken:
        raise AssertionError


def trusted(issuer: str, **options: Any) -> auth.TrustedIssuer:
    return auth.TrustedIssuer(issuer=issuer, audience="api", **options)


PROXIES = auth.CertificateHeader(proxies=["10.1.2.3"])
SECRET = "0123456789abcdef" * 2
HTTP_BEARER = {"type": "http", "scheme": "bearer"}
JWT = {**HTTP_BEARER, "bearerFormat": "JWT"}
FOUND = {"type": "openIdConnect", "openIdConnectUrl": DISCOVERY}
HTTP_DPOP = {"type": "http", "scheme": "dpop"}
TLS = {"type": "mutualTLS"}
KEY = {"type": "apiKey", "in": "header"}
ELSEWHERE = {**FOUND, "openIdConnectUrl": "https://b.example/t/.well-known/openid-configuration"}


@pytest.mark.parametrize(
    ("version", "setup", "schemes", "ways"),
    [
        ("3.1.0", {"validator": validator()}, {BEARER: JWT, ISSUER: FOUND}, [[BEARER], [ISSUER]]),
        (
            "3.1.0",
            {"validator": validator(dpop="required")},
            {DPOP: HTTP_DPOP, ISSUER: FOUND},
            [[DPOP], [DPOP, ISSUER]],
        ),
        (
            "3.1.0",
            {"validator": validator(), "client_certificate": PROXIES},
            {BEARER: JWT, CERTIFICATE: TLS, ISSUER: FOUND},
            [[BEARER], [BEARER, CERTIFICATE], [ISSUER]],
        ),
        (
            "3.0.3",
            {"validator": validator(), "client_certificate": PROXIES},
            {BEARER: JWT, ISSUER: FOUND},
            [[BEARER], [ISSUER]],
        ),
        ("2.0", {}, {BEARER: {**KEY, "name": "Authorization"}}, [[BEARER]]),
        ("3.1.0", {"header": "X-Token"}, {BEARER: {**KEY, "name": "X-Token"}}, [[BEARER]]),
        ("2.0", {"header": "X-Token"}, {BEARER: {**KEY, "name": "X-Token"}}, [[BEARER]]),
        ("3.1.0", {"validator": Own()}, {BEARER: HTTP_BEARER}, [[BEARER]]),
        (
            "3.1.0",
            {"validator": auth.TokenValidator(issuers=acme, dpop="off")},
            {BEARER: JWT},
            [[BEARER]],
        ),
        (
            "3.1.0",
            {
                "validator": auth.TokenValidator(
                    issuers=[
                        trusted("https://id.example.com/"),
                        trusted("https://b.example/t"),
                        trusted("https://c.example/", jwks_uri="https://keys.internal/"),
                        trusted("partner", secret=SECRET),
                        trusted("http://d.internal/", allow_insecure_http=True),
                    ],
                    dpop="off",
                )
            },
            {BEARER: JWT, ISSUER: FOUND, f"{ISSUER}2": ELSEWHERE},
            [[BEARER], [ISSUER], [f"{ISSUER}2"]],
        ),
        (
            "3.1.0",
            {
                "validator": auth.TokenValidator(
                    issuers=[
                        trusted(
                            "https://id.example.com/",
                            introspection=auth.Introspection(
                                client_id="api-client",
                                client_secret=SECRET,
                                endpoint="https://introspect.internal/",
                            ),
                        )
                    ],
                    dpop="off",
                )
            },
            {BEARER: HTTP_BEARER, ISSUER: FOUND},
            [[BEARER], [ISSUER]],
        ),
    ],
)
def test_what_an_application_takes_becomes_schemes(
    version: str, setup: dict[str, Any], schemes: dict[str, Any], ways: list[list[str]]
) -> None:
    document = said(marked(PROTECTED, **setup), version)
    parts = document if version == "2.0" else document["components"]
    there = parts["securityDefinitions" if version == "2.0" else "securitySchemes"]
    for scheme in there.values():
        scheme.pop("description", None)
    assert there == schemes
    assert [list(each) for each in names(document, "/")] == ways
    text = json.dumps(document)
    assert not any(word in text for word in (SECRET, "internal", "10.1.2.3", "api-client"))


def test_nothing_is_said_of_bodies_that_the_application_makes_itself() -> None:
    def refuse(_request: web.Request, _refusal: auth.AuthError) -> web.Response:
        return web.Response()

    document = said(marked(PROTECTED(scopes={"a"}), refuse=refuse))
    for status, header in (("401", "WWW-Authenticate"), ("403", "WWW-Authenticate")):
        answer = resolved(document, "/", status)
        assert "content" not in answer
        assert answer["headers"][header]["required"]


def test_an_application_within_may_have_its_own_validator_and_bodies() -> None:
    def refuse(_request: web.Request, _refusal: auth.AuthError) -> web.Response:
        return web.Response()

    app = marked(PROTECTED)
    inner = auth.TokenValidator(issuer="https://b.example/t", audience="b")
    app.add_subapp("/b", guarded(web.get("/", new_handler()), validator=inner, refuse=refuse))
    document = valid(auth.openapi(app))
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {BEARER, DPOP, ISSUER, f"{ISSUER}2"}
    assert names(document, "/") == all_of([], [])
    assert names(document, "/b/") == [{BEARER: []}, {DPOP: []}, {f"{ISSUER}2": []}]
    assert "content" in resolved(document, "/", "401")
    assert "content" not in resolved(document, "/b/", "401")


REFUSED: list[tuple[dict[str, Any] | None, int]] = [(None, 401), ({"exp": 1}, 401), ({}, 403)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("claims", "status"), [*REFUSED, ({"sub": "x"}, 503)])
async def test_a_refusal_is_what_the_document_says(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    version: str,
    claims: dict[str, Any] | None,
    status: int,
) -> None:
    options: dict[str, Any] = {"jwks_uri": "http://localhost:9/"} if status == 503 else {}
    known = auth.TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, **options)
    nonces = auth.DPoP(nonces=auth.Nonces(b"0123456789abcdef" * 2))
    app = marked(
        PROTECTED(scopes={"a"}), validator=auth.TokenValidator(issuers=[known], dpop=nonces)
    )
    document = said(app, version)
    said_of = resolved(document, "/", str(status))
    client = await aiohttp_client(ApiServer(app))
    headers = {} if claims is None else bearer(issuer.mint(claims=claims))
    async with client.get("/", headers=headers) as response:
        assert response.status == status
        body = await response.json()
        expected = {"WWW-Authenticate"} if status < 500 else {"Retry-After"}
        assert {*response.headers} >= expected
        assert {*said_of["headers"]} == {*expected, "DPoP-Nonce"}
    schema = said_of if version == "2.0" else said_of["content"]["application/json"]
    schema = referred(document, schema["schema"])
    assert set(body) == set(schema["properties"]) == set(schema["required"])
    assert body["message"] in schema["properties"]["message"]["enum"]
    assert schema["additionalProperties"] is False
