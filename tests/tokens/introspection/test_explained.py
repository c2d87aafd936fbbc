"""Is an operator told what to do about an opaque token, and what its issuer says about it?"""

import re

import pytest

from hello import auth
from hello.auth import Reason, TokenValidator
from hello.sandbox.issuer import CLIENT_ID, OMIT
from support.clock import FakeClock
from support.explaining import app_with
from support.failing_issuer import FailingIssuer, status
from support.introspecting import INTROSPECT, introspecting
from support.naming import naming


@pytest.mark.parametrize(
    ("claims", "advised"),
    [
        ({"active": False}, "inactive"),
        ({"token_use": "refresh_token"}, "type.token_use"),
        ({"cnf": {"jkt": "x"}, "token_type": "DPoP"}, "bound.dpop"),
        ({"aud": OMIT}, "audience.absent_client"),
        ({"exp": 1_700_000_000}, "expired.ago"),
        ({"exp": "soon"}, "expiry.text"),
        ({"active": OMIT}, "introspection_unavailable.outage"),
    ],
)
async def test_what_is_advised(
    issuer: FailingIssuer, validator: TokenValidator, claims: dict[str, object], advised: str
) -> None:
    assert (await auth.explain(app_with(validator), issuer.opaque(claims=claims))).advice_ids == (
        advised,
    )


async def test_an_answer_without_a_type_is_explained(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    trusted = {"audience": CLIENT_ID, "audience_claim": "client_id"}
    async with introspecting(issuer, clock, trusted=trusted) as validator:
        text = issuer.opaque(claims={"token_type": OMIT, "aud": OMIT})
        assert (await auth.explain(app_with(validator), text)).advice_ids == ("type.no_token_type",)


async def test_it_is_explained(issuer: FailingIssuer, validator: TokenValidator) -> None:
    app = app_with(validator)

    async def explained(text: str) -> tuple[list[str], Reason | None, tuple[str, ...]]:
        found = await auth.explain(app, text)
        failed = [finding.rule for finding in found.findings if finding.status == "FAILED"]
        assert text not in str(found)
        return failed, found.refusal.reason if found.refusal else None, found.advice_ids

    assert await explained(issuer.opaque()) == ([], None, ())
    aud = issuer.opaque(claims={"aud": "another", "exp": 1})
    failed, reason, advised = await explained(aud)
    assert (failed, reason) == (["aud", "exp"], Reason.AUDIENCE)
    assert [each.partition(".")[0] for each in advised] == ["audience"]
    elsewhere = issuer.opaque(claims={"iss": "https://elsewhere.example.com/"})
    assert (await explained(elsewhere))[:2] == (["iss"], Reason.ISSUER)
    refresh = issuer.opaque(claims={"token_type": "N_A"})
    assert (await explained(refresh))[:2] == (["token_type"], Reason.TYPE)
    assert await explained("nobodys") == (["active"], Reason.INACTIVE, ("inactive",))
    assert (await explained("a b"))[:2] == (["form"], Reason.MALFORMED)
    issuer.answers[INTROSPECT] = status(500)
    assert await explained("down") == (
        ["active"],
        Reason.INTROSPECTION_UNAVAILABLE,
        ("introspection_unavailable.outage",),
    )
    found = await auth.explain(app, "down")
    assert re.search(naming(issuer.url), found.advice)
