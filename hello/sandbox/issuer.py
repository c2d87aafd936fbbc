"""Who signs the sandbox's tokens?

An authorization server in small, with Auth0's addresses. It stands in for the tenant that a
newcomer has not got, and for the issuer that tests need: a real HTTP server, whose keys are made at
start and never leave memory.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp_cors
from aiohttp import web
from joserfc.jwk import Key

from .login import Login
from .oauth import CLIENT_ID, CLIENT_SECRET, errors_as_oauth, for_this_machine
from .people import Person
from .signing import OMIT, base64url, changed, new_key, sign
from .tokens import Tokens

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "OMIT",
    "Issuer",
    "base64url",
    "new_key",
    "sign",
]

_MOST_BYTES = 16 * 1024  # of a request: what it holds may be remembered
_MOST_PATHS = 1000  # that requests are counted by
_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


class Issuer:
    """Signs tokens for one audience, logs people in, and publishes its keys.

    `url` is the `iss` of its tokens and ends with a slash; it may be set once the port is known.
    `client_origin` is where it redirects to, and whose pages may ask it. `permissions` are what an
    administrator has; a client with a secret gets whatever it asks for. `lifetime` is an access
    token's, in seconds. `key` is what it signs with at first, or None to make one. `requests`
    counts what was asked, by path.
    """

    def __init__(
        self,
        *,
        audience: str,
        url: str = "http://localhost:6061/",
        client_origin: str = "http://localhost:4040",
        permissions: frozenset[str] = frozenset({"read:admin-messages"}),
        lifetime: int = 86400,
        key: Key | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.client_origin = client_origin
        self.permissions = permissions
        self.lifetime = lifetime
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.published: list[Mapping[str, Any]] = []
        self.rotate(key)

    def app(self) -> web.Application:
        """Return the HTTP server."""
        app = web.Application(
            middlewares=[errors_as_oauth, for_this_machine, self._count],
            client_max_size=_MOST_BYTES,
        )
        login = Login(self)
        asked_by_pages = [
            web.get("/.well-known/openid-configuration", self._metadata),
            web.get("/.well-known/jwks.json", self._jwks),
            *Tokens(self, login).routes(),
        ]
        options = aiohttp_cors.ResourceOptions(
            allow_headers=("Authorization", "Content-Type", "Auth0-Client"), max_age=86400
        )
        cors = aiohttp_cors.setup(app, defaults={self.client_origin: options})
        for route in app.add_routes(asked_by_pages):
            cors.add(route)
        app.add_routes(login.routes())
        return app

    def rotate(self, key: Key | None = None) -> None:
        """Sign with another key from now on, and publish it beside the ones before."""
        self.key = key or new_key()
        self.publish(self.key)

    def publish(self, key: Key) -> None:
        """Add a key's public half to the set."""
        self.published.append({**key.as_dict(private=False), "use": "sig"})

    def withdraw(self, key: Key) -> None:
        """Take a key out of the set."""
        self.published = [jwk for jwk in self.published if jwk.get("kid") != key.kid]

    def mint(
        self,
        *,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Sign an access token like one that a client gets for itself, with changes.

        Claims and header parameters replace or, with OMIT, remove the usual ones.
        """
        usual = {
            "sub": f"{CLIENT_ID}@clients",
            "aud": self.audience,
            "azp": CLIENT_ID,
            "permissions": [],
            "gty": "client-credentials",
        }
        return self.sign({**usual, **(claims or {})}, header=header, key=key)

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Sign claims, with `iss`, `iat` and `exp` added where they are missing."""
        key = key or self.key
        now = int(self.clock())
        usual_claims = {"iss": self.url, "iat": now, "exp": now + self.lifetime}
        usual_header = {"alg": "RS256", "typ": "JWT", "kid": key.kid or OMIT}
        return sign(changed(usual_header, header), changed(usual_claims, claims), key)

    def permissions_of(self, person: Person) -> frozenset[str]:
        """Return what a person may do with the API."""
        return self.permissions if person.administrator else frozenset()

    def scopes_of(self, person: Person) -> frozenset[str]:
        """Return what a person can allow a client to ask for."""
        return _OPENID_SCOPES | self.permissions_of(person)

    async def _metadata(self, _request: web.Request) -> web.Response:
        """OpenID Connect Discovery 1.0 §3."""
        return web.json_response(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}authorize",
                "token_endpoint": f"{self.url}oauth/token",
                "userinfo_endpoint": f"{self.url}userinfo",
                "end_session_endpoint": f"{self.url}oidc/logout",
                "jwks_uri": f"{self.url}.well-known/jwks.json",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "web_message"],
                "grant_types_supported": [
                    "authorization_code",
                    "refresh_token",
                    "client_credentials",
                ],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    "client_secret_post",
                    "client_secret_basic",
                ],
                "scopes_supported": sorted(_OPENID_SCOPES | self.permissions),
            }
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self.published})

    @web.middleware
    async def _count(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        if request.path in self.requests or len(self.requests) < _MOST_PATHS:
            self.requests[request.path] += 1
        return await handler(request)
