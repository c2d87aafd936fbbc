"""What does a validator know, and why does it refuse?"""

from hello.auth import (
    AccessToken,
    AuthError,
    Challenges,
    InvalidTokenError,
    Presented,
    Reason,
    Timing,
    TokenValidator,
)
from hello.tokens.keys.fetched import FetchedKeys


def signing_keys(validator: TokenValidator) -> FetchedKeys:
    """The fetched keys of a validator's only issuer."""
    [issuer] = validator.issuers.listed
    keys = validator.issuers.keys_of(issuer, "RS256")
    assert isinstance(keys, FetchedKeys)
    return keys


def presented(token: str, host: str = "") -> Presented:
    """What a request with a token presents."""
    return Presented(token=token, host=host)


async def reason_for(validator: TokenValidator, token: str, host: str = "") -> Reason | None:
    """Why a token is refused, or None where it is good."""
    try:
        await validator.validate(presented(token, host=host))
    except AuthError as refusal:
        return refusal.reason
    return None


class OwnValidator:
    """A validator that an application brings. It refuses every token."""

    timing = Timing()
    challenges = Challenges()

    def __init__(self) -> None:
        self.authorization_servers: list[str] = []

    async def validate(self, _presented: Presented) -> AccessToken:
        raise InvalidTokenError(Reason.MALFORMED)

    async def close(self) -> None:
        pass
