"""Protect an aiohttp application with access tokens.

    from hello import auth

    @routes.get("/reports")
    @auth.protected(permissions={"read:reports"})
    async def reports(request):
        return web.json_response({"for": request[auth.ACCESS_TOKEN].subject})

    auth.setup(app, auth.TokenValidator(
        issuer="https://tenant.eu.auth0.com/", audience="https://api.example.com"))

A handler without a mark is protected; `@auth.public` opens one, `@auth.optional` serves both.
"""

from .access_token import AccessToken
from .discovery import Fetch
from .errors import (
    AuthError,
    InsufficientAuthenticationError,
    InsufficientScopeError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    UnauthorizedError,
    UnavailableError,
)
from .explain import Explanation, Finding, explain
from .jwks import Clock, FetchError
from .keys import ALGORITHMS
from .marks import TOKEN_VALIDATOR
from .overview import RouteAccess, routes
from .protection import (
    ACCESS_TOKEN,
    json_error,
    optional,
    protected,
    public,
    setup,
)
from .requirements import Check
from .resolver import Resolver
from .trusted_issuer import TrustedIssuer
from .validator import Revoked, TokenValidator

__all__ = [
    "ACCESS_TOKEN",
    "ALGORITHMS",
    "TOKEN_VALIDATOR",
    "AccessToken",
    "AuthError",
    "Check",
    "Clock",
    "Explanation",
    "Fetch",
    "FetchError",
    "Finding",
    "InsufficientAuthenticationError",
    "InsufficientScopeError",
    "InvalidTokenError",
    "KeysUnavailableError",
    "Reason",
    "Resolver",
    "Revoked",
    "RouteAccess",
    "TokenValidator",
    "TrustedIssuer",
    "UnauthorizedError",
    "UnavailableError",
    "explain",
    "json_error",
    "optional",
    "protected",
    "public",
    "routes",
    "setup",
]
