"""Does the explanation of a refusal say what the validator thinks, and what to do about it?"""

import re
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import OctKey

from hello import auth
from hello.auth import AuthError, Explanation, Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from hello.tokens.explain import explain
from hello.tokens.explain.sentences import _SENTENCES
from support.api import AUDIENCE
from support.clock import FakeClock
from support.explaining import (
    THE_REASON,
    app_with,
    decisive,
    explained,
    found,
    statuses,
)
from support.forger import Forger, Hostile
from support.hostile_tokens import EVERY_TOKEN, named
from support.naming import naming
from support.validators import presented


@pytest.fixture
def validator(issuer: Issuer, clock: FakeClock) -> TokenValidator:
    issuer.clock = clock.time
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)


def first_failed(explanation: Explanation) -> auth.Finding:
    return next(finding for finding in explanation.findings if finding.reason is not None)


def test_every_reason_that_a_token_can_be_refused_for_has_its_advice() -> None:
    of_connections = {Reason.SEVERAL_CREDENTIALS, Reason.ORIGIN, Reason.SUBJECT, Reason.BODY}
    assert set(_SENTENCES) - {"too_long"} == set(Reason) - of_connections


async def test_a_good_token_meets_every_rule(issuer: Issuer, validator: TokenValidator) -> None:
    explanation = await explained(validator, issuer.mint())
    assert {finding.status for finding in explanation.findings} == {"ok"}
    assert [finding.rule for finding in explanation.findings] == [
        *("size", "form", "crit", "b64", "kid", "typ", "iss", "alg", "key", "signature"),
        *("aud", "exp", "nbf", "iat", "sub", "scope", "scp", "permissions", "cnf"),
    ]
    assert explanation.refusal is None
    assert explanation.advice == ""
    assert THE_REASON not in str(explanation)
    aud = found(explanation, "aud")
    assert (aud.wants, aud.has) == (AUDIENCE, f'"{AUDIENCE}"')
    assert re.search(naming("2027-01-15 08:00:00 UTC", "0 s"), found(explanation, "iat").has)


async def test_a_rule_that_is_met_takes_one_line(issuer: Issuer, validator: TokenValidator) -> None:
    """So that those that are not met stand out."""
    explanation = await explained(validator, issuer.mint())
    *lines, empty, _verdict = str(explanation).splitlines()
    for finding, line in zip(explanation.findings, lines, strict=True):
        assert line.split()[:2] == [finding.status, finding.rule]
        assert finding.has in line
        assert finding.wants in line
    assert empty == ""


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
        await validator.validate(presented(token))
    assert explanation.refusal is not None
    assert explanation.refusal.reason is refusal.value.reason is hostile.reason
    assert first_failed(explanation).reason is hostile.reason
    assert explanation.advice


async def test_the_other_rules_are_walked_whoever_issued_it(
    issuer: Issuer, validator: TokenValidator
) -> None:
    token = issuer.mint(claims={"iss": "https://b.example.com/", "aud": "b"})
    found = statuses(await explained(validator, token))
    assert found["key"] == found["signature"] == "not checked"
    assert (found["iss"], found["aud"], found["exp"]) == ("FAILED", "FAILED", "ok")


async def test_with_several_issuers_nobody_guesses_which_one_was_meant(issuer: Issuer) -> None:
    several = [
        TrustedIssuer(issuer=issuer.url, audience=AUDIENCE),
        TrustedIssuer(issuer="https://b.example.com", audience="b"),
    ]
    explanation = await explained(
        TokenValidator(issuers=several), issuer.mint(claims={"iss": "https://c.example.com"})
    )
    assert [f.rule for f in explanation.findings][-4:] == ["iss", "alg", "key", "signature"]
    assert re.search(naming(issuer.url, "https://b.example.com"), explanation.advice)


