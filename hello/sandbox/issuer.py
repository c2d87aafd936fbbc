"""An authorization server in small, with Auth0's addresses.

It stands in for the tenant that a newcomer has not got, and for the issuer that tests need: a real
HTTP server, whose keys are made at start and never leave memory.
"""

import base64
import binascii
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus
from uuid import uuid4

from aiohttp import web
from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

CLIENT_ID = "sandbox"
CLIENT_SECRET = "not-a-secret"  # noqa: S105 - it opens nothing but this machine's sandbox
LIFETIME_SECONDS = 86400

OMIT: Any = object()
"""A claim's or header's value that leaves it out of a minted token."""

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 §5.1


class Issuer:
    """Signs access tokens for one audience, and publishes the keys to check them with.

    `url` is the `iss` of its tokens and ends with a slash; it may be set once the port is known.
    `permissions` are what a client can ask for, by `scope`. `requests` counts what was asked, by
    path. `key` is what it signs with at first, or None to make one.
    """

    def __init__(
        self,
        *,
        audience: str,
        url: str = "http://localhost:6061/",
        permissions: frozenset[str] = frozenset({"read:admin-messages"}),
        key: Key | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.permissions = permissions
        self.requests: Counter[str] = Counter()
        self.published: list[Mapping[str, Any]] = []
        self._clock = clock
        self.rotate(key)

    def app(self) -> web.Application:
        """Return the HTTP server."""
        app = web.Application(middlewares=[self._count, _errors_as_oauth])
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._metadata),
                web.get("/.well-known/jwks.json", self._jwks),
                web.post("/oauth/token", self._token),
            ]
        )
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
        """Sign a token like one that `POST /oauth/token` gives out, with changes.

        Claims and header parameters replace or, with OMIT, remove the usual ones.
        """
        key = key or self.key
        now = int(self._clock())
        usual_claims = {
            "iss": self.url,
            "sub": f"{CLIENT_ID}@clients",
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "azp": CLIENT_ID,
            "permissions": [],
            "gty": "client-credentials",
        }
        usual_header = {"alg": "RS256", "typ": "JWT", "kid": key.kid}
        return sign(_changed(usual_header, header), _changed(usual_claims, claims), key)

    async def _metadata(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.url}.well-known/jwks.json",
                "token_endpoint": f"{self.url}oauth/token",
                "token_endpoint_auth_methods_supported": [
                    "client_secret_post",
                    "client_secret_basic",
                ],
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "scopes_supported": sorted(self.permissions),
            }
        )

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self.published})

    async def _token(self, request: web.Request) -> web.Response:
        parameters = await _parameters(request)
        _authenticate_client(request, parameters)
        grant_type = parameters.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "grant_type is missing")
        if grant_type != "client_credentials":
            raise OAuthError("unsupported_grant_type", "this issuer knows client_credentials")
        if parameters.get("audience") != self.audience:
            raise OAuthError("invalid_request", f"audience must be {self.audience}")
        scopes = set(parameters.get("scope", "").split())
        if not scopes <= self.permissions:
            raise OAuthError("invalid_scope", f"scope can be: {' '.join(sorted(self.permissions))}")

        scope = {"scope": " ".join(sorted(scopes))} if scopes else {}
        token = self.mint(claims={**scope, "permissions": sorted(scopes)})
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_SECONDS}
        return web.json_response({**answer, **scope}, headers=_NO_STORE)

    @web.middleware
    async def _count(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        self.requests[request.path] += 1
        return await handler(request)


class OAuthError(Exception):
    """A refusal of the token endpoint (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def new_key() -> Key:
    """Make an RSA key of 2048 bits with a `kid` of its own."""
    return RSAKey.generate_key(2048, {"kid": uuid4().hex, "alg": "RS256"})


def sign(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, key: Key) -> str:
    """Make a compact JWS of any header and payload, right or wrong.

    It is signed as the header's `alg` says, or with RS256 where that cannot be.
    """
    algorithm = header.get("alg") if isinstance(header, Mapping) else None
    model = JWSRegistry.algorithms.get(str(algorithm), JWSRegistry.algorithms["RS256"])
    signing_input = f"{_segment(header)}.{_segment(payload)}"
    signature = model.sign(signing_input.encode("ascii"), key)
    return f"{signing_input}.{base64url(signature)}"


def base64url(data: bytes) -> str:
    """Encode as RFC 7515 §2 says: without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _segment(part: Mapping[str, Any] | bytes) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())


def _changed(usual: dict[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    merged = {**usual, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not OMIT}


@web.middleware
async def _errors_as_oauth(request: web.Request, handler: "Handler") -> web.StreamResponse:
    try:
        return await handler(request)
    except OAuthError as error:
        body = {"error": error.error, "error_description": error.description}
        headers = dict(_NO_STORE)
        if error.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
        return web.json_response(body, status=error.status, headers=headers)


async def _parameters(request: web.Request) -> dict[str, str]:
    """Read a form (RFC 6749 §4.4.2) or, as Auth0 does too, a JSON object."""
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError:
            raise OAuthError("invalid_request", "the body is not JSON") from None
        if not isinstance(body, dict) or not all(isinstance(v, str) for v in body.values()):
            raise OAuthError("invalid_request", "the body is not an object of strings")
        return body
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "the body is neither a form nor JSON")
    form = await request.post()
    if len(form) != len(set(form)):
        raise OAuthError("invalid_request", "a parameter was sent twice")
    # RFC 6749 §3.2: a parameter without a value counts as not sent.
    return {name: str(value) for name, value in form.items() if value}


def _authenticate_client(request: web.Request, parameters: Mapping[str, str]) -> None:
    """RFC 6749 §2.3.1: in the Authorization header, or in the body, and not in both."""
    authorization = request.headers.get("Authorization")
    if authorization is None:
        client = parameters.get("client_id", ""), parameters.get("client_secret", "")
    elif "client_secret" in parameters:
        raise OAuthError("invalid_request", "the client authenticated in two ways")
    else:
        client = _basic(authorization)
    ours = f"{CLIENT_ID}:{CLIENT_SECRET}".encode()
    if not hmac.compare_digest(":".join(client).encode(), ours):
        raise OAuthError("invalid_client", "no such client, or not its secret", status=401)


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        name = secret = ""
    if scheme.lower() != "basic":
        name = secret = ""
    return unquote_plus(name), unquote_plus(secret)
