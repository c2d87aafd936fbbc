"""What does the sandbox's issuer consist of?

Its keys, its login and its endpoints do not know each other. This file puts them together. What
Auth0 has too is at the same paths as there.
"""

from collections import Counter

import aiohttp_cors
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from . import pages
from .clients.authentication import ClientAuthentication
from .clients.known import CLIENT_ID, CLIENT_SECRET, Clients
from .clients.registration import Registration
from .endpoints.introspection import Introspection, Userinfo
from .endpoints.revocation import Revocation
from .endpoints.tokens import TokenEndpoint
from .issuer import Issuer
from .login import Login
from .memory import AuthorizationCode, ExpiringStore, TokenFamily
from .oauth import errors_as_oauth, loopback_only
from .proofs import Proofs

_CODE_SECONDS = 60
_REFRESH_SECONDS = 30 * 86400
_MAX_BODY_BYTES = 16 * 1024  # parts of a request are stored
_MAX_COUNTED_PATHS = 1000


def issuer_app(issuer: Issuer) -> web.Application:
    """Return the application that serves an issuer over HTTP."""
    known, proofs = Clients(issuer), Proofs(issuer)
    clients = ClientAuthentication(issuer, known)
    codes = ExpiringStore[AuthorizationCode](_CODE_SECONDS, issuer.clock)
    refresh_tokens = ExpiringStore[TokenFamily](_REFRESH_SECONDS, issuer.clock)

    async def metadata(_request: web.Request) -> web.Response:
        return web.json_response(issuer.metadata())

    async def key_set(_request: web.Request) -> web.Response:
        return web.json_response(issuer.key_set())

    async def index(_request: web.Request) -> web.Response:
        return pages.index_page(issuer.metadata(), CLIENT_ID, CLIENT_SECRET)

    app = web.Application(
        middlewares=[errors_as_oauth, loopback_only, _count_in(issuer.requests)],
        client_max_size=_MAX_BODY_BYTES,
    )
    cross_origin_routes = app.add_routes(
        [
            web.get("/.well-known/openid-configuration", metadata),
            web.get("/.well-known/oauth-authorization-server", metadata),
            web.get("/.well-known/jwks.json", key_set),
            *TokenEndpoint(issuer, codes, refresh_tokens, clients, proofs).routes(),
            *Revocation(issuer.access_tokens, refresh_tokens, clients).routes(),
            *Userinfo(issuer.access_tokens, proofs).routes(),
            *(Registration(issuer, known).routes() if issuer.registration else ()),
        ]
    )
    options = aiohttp_cors.ResourceOptions(
        allow_headers=("Authorization", "Content-Type", "DPoP", "Auth0-Client"),
        expose_headers=("WWW-Authenticate",),
        max_age=86400,
    )
    cors = aiohttp_cors.setup(app, defaults={issuer.client_origin: options})
    for route in cross_origin_routes:
        cors.add(route)
    app.router.add_get("/", index)
    app.add_routes(Login(issuer, codes, known).routes())
    app.add_routes(Introspection(issuer.access_tokens, clients).routes())
    return app


def _count_in(requests: Counter[str]) -> Middleware:
    """Return a middleware that counts the requests for each path."""

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in requests or len(requests) < _MAX_COUNTED_PATHS:
            requests[request.path] += 1
        return await handler(request)

    return count
