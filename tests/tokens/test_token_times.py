"""From which second to which second is a token good?"""

from typing import Any

import pytest

from hello.auth import InvalidTokenError, Reason, TokenValidator
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.validators import presented

NOW = FakeClock().epoch
A_MINUTE = {"max_age": 60}
EXACT = {"leeway": 0}


@pytest.mark.parametrize(
    ("options", "claim", "difference", "reason"),
    [
        # The leeway is 5 s where nothing else is said. `exp` is the first moment that is too late.
        ({}, "exp", 1, None),
        ({}, "exp", 0, None),
        ({}, "exp", -4, None),
        ({}, "exp", -4.999, None),
        ({}, "exp", -5, Reason.EXPIRED),
        ({}, "exp", -6, Reason.EXPIRED),
        (EXACT, "exp", 1, None),
        (EXACT, "exp", 0.001, None),
        (EXACT, "exp", 0, Reason.EXPIRED),
        (EXACT, "exp", -1, Reason.EXPIRED),
        ({"leeway": 60}, "exp", -59, None),
        ({"leeway": 60}, "exp", -60, Reason.EXPIRED),
        # `nbf` and `iat` are the first moment that is not too early.
        ({}, "nbf", -1, None),
        ({}, "nbf", 4, None),
        ({}, "nbf", 5, None),
        ({}, "nbf", 5.001, Reason.NOT_YET_VALID),
        ({}, "nbf", 6, Reason.NOT_YET_VALID),
        (EXACT, "nbf", 0, None),
        (EXACT, "nbf", 1, Reason.NOT_YET_VALID),
        ({"leeway": 60}, "nbf", 60, None),
        ({"leeway": 60}, "nbf", 61, Reason.NOT_YET_VALID),
        ({}, "iat", -1e9, None),
        ({}, "iat", 4, None),
        ({}, "iat", 5, None),
        ({}, "iat", 5.001, Reason.ISSUED_AT),
        ({}, "iat", 6, Reason.ISSUED_AT),
        (EXACT, "iat", 0, None),
        (EXACT, "iat", 1, Reason.ISSUED_AT),
        ({"leeway": 60}, "iat", 60, None),
        ({"leeway": 60}, "iat", 61, Reason.ISSUED_AT),
        # `max_age` ends as `exp` does.
        (A_MINUTE, "iat", -64, None),
        (A_MINUTE, "iat", -64.999, None),
        (A_MINUTE, "iat", -65, Reason.TOO_OLD),
        (A_MINUTE, "iat", -66, Reason.TOO_OLD),
        (A_MINUTE, "iat", 5, None),
        (A_MINUTE, "iat", 6, Reason.ISSUED_AT),
        (A_MINUTE | EXACT, "iat", -59, None),
        (A_MINUTE | EXACT, "iat", -60, Reason.TOO_OLD),
        ({"max_age": 0.5}, "iat", -5, None),
        ({"max_age": 0.5}, "iat", -5.5, Reason.TOO_OLD),
        (A_MINUTE, "iat", None, Reason.MISSING_CLAIM),
    ],
)
async def test_the_boundaries_of_a_tokens_time(
    issuer: Issuer,
    clock: FakeClock,
    options: dict[str, Any],
    claim: str,
    difference: float | None,
    reason: Reason | None,
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock, **options)
    value = OMIT if difference is None else NOW + difference
    usual: dict[str, Any] = {"iat": NOW, "exp": NOW + 300}
    token = issuer.mint(claims=usual | {claim: value})
    if reason is None:
        assert (await validator.validate(presented(token))).subject is not None
    else:
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token))
        assert refusal.value.reason is reason


@pytest.mark.parametrize(
    ("claims", "detail"),
    [
        ({"exp": NOW - 3600}, "exp=-3600s"),
        ({"iat": NOW + 90.4}, "iat=+90s"),
        ({"nbf": NOW + 86400}, "nbf=+86400s"),
        ({"exp": -1e308}, "exp=-1000000000s"),
        ({"iat": 10**308}, "iat=+1000000000s"),
        ({"sub": 7}, None),
    ],
)
async def test_the_log_says_how_far_a_time_is_from_this_clock_if_the_issuer_has_signed_it(
    issuer: Issuer, clock: FakeClock, claims: dict[str, Any], detail: str | None
) -> None:
    usual: dict[str, Any] = {"iat": NOW, "exp": NOW + 300}
    token = issuer.mint(claims=usual | claims)
    for url, said in ((issuer.url, detail), ("http://127.0.0.1:9/", None)):
        elsewhere = issuer.mint(claims={**usual, **claims, "iss": url})
        validator = TokenValidator(issuer=url, audience=AUDIENCE, clock=clock)
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token if said else elsewhere))
        assert refusal.value.detail == said
        await validator.close()


async def test_a_token_ends_while_it_is_in_use(issuer: Issuer, clock: FakeClock) -> None:
    """Nothing is remembered of a token that was good: each request asks again."""
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    token = issuer.mint(claims={"iat": NOW, "exp": NOW + 300})
    for seconds in (0, 150, 154.5):
        clock.advance(seconds)
        assert (await validator.validate(presented(token))).expires_at == NOW + 300
    clock.advance(0.5)
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(presented(token))
    assert refusal.value.reason is Reason.EXPIRED
    assert refusal.value.subject == "sandbox@clients"
