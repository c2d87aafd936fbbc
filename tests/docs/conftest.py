"""What do the tests of the pages about providers share: a provider in the place of the network."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import Key

from support.providers.apps import SUPABASE_SECRET
from support.providers.every import PROVIDERS, key_of, published, shown
from support.providers.sending import Sent
from support.providers.serving import ACCOUNT, cluster, serving


@pytest.fixture
async def provider(
    monkeypatch: pytest.MonkeyPatch, keys: list[Key], tmp_path: Path
) -> AsyncIterator[Callable[[str], Awaitable[Sent]]]:
    """Puts a provider in the place of the network, and returns the token that its page shows."""
    monkeypatch.setenv("SUPABASE_JWT_SECRET", SUPABASE_SECRET.decode())
    async with AsyncExitStack() as running:

        async def start(name: str) -> Sent:
            sent, provider = shown(name, keys[0]), PROVIDERS[name]
            monkeypatch.setattr(
                "hello.tokens.validator.fetch_with_aiohttp",
                published(name, sent.claims["iss"], keys[0]),
            )
            if not provider.asked:
                return sent
            path, document = (
                urlsplit(provider.keys_at).path,
                provider.publish(key_of(name, keys[0])),
            )
            if ACCOUNT not in sent.code:
                served = await running.enter_async_context(serving(path, document))
                return served.instead_of(provider.keys_at, sent)
            served = await running.enter_async_context(cluster(path, document, tmp_path))
            sent = replace(sent, code=sent.code.replace(ACCOUNT, str(tmp_path)))
            return served.instead_of(provider.keys_at, sent)

        yield start
