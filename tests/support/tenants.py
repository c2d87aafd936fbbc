"""What does a resolver of issuers know?"""

import asyncio
from typing import Any

from hello.auth import TrustedIssuer
from hello.sandbox.issuer import Issuer

OURS = "https://ours.example.com/"


def trusted(issuer: Issuer, **options: Any) -> TrustedIssuer:
    return TrustedIssuer(**{"issuer": issuer.url, "audience": issuer.audience, **options})


class Tenants:
    """A resolver that counts, and knows what it is told to."""

    def __init__(self, known: dict[tuple[str, str], TrustedIssuer | None]) -> None:
        self.known = known
        self.asked: list[tuple[str, str]] = []
        self.down = False

    async def __call__(self, issuer: str, host: str) -> TrustedIssuer | None:
        self.asked.append((issuer, host))
        await asyncio.sleep(0)
        if self.down:
            raise OSError("no connection")
        return self.known.get((issuer, host))
