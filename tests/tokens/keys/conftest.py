"""What do the tests of keys share: an issuer that can fail, and who validates its tokens?"""

from collections.abc import AsyncIterator

import pytest
from joserfc.jwk import Key

from hello.auth import TokenValidator
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, validating
from support.validators import presented


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
async def validator(issuer: FailingIssuer, clock: FakeClock) -> AsyncIterator[TokenValidator]:
    async with validating(issuer, clock) as validator:
        yield validator


@pytest.fixture
async def good(issuer: FailingIssuer, validator: TokenValidator) -> str:
    """A valid token, for whose sake the keys were fetched a moment ago."""
    token = issuer.mint()
    await validator.validate(presented(token))
    return token
