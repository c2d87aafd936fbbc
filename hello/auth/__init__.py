"""How does an aiohttp application protect its handlers with access tokens?

    from hello import auth

    @routes.get("/reports")
    @auth.protected(permissions={"read:reports"})
    async def reports(request):
        return web.json_response({"for": auth.token(request).subject})

    auth.setup(app, auth.TokenValidator(
        issuer="https://tenant.eu.auth0.com/", audience="https://api.example.com"))

A handler without a mark is protected. `@auth.public` opens a handler to all, and `@auth.optional`
serves requests with a token and requests without one.
"""

from hello import tokens
from hello.tokens import *  # noqa: F403 - whoever protects an application needs them all
from hello.tokens.explain import Explanation, Finding

from .answers import Refuse, json_error
from .beside.paths import open_paths, protect_paths
from .decisions.audit import AuditCounts, OnDecision
from .decisions.decision import Decision
from .decorators import optional, protected, public
from .explaining import explain
from .live.opening import live
from .marks import TOKEN_VALIDATOR, RouteTable
from .openapi import (
    OpenAPIGaps,
    SecurityContradictionError,
    add_security,
    openapi,
    openapi_gaps,
    serve_openapi,
)
from .protected_app import audit_counts
from .protection import ACCESS_TOKEN, setup, token, token_or_none
from .reading.certificates import CertificateHeader, ClientCertificate
from .routes import RouteAccess, routes

__all__ = [
    "ACCESS_TOKEN",
    "TOKEN_VALIDATOR",
    "AuditCounts",
    "CertificateHeader",
    "ClientCertificate",
    "Decision",
    "Explanation",
    "Finding",
    "OnDecision",
    "OpenAPIGaps",
    "Refuse",
    "RouteAccess",
    "RouteTable",
    "SecurityContradictionError",
    "add_security",
    "audit_counts",
    "explain",
    "json_error",
    "live",
    "open_paths",
    "openapi",
    "openapi_gaps",
    "optional",
    "protect_paths",
    "protected",
    "public",
    "routes",
    "serve_openapi",
    "setup",
    "token",
    "token_or_none",
]
__all__ += tokens.__all__
