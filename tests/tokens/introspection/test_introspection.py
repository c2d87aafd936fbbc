"""Tokens that only their issuer can read: what is good, and who is asked?"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello.auth import Introspection, Reason, TokenValidator
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import METADATA, OAUTH_METADATA, FailingIssuer, members
from support.introspecting import INTROSPECT, asked, introspecting
from support.naming import naming
from support.validators import presented, reason_for


async def test_an_active_token_grants_what_the_issuer_says(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    text = issuer.opaque(claims={"scope": "read write", "permissions": ["p"], "sub": "alice"})
    token = await validator.validate(presented(text))
    assert (token.token, token.issuer, token.subject) == (text, issuer.url, "alice")
    assert token.scopes == {"read", "write"}
    assert token.permissions == {"p"}
    assert (dict(token.header), token.claims["client_id"]) == ({}, CLIENT_ID)
    assert "active" not in token.claims
    assert text not in repr(token)


async def test_a_scope_of_an_opaque_token_includes_others_too(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    async with introspecting(issuer, clock, scope_includes={"write": {"read"}}) as validator:
        token = await validator.validate(presented(issuer.opaque(claims={"scope": "write"})))
        assert token.scopes == {"read", "write"}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, None),
        ({"iss": OMIT}, None),  # the endpoint is the issuer's own
        ({"iss": "https://elsewhere.example.com/"}, Reason.ISSUER),
        ({"iss": None}, Reason.ISSUER),
        ({"iss": ["x"]}, Reason.ISSUER),
        ({"aud": ["x", AUDIENCE]}, None),
        ({"aud": "x"}, Reason.AUDIENCE),
        ({"aud": OMIT}, Reason.AUDIENCE),
        ({"aud": []}, Reason.AUDIENCE),
        ({"aud": None}, Reason.AUDIENCE),
        ({"exp": OMIT}, Reason.EXPIRY),
        ({"exp": "1900000000"}, Reason.EXPIRY),
        ({"exp": 1_700_000_000}, Reason.EXPIRED),
        ({"nbf": 1_900_000_000}, Reason.NOT_YET_VALID),
        ({"iat": 1_900_000_000}, Reason.ISSUED_AT),
        ({"iat": OMIT}, None),
        ({"sub": 1}, Reason.CLAIM_TYPE),
        ({"sub": OMIT}, None),
        ({"scope": {}}, Reason.CLAIM_TYPE),
        ({"permissions": "x"}, Reason.CLAIM_TYPE),
        ({"cnf": {"jkt": "x"}}, Reason.BOUND),
        ({"cnf": {"jkt": "x"}, "token_type": "DPoP"}, Reason.BOUND),
        ({"token_type": OMIT}, None),
        ({"token_type": "bearer"}, None),
        ({"token_type": "DPoP"}, Reason.TYPE),
        ({"token_type": "N_A"}, Reason.TYPE),
        ({"token_type": "refresh_token"}, Reason.TYPE),
        ({"token_type": None}, Reason.TYPE),
        ({"token_use": "access_token"}, None),
        ({"token_use": "access"}, None),
        ({"token_use": "refresh_token"}, Reason.TYPE),
        ({"token_use": "id"}, Reason.TYPE),
        ({"typ": "Bearer"}, None),
        ({"typ": "Refresh"}, Reason.TYPE),
        ({"typ": "Offline"}, Reason.TYPE),
        ({"typ": "ID"}, Reason.TYPE),
        ({"typ": ["Bearer"]}, Reason.TYPE),
        ({"active": False}, Reason.INACTIVE),
        ({"active": "true"}, Reason.INTROSPECTION_UNAVAILABLE),
        ({"active": 1}, Reason.INTROSPECTION_UNAVAILABLE),
        ({"active": None}, Reason.INTROSPECTION_UNAVAILABLE),
        ({"active": OMIT}, Reason.INTROSPECTION_UNAVAILABLE),
    ],
)
async def test_the_rules_for_claims_hold_for_an_answer(
    issuer: FailingIssuer,
    validator: TokenValidator,
    claims: Mapping[str, Any],
    reason: Reason | None,
) -> None:
    text = issuer.opaque(claims=claims)
    assert [await reason_for(validator, text) for _ in range(2)] == [reason, reason]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [({}, None), ({"client_id": "x"}, Reason.AUDIENCE), ({"client_id": OMIT}, Reason.AUDIENCE)],
)
async def test_another_claim_may_name_the_audience(
    issuer: FailingIssuer, clock: FakeClock, claims: Mapping[str, Any], reason: Reason | None
) -> None:
    """As for django-oauth-toolkit, whose answers have no `aud`."""
    trusted = {"audience": CLIENT_ID, "audience_claim": "client_id"}
    async with introspecting(issuer, clock, trusted=trusted) as validator:
        text = issuer.opaque(claims={"aud": OMIT, **claims})
        assert await reason_for(validator, text) is reason


async def test_a_signed_token_is_verified_here_and_sent_to_nobody(
    issuer: FailingIssuer, validator: TokenValidator, keys: list[Key]
) -> None:
    await validator.validate(presented(issuer.mint()))
    forged = issuer.mint(key=keys[1], header={"kid": issuer.key.kid})
    assert await reason_for(validator, forged) is Reason.SIGNATURE
    elsewhere = issuer.mint(claims={"iss": "https://elsewhere.example.com/"})
    assert await reason_for(validator, elsewhere) is Reason.ISSUER
    assert asked(issuer) == 0


@pytest.mark.parametrize(
    "text", ["a b", "ä", "\udcff", "a\n", "a,b", '"a"', "=", "a=b", "a" * 4097, "\x00", "a b.c.d"]
)
async def test_what_no_token_looks_like_is_sent_to_nobody(
    issuer: FailingIssuer, validator: TokenValidator, text: str
) -> None:
    """RFC 6750 §2.1: b64token."""
    assert await reason_for(validator, text) is Reason.MALFORMED
    assert issuer.requests == {}


@pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "a.b.c.d.e", "-._~+/x==", "a" * 4096])
async def test_what_might_be_a_token_is_asked_about(
    issuer: FailingIssuer, validator: TokenValidator, text: str
) -> None:
    """An encrypted one is, too: its issuer can read it."""
    assert await reason_for(validator, text) is Reason.INACTIVE
    assert asked(issuer) == 1


async def test_without_introspection_nobody_is_asked(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    assert await reason_for(validator, issuer.opaque()) is Reason.MALFORMED
    assert issuer.requests == {}


@pytest.mark.parametrize(
    "shape",
    [
        {"token_type": OMIT, "aud": OMIT},  # oidc-provider
        {"token_type": OMIT, "token_use": "refresh_token"},
        {"token_type": "Bearer", "token_use": "refresh_token"},  # Ory Hydra
        {"token_type": "refresh_token", "aud": CLIENT_ID},  # glewlwyd
        {"token_type": "id_token", "aud": CLIENT_ID},
        {"token_type": OMIT, "typ": "Refresh"},  # Keycloak
    ],
)
@pytest.mark.parametrize(("claim", "audience"), [("aud", AUDIENCE), ("client_id", CLIENT_ID)])
async def test_a_refresh_token_is_no_access_token(
    issuer: FailingIssuer,
    clock: FakeClock,
    shape: Mapping[str, Any],
    claim: str,
    audience: str,
) -> None:
    """These issuers say that it is active."""
    trusted = {"audience": audience, "audience_claim": claim}
    async with introspecting(issuer, clock, trusted=trusted) as validator:
        reason = await reason_for(validator, issuer.opaque(claims=shape))
    assert reason in (Reason.TYPE, Reason.AUDIENCE)


@pytest.mark.parametrize("only_access_tokens", [True, False])
async def test_a_token_of_django_oauth_toolkit_has_no_type(
    issuer: FailingIssuer, clock: FakeClock, *, only_access_tokens: bool
) -> None:
    """Its refresh tokens are never active, and that is the operator's word."""
    client = Introspection(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        only_access_tokens=only_access_tokens,
    )
    trusted = {"audience": CLIENT_ID, "audience_claim": "client_id"}
    async with introspecting(issuer, clock, client, trusted) as validator:
        text = issuer.opaque(
            claims={**dict.fromkeys(("token_type", "aud", "iss", "sub", "iat"), OMIT)}
        )
        reason = await reason_for(validator, text)
        assert reason is (None if only_access_tokens else Reason.TYPE)
        typed = issuer.opaque(claims={"token_type": "refresh_token", "aud": OMIT})
        assert await reason_for(validator, typed) is Reason.TYPE


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, '{"error": "unsupported_token_type"}', Reason.INACTIVE),
        (401, '{"error": "invalid_token"}', Reason.INACTIVE),
        (401, '{"error": "invalid_client"}', Reason.INTROSPECTION_UNAVAILABLE),
        (401, "", Reason.INTROSPECTION_UNAVAILABLE),
        (403, "", Reason.INTROSPECTION_UNAVAILABLE),
        (400, '{"error": ["invalid_token"]}', Reason.INTROSPECTION_UNAVAILABLE),
        (400, '{"active": true}', Reason.INTROSPECTION_UNAVAILABLE),
        (500, '{"error": "invalid_token"}', Reason.INTROSPECTION_UNAVAILABLE),
        (204, "", Reason.INTROSPECTION_UNAVAILABLE),
    ],
)
async def test_an_error_may_speak_of_the_token_or_of_us(
    issuer: FailingIssuer,
    validator: TokenValidator,
    status: int,
    body: str,
    reason: Reason,
) -> None:
    async def answer(_issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    issuer.answers[INTROSPECT] = answer
    assert await reason_for(validator, issuer.opaque()) is reason


async def test_the_endpoint_may_be_in_the_second_metadata(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    """As django-oauth-toolkit has it."""
    issuer.answers[METADATA] = members(introspection_endpoint=OMIT)
    issuer.answers[OAUTH_METADATA] = members()
    await validator.validate(presented(issuer.opaque()))


async def test_the_endpoint_may_be_given(issuer: FailingIssuer, clock: FakeClock) -> None:
    """Then the metadata is not read, and the issuer may have any name."""
    given = Introspection(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        endpoint=f"{issuer.url}{INTROSPECT[1:]}",
    )
    trusted = {"issuer": "the issuer", "keys": issuer.published[0]}
    async with introspecting(issuer, clock, given, trusted) as validator:
        token = await validator.validate(presented(issuer.opaque(claims={"iss": OMIT})))
    assert token.issuer == "the issuer"
    assert set(issuer.requests) == {INTROSPECT}


@pytest.mark.parametrize(
    "endpoint",
    [
        OMIT,
        None,
        "",
        7,
        "http://issuer.example.com/introspect",
        "http://192.0.2.1/introspect",
        "ftp://localhost/",
        "/introspect",
    ],
)
async def test_a_token_is_sent_nowhere_unsafe(
    issuer: FailingIssuer, validator: TokenValidator, endpoint: Any
) -> None:
    issuer.answers[METADATA] = members(introspection_endpoint=endpoint)
    assert await reason_for(validator, issuer.opaque()) is Reason.INTROSPECTION_UNAVAILABLE
    assert asked(issuer) == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_takes_a_token_elsewhere(
    issuer: FailingIssuer, validator: TokenValidator, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    async def elsewhere(issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": f"{issuer.trap}/introspect"})

    issuer.answers[INTROSPECT] = elsewhere
    assert await reason_for(validator, issuer.opaque()) is Reason.INTROSPECTION_UNAVAILABLE
    assert issuer.trapped == 0
    assert re.search(naming(status, "endpoint"), caplog.text)


async def test_plain_http_for_keys_is_none_for_tokens(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    endpoint = "http://keycloak:8080/introspect"
    issuer.answers[METADATA] = members(introspection_endpoint=endpoint)
    async with introspecting(issuer, clock, trusted={"allow_insecure_http": True}) as validator:
        assert await reason_for(validator, issuer.opaque()) is Reason.INTROSPECTION_UNAVAILABLE
    with pytest.raises(ValueError, match=naming("endpoint", repr(endpoint))):
        Introspection(client_id="x", client_secret="x", endpoint=endpoint)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-5],
        lambda token: token[: len(token) // 2],
        lambda token: token.partition(".")[0],
        lambda token: f"{token}==",
        lambda token: token.replace(".", "..", 1),
        lambda token: f"{token}.x",
        lambda token: token.replace("_", "/").replace("-", "+") + "/",
    ],
)
async def test_a_broken_jwt_is_sent_to_nobody(
    issuer: FailingIssuer, validator: TokenValidator, change: Callable[[str], str]
) -> None:
    """Whoever repairs it has a token that is good elsewhere."""
    assert await reason_for(validator, change(issuer.mint())) is Reason.MALFORMED
    assert asked(issuer) == 0
