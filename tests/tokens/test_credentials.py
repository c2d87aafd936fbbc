"""Which token does an Authorization header carry, whoever parsed the header?"""

import pytest

from hello.auth import (
    AuthError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    UnauthorizedError,
)
from hello.auth.credentials import bearer_token
from hello.auth.jws import parse
from hello.sandbox.signing import base64url


@pytest.mark.parametrize(
    "value", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer a-b.c_d~e+f/g=="]
)
def test_a_bearer_token_is_what_follows_the_scheme(value: str) -> None:
    assert bearer_token([value]) == value.split(" ")[1]


@pytest.mark.parametrize(
    "values", [[], [""], ["Bearer"], ["Bearer "], ["Basic eA=="], [" Bearer a"]]
)
def test_no_bearer_token_is_no_credentials(values: list[str]) -> None:
    with pytest.raises(UnauthorizedError):
        bearer_token(values)


@pytest.mark.parametrize(
    "values",
    [
        ["Bearer a", "Bearer a"],
        ["Bearer a", "Basic eA=="],
        ["", ""],
    ],
)
def test_more_than_one_header_is_a_bad_token(values: list[str]) -> None:
    with pytest.raises(InvalidTokenError) as refusal:
        bearer_token(values)
    assert refusal.value.reason is Reason.SEVERAL_CREDENTIALS


@pytest.mark.parametrize(
    "value",
    [
        "Bearer  {}",
        "Bearer {} b",
        "Bearer {} ",
        "Bearer {}\n",
        "Bearer \u00a0{}",
        "Bearer {}\x1c",
        "Bearer {}\u3000",
        "Bearer {}ä",
        "Bearer {}\udcff",
        "Bearer {}=",
        'Bearer "{}"',
        "Bearer Bearer {}",
        "Bearer =",
        "Bearer {}, Bearer {}",
    ],
)
def test_nothing_may_stand_around_a_token(value: str) -> None:
    """RFC 6750 §2.1: one space before it, and nothing after it."""
    token = f"{base64url(b'{}')}.{base64url(b'{}')}.{base64url(b'x')}"
    assert parse(bearer_token([f"Bearer {token}"]))
    with pytest.raises(InvalidTokenError) as refusal:
        parse(bearer_token([value.replace("{}", token)]))
    assert refusal.value.reason is Reason.MALFORMED


def test_an_outage_challenges_nobody() -> None:
    error: AuthError = KeysUnavailableError(retry_after=3)
    assert error.headers == {"Retry-After": "3"}
