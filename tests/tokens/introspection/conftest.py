"""What do the tests of introspection share: an issuer that can fail, and who asks it."""

from collections.abc import AsyncIterator

import pytest
from joserfc.jwk import Key

from hello.auth import TokenValidator
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer
from support.introspecting import introspecting


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
async def validator(issuer: FailingIssuer, clock: FakeClock) -> AsyncIterator[TokenValidator]:
    async with introspecting(issuer, clock) as validator:
        yield validator
