"""Does the explanation of a refusal say what the validator thinks, and what to do about it?"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import OctKey

from hello import auth
from hello.auth import AuthError, Explanation, Reason, TokenValidator, TrustedIssuer
from hello.auth.advice import _ADVICE
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE, ApiServer, Client
from support.clock import FakeClock
from support.explaining import app_with, explained, the_text
from support.forger import Forger, Hostile
from support.hostile_tokens import EVERY_TOKEN, named
from support.protecting import new_handler, status

PROVOKED_BY_REQUESTS = {
    Reason.SEVERAL_CREDENTIALS,
    Reason.SCOPE,
    Reason.PERMISSIONS,
    Reason.CLAIM,
    Reason.CHECK,
    Reason.AUTHENTICATION,
}


@pytest.fixture
def validator(issuer: Issuer, clock: FakeClock) -> TokenValidator:
    issuer.clock = clock.time
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)


def first_failed(explanation: Explanation) -> auth.Finding:
    return next(finding for finding in explanation.findings if finding.reason is not None)


def test_every_reason_that_a_token_can_be_refused_for_has_its_advice() -> None:
    assert set(_ADVICE) == set(Reason) - PROVOKED_BY_REQUESTS


async def test_a_good_token_meets_every_rule(issuer: Issuer, validator: TokenValidator) -> None:
    explanation = await explained(validator, issuer.mint())
    assert {finding.status for finding in explanation.findings} == {"ok"}
    assert [finding.rule for finding in explanation.findings] == [
        *("size", "form", "crit", "b64", "kid", "typ", "iss", "alg", "key", "signature"),
        *("aud", "exp", "nbf", "iat", "sub", "scope", "scp", "permissions", "cnf"),
    ]
    assert explanation.refusal is None
    assert str(explanation).endswith("\n\nThe token is valid.")
    assert f'ok aud "{AUDIENCE}" (wants {AUDIENCE})' in the_text(explanation)
    assert str(explanation).count("\n") == len(explanation.findings) + 1
    assert "<-" not in str(explanation)
    assert "2027-01-15 08:00:00 UTC, 0 s ago" in str(explanation)


async def test_what_to_do_fits_on_a_terminal(issuer: Issuer, validator: TokenValidator) -> None:
    explanation = await explained(validator, issuer.mint(claims={"aud": "b", "nonce": "n"}))
    _, to_do = str(explanation).split("\n\n")
    assert max(map(len, to_do.splitlines())) <= 100
    assert " ".join(to_do.splitlines()[1:]) == explanation.advice


@named([row for row in EVERY_TOKEN if row.name != "around the token: nothing"])
async def test_the_first_rule_that_fails_is_the_validators(
    issuer: Issuer, forger: Forger, hostile: Hostile
) -> None:
    """Each hostile token there is: the walk fails where the validator stops, for its reason."""
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    token = hostile.build(forger)
    explanation = await explained(validator, token)
    with pytest.raises(AuthError) as refusal:
        await validator.validate(token)
    assert explanation.refusal is not None
    assert explanation.refusal.reason is refusal.value.reason is hostile.reason
    assert first_failed(explanation).reason is hostile.reason
    assert explanation.advice


async def test_the_other_rules_are_walked_whoever_issued_it(
    issuer: Issuer, validator: TokenValidator
) -> None:
    token = issuer.mint(claims={"iss": "https://b.example.com/", "aud": "b"})
    statuses = {f.rule: f.status for f in (await explained(validator, token)).findings}
    assert statuses["key"] == statuses["signature"] == "not checked"
    assert (statuses["iss"], statuses["aud"], statuses["exp"]) == ("FAILED", "FAILED", "ok")


async def test_with_several_issuers_nobody_guesses_which_one_was_meant(issuer: Issuer) -> None:
    several = [
        TrustedIssuer(issuer=issuer.url, audience=AUDIENCE),
        TrustedIssuer(issuer="https://b.example.com", audience="b"),
    ]
    explanation = await explained(
        TokenValidator(issuers=several), issuer.mint(claims={"iss": "https://c.example.com"})
    )
    assert [f.rule for f in explanation.findings][-4:] == ["iss", "alg", "key", "signature"]
    assert f"get a token from {issuer.url} or https://b.example.com" in explanation.advice


async def test_a_resolver_is_asked_as_for_a_request(issuer: Issuer) -> None:
    async def resolver(iss: str, host: str) -> TrustedIssuer | None:
        return TrustedIssuer(issuer=iss, audience=AUDIENCE) if host == "a.example.com" else None

    app = app_with(TokenValidator(issuers=resolver))
    assert (await auth.explain(app, issuer.mint(), host="a.example.com")).refusal is None
    explanation = await auth.explain(app, issuer.mint())
    assert "one that the resolver knows" in explanation.advice
    assert "wants an issuer that the resolver knows" in the_text(explanation)


async def test_a_resolver_that_raises_has_not_answered(issuer: Issuer) -> None:
    async def resolver(_iss: str, _host: str) -> TrustedIssuer | None:
        raise OSError

    explanation = await explained(TokenValidator(issuers=resolver), issuer.mint())
    text = the_text(explanation)
    assert f'knows has "{issuer.url}" (not answered) <- this is why' in text
    assert "is not trusted" not in text
    assert "The resolver of issuers did not answer" in explanation.advice


@pytest.mark.parametrize(
    ("iat", "found"),
    [
        (1_799_990_000, "FAILED iat wants a time not in the future, at most 60 s ago has 2027"),
        (OMIT, "FAILED iat wants a time not in the future, at most 60 s ago has (absent)"),
        (1_799_999_990, "10 s ago (wants a time not in the future, at most 60 s ago)"),
        (1_799_990_000, "10000 s ago (wants there, and not null)"),
    ],
)
async def test_what_max_age_asks_of_iat_is_told(
    issuer: Issuer, clock: FakeClock, iat: Any, found: str
) -> None:
    issuer.clock = clock.time
    validator = TokenValidator(
        issuer=issuer.url, audience=AUDIENCE, clock=clock, max_age=60, required_claims=["iat"]
    )
    assert found in the_text(await explained(validator, issuer.mint(claims={"iat": iat})))


async def test_where_secrets_are_meant_another_kind_of_one_is_no_mistake_of_kind(
    issuer: Issuer,
) -> None:
    secret = OctKey.import_key(b"0123456789abcdef" * 4)
    given = TrustedIssuer(
        issuer=issuer.url, audience=AUDIENCE, algorithms=["HS256"], secret=b"0123456789abcdef" * 4
    )
    token = issuer.mint(header={"alg": "HS512", "kid": "any"}, key=secret)
    explanation = await explained(TokenValidator(issuers=[given]), token)
    assert explanation.advice == "Only HS256 is accepted."


@pytest.mark.parametrize(
    ("length", "answer", "found"),
    [
        (8183, 401, "ok size 8183 bytes (wants at most 8183 bytes"),
        (8184, 400, "FAILED size wants at most 8183 bytes, which a header can hold has 8184 bytes"),
    ],
)
async def test_the_size_is_that_which_a_server_takes(
    validator: TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    length: int,
    answer: int,
    found: str,
) -> None:
    app = app_with(validator)
    app.router.add_get("/", new_handler())
    token = "a" * length
    assert await status(await aiohttp_client(ApiServer(app)), token) == answer
    assert found in the_text(await auth.explain(app, token))


async def test_a_token_that_no_request_can_carry_is_not_called_valid(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = app_with(validator)
    app.router.add_get("/", auth.protected(scopes={"a"})(new_handler()))
    groups = {"groups": ["x" * 100] * 80}
    explanation = await auth.explain(app, issuer.mint(claims=groups))
    assert (explanation.refusal, explanation.too_long, explanation.routes) == (None, True, ())
    text = the_text(explanation)
    assert "bytes <- this is why ok form" in text
    assert "The server answers 400 before anything looks at the token. Have the issuer" in text
    assert "valid." not in text
    explanation = await explained(validator, issuer.mint(claims={**groups, "exp": 1}))
    assert explanation.refusal is not None
    text = the_text(explanation)
    assert text.count("<- this is why") == 1
    assert "bytes <- this is why ok form" in text
    assert 'looks at the token. A shorter one like it is refused: 401 "Bad credentials"' in text
    assert "Have the issuer write fewer claims" in explanation.advice
    assert "get a new one" in explanation.advice


async def test_an_application_without_a_validator_is_told_what_to_do(
    validator: TokenValidator,
) -> None:
    outer = web.Application()
    outer.add_subapp("/inner", app_with(validator))
    with pytest.raises(RuntimeError, match=r"call auth\.setup first, or give the sub-application"):
        await auth.explain(outer, "a.b.c")
