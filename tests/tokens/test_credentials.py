"""Which token does an Authorization header carry, whoever parsed the header?"""

import pytest

from hello.auth import InvalidTokenError, Reason, UnauthorizedError
from hello.sandbox.issuer.signing import base64url
from hello.tokens.jwt.compact import parse
from hello.tokens.presented import present


@pytest.mark.parametrize(
    "value",
    [
        *("Bearer abc", "bearer abc", "BEARER abc", "Bearer a.b.c", "Bearer a-b.c_d~e+f/g=="),
        *("Bearer -._~+/", "Bearer a="),
    ],
)
def test_a_bearer_token_is_what_follows_the_scheme(value: str) -> None:
    assert present(lambda _name: [value]).token == value.split(" ")[1]


@pytest.mark.parametrize(
    "values", [[], [""], ["Bearer"], ["Bearer "], ["Basic eA=="], [" Bearer a"]]
)
def test_no_bearer_token_is_no_credentials(values: list[str]) -> None:
    with pytest.raises(UnauthorizedError):
        present(lambda _name: values)


@pytest.mark.parametrize("value", ["DPoP", "DPoP ", "dpop ", "DPoPx a"])
def test_the_scheme_dpop_without_a_token_is_no_credentials(value: str) -> None:
    with pytest.raises(UnauthorizedError):
        present(lambda _name: [value], dpop=lambda: ("GET", "https://a.example.com/"))


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
        present(lambda _name: values)
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
        "Bearer {}=b",
        "Bearer {},b",
        "Bearer \uff21{}",
        'Bearer "{}"',
        "Bearer Bearer {}",
        "Bearer =",
        "Bearer {}, Bearer {}",
    ],
)
def test_nothing_may_stand_around_a_token(value: str) -> None:
    """RFC 6750 §2.1: one space before it, and nothing after it."""
    token = f"{base64url(b'{}')}.{base64url(b'{}')}.{base64url(b'x')}"
    assert parse(present(lambda _name: [f"Bearer {token}"]).token)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong, it is one error
        parse(present(lambda _name: [value.replace("{}", token)]).token)
