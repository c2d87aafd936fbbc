"""Which token does an Authorization header carry, whoever parsed the header?"""

import pytest

from hello.auth import AuthError, InvalidTokenError, KeysUnavailableError, UnauthorizedError
from hello.auth.credentials import bearer_token


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
        ["Bearer  a"],
        ["Bearer a b"],
        ["Bearer a\n"],
        ["Bearer \u00a0a"],
        ["Bearer a\x1c"],
        ["Bearer \u3000"],
        ["Bearer ä"],
        ["Bearer a=b"],
        ["Bearer ="],
        ["Bearer a", "Bearer a"],
        ["", ""],
    ],
)
def test_what_is_no_b64token_is_a_bad_one(values: list[str]) -> None:
    with pytest.raises(InvalidTokenError):
        bearer_token(values)


def test_an_outage_challenges_nobody() -> None:
    error: AuthError = KeysUnavailableError(retry_after=3)
    assert error.headers == {"Retry-After": "3"}
