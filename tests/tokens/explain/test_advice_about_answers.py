"""Is an operator told what to do about an opaque token, and about what only looks like one?"""

from typing import Any

import pytest

from hello.auth import Reason
from hello.sandbox.issuer import CLIENT_ID, OMIT, Issuer
from hello.tokens.explain.advice import advice
from hello.tokens.explain.case import Case
from hello.tokens.introspection.introspector import TOO_MANY
from support.clock import FakeClock
from support.explaining import explained, found
from support.introspecting import introspecting

BY_CLIENT = {"audience": CLIENT_ID, "audience_claim": "client_id"}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("undefined", "placeholder"),
        ('{"a":', "json"),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "foreign"),
        ("v4.local.abcdef", "paseto"),
        ("eyJhbGciOiJSUzI1NiJ9.e30", "cut_off"),
        ("eyJhbGciOiJSUzI1NiJ9.e30.AA==", "padded"),
        ("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aa.bb.cc", "encrypted"),
        ("a b", "spaces"),
    ],
)
async def test_what_a_text_is_comes_first(
    issuer: Issuer, clock: FakeClock, text: str, shape: str
) -> None:
    """Whether the validator refuses to ask about it, or the issuer does not know it."""
    async with introspecting(issuer, clock) as validator:
        first, *rest = (await explained(validator, text)).advice_ids
    assert first == f"malformed.{shape}"
    assert rest in ([], ["inactive"])


@pytest.mark.parametrize("text", ["nobodys", "3c9a7b10-5d2e-4f68-9b04-a1b2c3d4e5f6", "a.b"])
async def test_a_text_that_may_be_a_token_is_only_said_to_be_inactive(
    issuer: Issuer, clock: FakeClock, text: str
) -> None:
    async with introspecting(issuer, clock) as validator:
        assert (await explained(validator, text)).advice_ids == ("inactive",)


async def test_about_a_text_that_the_validator_refuses_nobody_is_asked(
    issuer: Issuer, clock: FakeClock
) -> None:
    async with introspecting(issuer, clock) as validator:
        explanation = await explained(validator, "a" * 5000)
    assert explanation.advice_ids == ("malformed.opaque_unaskable",)
    assert issuer.requests["/oauth/introspect"] == 0


@pytest.mark.parametrize(
    ("claims", "advised"),
    [
        ({"aud": CLIENT_ID}, "type.answer_for_client"),
        ({"aud": [CLIENT_ID], "nonce": "n"}, "type.answer_for_client"),
        ({"aud": "b", "typ": "ID"}, "type.token_use"),
        ({"aud": OMIT, "token_type": "N_A"}, "type.token_use"),
        ({"client_id": "b", "nonce": "n"}, "audience.other_claim"),
        ({"client_id": OMIT, "aud": CLIENT_ID}, "audience.misspelt_claim"),
        ({"client_id": OMIT, "azp": CLIENT_ID}, "audience.misspelt_claim"),
        ({"client_id": OMIT, "aud": OMIT}, "audience.absent_claim"),
    ],
)
async def test_no_opaque_token_is_called_an_id_token(
    issuer: Issuer, clock: FakeClock, claims: dict[str, Any], advised: str
) -> None:
    issuer.clock = clock.time
    async with introspecting(issuer, clock, trusted=BY_CLIENT) as validator:
        explanation = await explained(validator, issuer.opaque(claims=claims))
    assert explanation.advice_ids == (advised,)


async def test_an_opaque_token_for_another_api(issuer: Issuer, clock: FakeClock) -> None:
    issuer.clock = clock.time
    async with introspecting(issuer, clock) as validator:
        for claims in ({"aud": "b"}, {"aud": CLIENT_ID, "nonce": "n"}):
            explanation = await explained(validator, issuer.opaque(claims=claims))
            assert explanation.advice_ids == ("audience.other",)


@pytest.mark.parametrize(
    ("detail", "advised"), [(TOO_MANY, "too_many"), ("", "outage"), ("anything else", "outage")]
)
def test_why_the_issuer_was_not_asked_is_told(detail: str, advised: str) -> None:
    case = Case(shape="opaque", now=0, strict=False, leeway=5, trusted=("a",), detail=detail)
    told = advice(Reason.INTROSPECTION_UNAVAILABLE, case)
    assert told.id == f"introspection_unavailable.{advised}"


async def test_a_time_in_another_unit_can_be_read(issuer: Issuer, clock: FakeClock) -> None:
    issuer.clock = clock.time
    async with introspecting(issuer, clock) as validator:
        for per in (10**3, 10**6, 10**9):
            explanation = await explained(
                validator, issuer.mint(claims={"iat": 1_800_000_000 * per})
            )
            assert "2027-01-15 08:00:00 UTC" in found(explanation, "iat").has
        explanation = await explained(validator, issuer.mint(claims={"iat": 1e300}))
        assert found(explanation, "iat").has == "1e+300"


async def test_an_empty_signature_is_not_called_one_of_another_key(
    issuer: Issuer, clock: FakeClock
) -> None:
    issuer.clock = clock.time
    async with introspecting(issuer, clock) as validator:
        header, claims, _ = issuer.mint().split(".")
        explanation = await explained(validator, f"{header}.{claims}.")
    assert explanation.advice_ids == ("signature.absent",)
    assert found(explanation, "signature").has == "none"