async def test_a_resolver_is_asked_as_for_a_request(issuer: Issuer) -> None:
    async def resolver(iss: str, host: str) -> TrustedIssuer | None:
        return TrustedIssuer(issuer=iss, audience=AUDIENCE) if host == "a.example.com" else None

    app = app_with(TokenValidator(issuers=resolver))
    assert (await auth.explain(app, issuer.mint(), host="a.example.com")).refusal is None
    explanation = await auth.explain(app, issuer.mint())
    assert explanation.refusal is not None
    assert explanation.refusal.reason is Reason.ISSUER
    assert explanation.advice_ids == ("issuer.no_host",)
    assert found(explanation, "iss").wants


async def test_a_resolver_that_raises_has_not_answered(issuer: Issuer) -> None:
    async def resolver(_iss: str, _host: str) -> TrustedIssuer | None:
        raise OSError

    explanation = await explained(TokenValidator(issuers=resolver), issuer.mint())
    iss = found(explanation, "iss")
    assert (iss.status, iss.reason) == ("FAILED", Reason.RESOLVER_UNAVAILABLE)
    assert f'"{issuer.url}"' in iss.has
    assert decisive(explanation) == "iss"


@pytest.mark.parametrize(
    ("iat", "reasons", "has"),
    [
        (1_799_999_990, [None, None], "10 s"),
        (1_799_990_000, [Reason.TOO_OLD, None], "10000 s"),
        (OMIT, [Reason.MISSING_CLAIM, Reason.MISSING_CLAIM], ""),
    ],
)
async def test_what_max_age_asks_of_iat_is_told(
    issuer: Issuer, clock: FakeClock, iat: Any, reasons: list[Reason | None], has: str
) -> None:
    """By the first of its two rules. The second asks no more than that it is there."""
    issuer.clock = clock.time
    validator = TokenValidator(
        issuer=issuer.url, audience=AUDIENCE, clock=clock, max_age=60, required_claims=["iat"]
    )
    explanation = await explained(validator, issuer.mint(claims={"iat": iat}))
    about = [finding for finding in explanation.findings if finding.rule == "iat"]
    assert [finding.reason for finding in about] == reasons
    assert re.search(naming("60 s"), about[0].wants)
    assert not re.search(naming("60 s"), about[1].wants)
    assert all(has in finding.has for finding in about)


async def test_where_secrets_are_meant_another_kind_of_one_is_no_mistake_of_kind(
    issuer: Issuer,
) -> None:
    secret = OctKey.import_key(b"0123456789abcdef" * 4)
    given = TrustedIssuer(
        issuer=issuer.url, audience=AUDIENCE, algorithms=["HS256"], secret=b"0123456789abcdef" * 4
    )
    token = issuer.mint(header={"alg": "HS512", "kid": "any"}, key=secret)
    explanation = await explained(TokenValidator(issuers=[given]), token)
    assert explanation.advice_ids == ("algorithm.other_secret",)
    assert re.search(naming("HS256"), explanation.advice)


async def test_without_a_server_a_token_may_be_of_any_size(
    issuer: Issuer, validator: TokenValidator
) -> None:
    explanation = await explain(validator, issuer.mint(claims={"groups": ["x" * 100] * 80}))
    assert "size" not in statuses(explanation)
    assert (explanation.refusal, explanation.too_long) == (None, False)


async def test_an_application_without_a_validator_is_told_what_to_do(
    validator: TokenValidator,
) -> None:
    outer = web.Application()
    outer.add_subapp("/inner", app_with(validator))
    with pytest.raises(RuntimeError, match=naming("auth.setup")):
        await auth.explain(outer, "a.b.c")


@pytest.mark.parametrize(
    ("count", "shown", "told"), [(10, 10, []), (11, 2, ["9 of 11"])], ids=["few", "many"]
)
def test_of_many_routes_those_are_shown_that_need_a_look(
    count: int, shown: int, told: list[str]
) -> None:
    routes = tuple(("GET", f"/{at}", "lacks" if at in (0, 5) else "") for at in range(count))
    text = str(Explanation(findings=(), refusal=None, advice="", routes=routes))
    assert len(re.findall(r"^GET /\d+: ", text, re.MULTILINE)) == shown
    assert re.search(naming("GET /0", "GET /5", *told), text)
