"""What do the tests of the pages about providers share: a provider in the place of the network."""

from collections.abc import Callable

import pytest
from joserfc.jwk import Key

from support.providers.every import published, shown
from support.providers.sending import Sent


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, keys: list[Key]) -> Callable[[str], Sent]:
    """Puts a provider in the place of the network, and returns the token that its page shows."""

    def start(name: str) -> Sent:
        sent = shown(name, keys[0])
        monkeypatch.setattr(
            "hello.tokens.validator.fetch_with_aiohttp",
            published(name, sent.claims["iss"], keys[0]),
        )
        return sent

    return start
