"""Which tokens does the token endpoint give, and to whom?

RFC 6749 §4.1.3 (codes), §4.4 (client credentials) and §6 (refresh tokens, rotating as RFC 9700
§4.14.2 says); OpenID Connect Core 1.0 §3.1.3 (ID tokens) and §5.3 (userinfo).
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .memory import Family, Grant, Memory
from .oauth import NO_STORE, OAuthError, authenticate_client, body_parameters
from .signing import OMIT, base64url

if TYPE_CHECKING:
    from .issuer import Issuer
    from .login import Login

_REFRESH_SECONDS = 30 * 86400
# RFC 6749 §3.3, without the comma, which somebody must have meant to stand between two.
_SCOPE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
_ISSUED_SECONDS = 86400


class Tokens:
    """The token endpoint, and userinfo, where a token of any audience is good."""

    def __init__(self, issuer: "Issuer", login: "Login") -> None:
        self._issuer = issuer
        self._codes = login.codes
        self._refresh_tokens = Memory[Family](_REFRESH_SECONDS, issuer.clock)
        self._granted = Memory[Grant](_ISSUED_SECONDS, issuer.clock)

    def routes(self) -> list[web.RouteDef]:
        """Return what a client asks, by itself."""
        return [
            web.post("/oauth/token", self._token),
            web.get("/userinfo", self._userinfo),
            web.post("/userinfo", self._userinfo),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        parameters = await body_parameters(request)
        grant_type = parameters.get("grant_type")
        # A browser's client has no secret to keep (RFC 8252 §8.5); PKCE stands in for it.
        if grant_type not in ("authorization_code", "refresh_token") or (
            "Authorization" in request.headers or "client_secret" in parameters
        ):
            authenticate_client(request, parameters)
        match grant_type:
            case "client_credentials":
                answer = self._for_client(parameters)
            case "authorization_code":
                answer = self._for_code(parameters)
            case "refresh_token":
                answer = self._for_refresh_token(parameters)
            case None:
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type", "no such grant_type here")
        return web.json_response(answer, headers=NO_STORE)

    def _for_client(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        issuer = self._issuer
        if parameters.get("audience") != issuer.audience:
            raise OAuthError("invalid_request", f"audience must be {issuer.audience}")
        # Whatever a client asks for: so a route of one's own can be tried.
        scopes = set(parameters.get("scope", "").split(" ")) - {""}
        if not all(_SCOPE.fullmatch(scope) for scope in scopes):
            raise OAuthError("invalid_scope", "scopes are ASCII, with spaces between them")
        scope = {"scope": " ".join(sorted(scopes))} if scopes else {}
        token = issuer.mint(claims={**scope, "permissions": sorted(scopes)})
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": issuer.lifetime,
            **scope,
        }

    def _for_code(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        code = self._codes.get(parameters.get("code"))
        if code is None:
            raise OAuthError("invalid_grant", "no such code, or not any more")
        if code.used:
            # RFC 6749 §4.1.2: somebody else may have it, so what came of it ends.
            code.family.revoked = True
            raise OAuthError("invalid_grant", "the code was used before")
        code.used = True
        verifier = parameters.get("code_verifier", "")
        for wrong, description in (
            (parameters.get("client_id") != code.family.grant.client_id, "another client's code"),
            (parameters.get("redirect_uri") != code.redirect_uri, "another redirect_uri"),
            (
                not _VERIFIER.fullmatch(verifier) or _s256(verifier) != code.code_challenge,
                "the code_verifier does not fit the code_challenge",
            ),
        ):
            if wrong:
                raise OAuthError("invalid_grant", description)
        return self._answer(code.family, code.family.grant.scopes)

    def _for_refresh_token(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        token = parameters.get("refresh_token")
        family = self._refresh_tokens.get(token)
        if family is None or family.revoked:
            raise OAuthError("invalid_grant", "no such refresh token, or not any more")
        if parameters.get("client_id") != family.grant.client_id:
            raise OAuthError("invalid_grant", "another client's refresh token")
        if token != family.current:
            # RFC 9700 §4.14.2: of the two who have it one is a thief, so neither keeps it.
            family.revoked = True
            raise OAuthError("invalid_grant", "the refresh token was used before")
        scopes = frozenset(parameters.get("scope", "").split())
        if not scopes <= family.grant.scopes:
            raise OAuthError("invalid_scope", "more than was granted")
        return self._answer(family, scopes or family.grant.scopes)

    def _answer(self, family: Family, scopes: frozenset[str]) -> dict[str, Any]:
        grant = replace(family.grant, scopes=scopes)
        answer = {
            "access_token": self._access_token(grant),
            "token_type": "Bearer",
            "expires_in": self._issuer.lifetime,
            "scope": " ".join(sorted(grant.scopes)),
        }
        if "openid" in grant.scopes:
            answer["id_token"] = self._id_token(grant)
        if "offline_access" in family.grant.scopes:  # whatever was asked for this time
            family.current = answer["refresh_token"] = self._refresh_tokens.keep(family)
        return answer

    def _access_token(self, grant: Grant) -> str:
        if grant.audience is None:
            # As with Auth0: who names no API gets what no API can read.
            return self._granted.keep(grant, secrets.token_urlsafe(24))
        permissions = self._issuer.permissions_of(grant.person)
        token = self._issuer.mint(
            claims={
                "sub": grant.person.subject,
                "aud": [grant.audience, f"{self._issuer.url}userinfo"],
                "azp": grant.client_id,
                "scope": " ".join(sorted(grant.scopes)),
                "permissions": sorted(permissions),
                "gty": OMIT,
            }
        )
        return self._granted.keep(grant, token)

    def _id_token(self, grant: Grant) -> str:
        nonce = {} if grant.nonce is None else {"nonce": grant.nonce}
        return self._issuer.sign(
            {
                **grant.person.claims(grant.scopes),
                "aud": grant.client_id,
                "sid": grant.session.id,
                "auth_time": grant.session.auth_time,
                **nonce,
            }
        )

    async def _userinfo(self, request: web.Request) -> web.Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self._granted.get(token) if scheme.lower() == "bearer" else None
        if grant is None:
            raise OAuthError("invalid_token", "not an access token of this issuer", status=401)
        return web.json_response(grant.person.claims(grant.scopes), headers=NO_STORE)


def _s256(verifier: str) -> str:
    return base64url(hashlib.sha256(verifier.encode("ascii")).digest())
