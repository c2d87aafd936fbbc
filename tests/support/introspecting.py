"""Who asks an issuer about its opaque tokens, and how often was it asked?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hello.auth import Introspection, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import PATIENCE

INTROSPECT = "/oauth/introspect"
CLIENT = Introspection(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@asynccontextmanager
async def introspecting(
    issuer: Issuer,
    clock: FakeClock,
    introspection: Introspection = CLIENT,
    trusted: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[TokenValidator]:
    """A validator that asks the issuer about opaque tokens, closed at the end."""
    usual: dict[str, Any] = {
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "introspection": introspection,
    }
    issuers = [TrustedIssuer(**usual | (trusted or {}))]
    validator = TokenValidator(issuers=issuers, clock=clock, **{"jwks_timeout": PATIENCE} | options)
    try:
        yield validator
    finally:
        await validator.close()


def asked(issuer: Issuer) -> int:
    """How often the issuer was asked about a token."""
    return issuer.requests[INTROSPECT]
