"""Which client asks, and is it that client?

RFC 6749 §2.3.1 says how a client shows its secret, and RFC 7523 how it signs an assertion.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote_plus

from aiohttp import web
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from hello.sandbox.issuer.memory import ExpiringStore
from hello.sandbox.issuer.oauth import OAuthError
from hello.tokens.jwt.compact import UnverifiedToken, parse

from .known import CLIENT_ID, Clients

ASSERTION_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
_CREDENTIALS = ("client_secret", "client_assertion")


class AuthenticationSettings(Protocol):
    """What the authentication of clients needs to know about the issuer."""

    url: str
    clock: Callable[[], float]
    client_keys: list[Key]


def _credentials(request: web.Request, parameters: Mapping[str, str]) -> list[str]:
    """Return the places of a request where a client has tried to authenticate."""
    places = ["Authorization"] if "Authorization" in request.headers else []
    return places + [name for name in _CREDENTIALS if name in parameters]


class ClientAuthentication:
    """Authenticates the client of every endpoint that asks for it.

    It accepts the client's secret, in the header or in the body (RFC 6749 §2.3.1). It also accepts
    an assertion that the client signed, but each only once. That is RFC 7523 §2.2, and OpenID
    Connect Core 1.0 §9 calls it `private_key_jwt`.
    """

    def __init__(self, settings: AuthenticationSettings, clients: Clients) -> None:
        self._settings = settings
        self._clients = clients
        self._used = ExpiringStore[str](0, self._now)  # the jti of each assertion, until its exp

    def sender(
        self, request: web.Request, parameters: Mapping[str, str]
    ) -> tuple[str | None, bool]:
        """Return the client that a request names, and whether it authenticated.

        It is for endpoints that public clients may ask: a client in a browser cannot keep a secret
        (RFC 8252 §8.5). Raises OAuthError if the client must authenticate, or tries to and fails.
        """
        named = parameters.get("client_id")
        if _credentials(request, parameters) or self._clients.must_authenticate(named):
            return self.check(request, parameters), True
        return named, False

    def check(self, request: web.Request, parameters: Mapping[str, str]) -> str:
        """Return the client of a request that authenticated in one way. Raises OAuthError.

        The request does not name another one (RFC 6749 §4.1.3: it need not name itself twice).
        """
        match _credentials(request, parameters):
            case [_, _, *_]:
                raise OAuthError("invalid_request", "the client authenticated in two ways")
            case ["client_assertion"]:
                self._check_assertion(request, parameters)
                client_id = CLIENT_ID
            case ["Authorization"]:
                client_id, secret = _basic(request.headers["Authorization"])
                self._check_secret(client_id, secret)
            case _:
                client_id = parameters.get("client_id", "")
                self._check_secret(client_id, parameters.get("client_secret", ""))
        if parameters.get("client_id", client_id) != client_id:
            raise _invalid_client("client_id names another client")
        return client_id

    def _check_secret(self, client_id: str, secret: str) -> None:
        expected = self._clients.secret_of(client_id)
        given = secret.encode("utf-8", "surrogatepass")
        if expected is None or not hmac.compare_digest(given, expected.encode()):
            raise _invalid_client("unknown client, or wrong secret")

    def _check_assertion(self, request: web.Request, parameters: Mapping[str, str]) -> None:
        """Check what RFC 7523 §3 says about an assertion."""
        settings = self._settings
        try:
            assertion = parse(parameters["client_assertion"])
        except ValueError:
            raise _invalid_client("the client_assertion is not a signed JWT") from None
        claims = assertion.claims
        now = self._now()
        # RFC 7523 §3 allows an endpoint's URL in place of the issuer's.
        audiences = settings.url, settings.url.rstrip("/") + request.path
        for wrong, description in (
            (
                parameters.get("client_assertion_type") != _ASSERTION_TYPE,
                f"client_assertion_type must be {_ASSERTION_TYPE}",
            ),
            (
                not any(_is_signed_with(key, assertion) for key in settings.client_keys),
                "the client_assertion is not signed with a key of the client",
            ),
            (
                not claims.get("iss") == claims.get("sub") == CLIENT_ID,
                "iss and sub of the client_assertion must be the client_id",
            ),
            (
                not any(audience in _listed(claims.get("aud")) for audience in audiences),
                f"aud of the client_assertion must be {settings.url}",
            ),
            (
                not _is_number(claims.get("exp")) or claims["exp"] <= now,
                "the client_assertion has expired, or has no exp",
            ),
            (
                "nbf" in claims and (not _is_number(claims["nbf"]) or claims["nbf"] > now),
                "the client_assertion is not valid yet",
            ),
            (
                not isinstance(claims.get("jti"), str) or not claims["jti"],
                "the client_assertion has no jti",
            ),
        ):
            if wrong:
                raise _invalid_client(description)
        if self._used.get(claims["jti"]) is not None:
            raise _invalid_client("the client_assertion was used before")
        self._used.add(claims["jti"], claims["jti"], until=claims["exp"])

    def _now(self) -> float:
        return self._settings.clock()  # which may have been set after the start


def _invalid_client(description: str) -> OAuthError:
    return OAuthError("invalid_client", description, status=401)


def _is_signed_with(key: Key, assertion: UnverifiedToken) -> bool:
    algorithm = assertion.header.get("alg")
    # RFC 7515 §4.1.11: what is critical and not understood makes a signature invalid.
    if algorithm not in ASSERTION_ALGORITHMS or "crit" in assertion.header:
        return False
    model = JWSRegistry.algorithms[algorithm]
    try:
        model.check_key(key)
        return model.verify(assertion.signing_input, assertion.signature, key)
    except JoseError:
        return False  # the key is for another algorithm


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, value = authorization.partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name = secret = ""
    if scheme.lower() != "basic":
        name = secret = ""
    return unquote_plus(name), unquote_plus(secret)
