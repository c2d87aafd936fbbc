"""Which tokens does the token endpoint issue, and to whom?

RFC 6749 §4.1.3 (codes), §4.4 (client credentials) and §6 (refresh tokens, rotating as RFC 9700
§4.14.2 says); OpenID Connect Core 1.0 §3.1.3 (ID tokens); RFC 9449 §5 (tokens that are bound to a
key, which is named by its thumbprint here).
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from aiohttp import web

from hello.sandbox.issuer.clients.authentication import ClientAuthentication
from hello.sandbox.issuer.memory import AuthorizationCode, ExpiringStore, Grant, TokenFamily
from hello.sandbox.issuer.oauth import NO_STORE, OAuthError, audience_of, body_parameters
from hello.sandbox.issuer.people import Person
from hello.sandbox.issuer.proofs import Proofs
from hello.sandbox.issuer.signing import base64url
from hello.tokens.possession.proof import ProofError

# RFC 6749 §3.3, but without the comma: with one, the client probably meant two scopes.
_SCOPE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1


class Signer(Protocol):
    """What the token endpoint needs to know about the issuer, which makes the tokens."""

    url: str
    audiences: Mapping[str, str]
    lifetime: int
    clock: Callable[[], float]

    def mint(self, *, claims: Mapping[str, Any], family: TokenFamily | None = None) -> str:
        """Return a signed access token with these claims in place of the usual ones."""

    def opaque(self, *, claims: Mapping[str, Any], family: TokenFamily | None = None) -> str:
        """Return an opaque access token. `claims` replace what introspection usually answers."""

    def sign(self, claims: Mapping[str, Any], /) -> str:
        """Return a token with these claims, and with `iss`, `iat` and `exp`."""

    def client_claims(self, client_id: str, *, auth_time: int | None = None) -> Mapping[str, Any]:
        """Return what a signed access token says about its client, and about the login for it."""

    def permissions_of(self, person: Person, /) -> frozenset[str]:
        """Return the permissions that a person has at the API."""


class _Sender(NamedTuple):
    """Who asks for tokens: which client, and the key that it proves to have, if it does."""

    client_id: str | None
    authenticated: bool
    key: str | None


class TokenEndpoint:
    """The token endpoint. It takes `codes`, which were issued at login, and `refresh_tokens`."""

    def __init__(
        self,
        signer: Signer,
        codes: ExpiringStore[AuthorizationCode],
        refresh_tokens: ExpiringStore[TokenFamily],
        clients: ClientAuthentication,
        proofs: Proofs,
    ) -> None:
        self._signer = signer
        self._codes = codes
        self._clients = clients
        self._proofs = proofs
        self._refresh_tokens = refresh_tokens

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.post("/oauth/token", self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        parameters = await body_parameters(request)
        # First of all: a request with a bad proof uses up neither a code nor an assertion.
        key = await self._key_of(request)
        grant_type = parameters.get("grant_type")
        if grant_type in ("authorization_code", "refresh_token"):
            sender = _Sender(*self._clients.sender(request, parameters), key)
        else:
            sender = _Sender(self._clients.check(request, parameters), authenticated=True, key=key)
        match grant_type:
            case "client_credentials":
                answer = self._for_client(parameters, sender)
            case "authorization_code":
                answer = self._for_code(parameters, sender)
            case "refresh_token":
                answer = self._for_refresh_token(parameters, sender)
            case None:
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type", "this grant_type is not supported")
        return web.json_response(answer, headers=NO_STORE)

    async def _key_of(self, request: web.Request) -> str | None:
        try:
            return await self._proofs.key_of(request)
        except ProofError as error:
            raise OAuthError("invalid_dpop_proof", f"the proof fails a check: {error}") from None

    def _for_client(self, parameters: Mapping[str, str], sender: _Sender) -> dict[str, Any]:
        signer = self._signer
        audience = audience_of(parameters, signer.audiences)
        # All that the client asks for, so that newcomers can try routes of their own.
        scopes = set(parameters.get("scope", "").split(" ")) - {""}
        if not all(_SCOPE.fullmatch(scope) for scope in scopes):
            raise OAuthError("invalid_scope", "scope must be ASCII words with spaces between them")
        scope = {"scope": " ".join(sorted(scopes))} if scopes else {}
        client_id = str(sender.client_id)
        claims = {
            "sub": f"{client_id}@clients",
            **scope,
            "permissions": sorted(scopes),
            **_bound_to(sender.key),
        }
        # As at Auth0: without an audience, the access token is an opaque text.
        if audience is None:
            token = signer.opaque(claims={**claims, "client_id": client_id})
        else:
            client = signer.client_claims(client_id)
            token = signer.mint(claims={**claims, "aud": audience, **client})
        return {
            "access_token": token,
            "token_type": _token_type(sender.key),
            "expires_in": signer.lifetime,
            **scope,
        }

    def _for_code(self, parameters: Mapping[str, str], sender: _Sender) -> dict[str, Any]:
        code = self._codes.get(parameters.get("code"))
        if code is None:
            raise OAuthError("invalid_grant", "the code is unknown or has expired")
        if code.used:
            # RFC 6749 §4.1.2: the code may be stolen, so the tokens that it gave are revoked.
            code.family.revoked = True
            raise OAuthError("invalid_grant", "the code was used before")
        code.used = True
        verifier = parameters.get("code_verifier", "")
        for wrong, description in (
            (
                sender.client_id != code.family.grant.client_id,
                "the code is another client's",
            ),
            (
                parameters.get("redirect_uri") != code.redirect_uri,
                "redirect_uri is not that of the login",
            ),
            (
                not _VERIFIER.fullmatch(verifier) or _s256(verifier) != code.code_challenge,
                "the code_verifier does not fit the code_challenge",
            ),
            (code.key not in (None, sender.key), "no proof of the key that dpop_jkt names"),
        ):
            if wrong:
                raise OAuthError("invalid_grant", description)
        self._check_audience(parameters, code.family.grant)
        code.family.authenticated = sender.authenticated
        return self._token_response(code.family, code.family.grant.scopes, sender.key)

    def _for_refresh_token(self, parameters: Mapping[str, str], sender: _Sender) -> dict[str, Any]:
        token = parameters.get("refresh_token")
        family = self._refresh_tokens.get(token)
        if family is None or family.revoked:
            raise OAuthError("invalid_grant", "the refresh token is unknown, expired or revoked")
        if sender.client_id != family.grant.client_id:
            raise OAuthError("invalid_grant", "the refresh token is another client's")
        if token != family.current:
            # RFC 9700 §4.14.2: two parties have it, one of them a thief, so both lose it.
            family.revoked = True
            raise OAuthError("invalid_grant", "the refresh token was used before")
        # Nothing is revoked here: who fails at this cannot use the token, and who got it still can.
        if family.authenticated and not sender.authenticated:
            raise OAuthError("invalid_client", "the client must authenticate", status=401)
        if family.key not in (None, sender.key):
            raise OAuthError("invalid_grant", "no proof of the key that the token is bound to")
        self._check_audience(parameters, family.grant)
        scopes = frozenset(parameters.get("scope", "").split())
        if not scopes <= family.grant.scopes:
            raise OAuthError("invalid_scope", "scope asks for more than was granted")
        return self._token_response(family, scopes or family.grant.scopes, sender.key)

    def _check_audience(self, parameters: Mapping[str, str], grant: Grant) -> None:
        """Raise OAuthError if other tokens are asked for than were granted (RFC 8707 §2.2)."""
        if audience_of(parameters, self._signer.audiences) not in (None, grant.audience):
            raise OAuthError("invalid_target", "tokens for another resource were granted")

    def _token_response(
        self, family: TokenFamily, scopes: frozenset[str], key: str | None
    ) -> dict[str, Any]:
        answer = {
            "access_token": self._access_token(family, scopes, key),
            "token_type": _token_type(key),
            "expires_in": self._signer.lifetime,
            "scope": " ".join(sorted(scopes)),
        }
        if "openid" in scopes:
            answer["id_token"] = self._id_token(family.grant, scopes)
        if "offline_access" in family.grant.scopes:  # even if fewer scopes are asked for now
            family.current = answer["refresh_token"] = self._refresh_tokens.add(family)
            family.key = None if family.authenticated else key
        return answer

    def _access_token(self, family: TokenFamily, scopes: frozenset[str], key: str | None) -> str:
        grant = family.grant
        claims = {
            "sub": grant.person.subject,
            "scope": " ".join(sorted(scopes)),
            "permissions": sorted(self._signer.permissions_of(grant.person)),
            **_in_organization(grant),
            **_bound_to(key),
        }
        if grant.audience is None:
            return self._signer.opaque(
                claims={**claims, "client_id": grant.client_id}, family=family
            )
        audiences = [grant.audience, f"{self._signer.url}userinfo"]
        client = self._signer.client_claims(grant.client_id, auth_time=grant.session.auth_time)
        return self._signer.mint(claims={**claims, "aud": audiences, **client}, family=family)

    def _id_token(self, grant: Grant, scopes: frozenset[str]) -> str:
        nonce = {} if grant.nonce is None else {"nonce": grant.nonce}
        return self._signer.sign(
            {
                **grant.person.claims(scopes),
                "aud": grant.client_id,
                "sid": grant.session.id,
                "auth_time": grant.session.auth_time,
                **_in_organization(grant),
                **nonce,
            }
        )


def _in_organization(grant: Grant) -> dict[str, str]:
    return {} if grant.organization is None else {"org_id": grant.organization}


def _bound_to(key: str | None) -> dict[str, Any]:
    return {} if key is None else {"cnf": {"jkt": key}}


def _token_type(key: str | None) -> str:
    return "Bearer" if key is None else "DPoP"


def _s256(verifier: str) -> str:
    return base64url(hashlib.sha256(verifier.encode("ascii")).digest())
