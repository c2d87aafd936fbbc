"""An issuer made of Authlib and Flask, as Authlib's documentation shows how to make one.

Authlib leaves to the program where clients and tokens are kept, who logs in, for which API a token
is, and what is said about an opaque token. Here all is kept in memory, everybody is alice, and a
client's tokens are for the API in its row. FORMAT=jwt signs access tokens (RFC 9068).
"""

import json
import os
import time
from dataclasses import dataclass, field

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTIntrospectionEndpoint
from authlib.oidc.core import OpenIDCode
from flask import Flask, request
from joserfc.jwk import KeySet

PORT = int(os.environ["PORT"])
URL = f"http://127.0.0.1:{PORT}"
SIGNED = os.environ["FORMAT"] == "jwt"
PUBLISHED = KeySet.import_key_set(json.loads(os.environ["KEYS"]))
SIGNING = KeySet(PUBLISHED.keys[:1])  # of several keys, Authlib takes any


@dataclass
class Client(ClientMixin):
    id: str
    audience: str
    redirect_uri: str = ""
    method: str = "client_secret_basic"
    lifetime: int = 600

    def get_client_id(self):
        return self.id

    def get_default_redirect_uri(self):
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        known = {"openid", "read:reports"}
        return " ".join(name for name in (scope or "").split() if name in known)

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        return client_secret == f"{self.id}-secret"

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.method

    def check_response_type(self, response_type):
        return response_type == "code" and self.redirect_uri != ""

    def check_grant_type(self, grant_type):
        return (grant_type == "client_credentials") == (self.redirect_uri == "")


API_METHODS = ["client_secret_basic", "client_secret_post"]
API, OTHER_API = "https://api.example.com", "https://other.example.com"
CLIENTS = {
    client.id: client
    for client in (
        Client("machine", API),
        Client("brief", API, lifetime=1),
        Client("stranger", OTHER_API),
        Client("web", API, redirect_uri=os.environ["CALLBACK"]),
        # The API itself, once for each way to say so when it asks about a token.
        Client("api-basic", API),
        Client("api-post", API, method="client_secret_post"),
    )
}


class Alice:
    id = "alice"

    def get_user_id(self):
        return self.id


@dataclass
class Token(TokenMixin):
    access_token: str
    client: Client
    user: Alice | None
    scope: str
    expires_in: int
    refresh_token: str = ""
    issued_at: int = field(default_factory=lambda: int(time.time()))
    revoked: bool = False

    def check_client(self, client):
        return client is self.client

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.expires_in

    def is_expired(self):
        return time.time() >= self.issued_at + self.expires_in

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return self.user

    def get_client(self):
        return self.client


@dataclass
class Code:
    code: str
    client: Client
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return int(time.time())

    def get_acr(self):
        return None

    def get_amr(self):
        return None


TOKENS: list[Token] = []
CODES: dict[str, Code] = {}


def save_token(token, oauth_request):
    TOKENS.append(
        Token(
            access_token=token["access_token"],
            client=oauth_request.client,
            user=oauth_request.user,
            scope=token.get("scope", ""),
            expires_in=token["expires_in"],
            refresh_token=token.get("refresh_token", ""),
        )
    )


def query_token(token_string, token_type_hint):
    kinds = {"access_token", "refresh_token"}
    names = {token_type_hint} if token_type_hint in kinds else kinds
    found = (token for token in TOKENS if token_string in {getattr(token, n) for n in names})
    return next(found, None)


class CodeGrant(grants.AuthorizationCodeGrant):
    def save_authorization_code(self, code, oauth_request):
        data = oauth_request.payload.data
        CODES[code] = Code(
            code,
            oauth_request.client,
            oauth_request.payload.redirect_uri,
            oauth_request.payload.scope,
            data.get("nonce"),
            data.get("code_challenge"),
            data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        found = CODES.get(code)
        return found if found is not None and found.client is client else None

    def delete_authorization_code(self, authorization_code):
        del CODES[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return Alice()


class IdToken(OpenIDCode):
    def resolve_client_private_key(self, client):
        return SIGNING

    def get_client_claims(self, client):
        return {"iss": URL, "aud": [client.get_client_id()]}

    def generate_user_info(self, user, scope):
        return {"sub": user.id}

    def exists_nonce(self, nonce, oauth_request):
        return any(code.nonce == nonce for code in CODES.values())


class RefreshGrant(grants.RefreshTokenGrant):
    def authenticate_refresh_token(self, refresh_token):
        return query_token(refresh_token, "refresh_token")

    def authenticate_user(self, refresh_token):
        return refresh_token.user

    def revoke_old_credential(self, refresh_token):
        pass


class Revocation(RevocationEndpoint):
    def query_token(self, token_string, token_type_hint):
        return query_token(token_string, token_type_hint)

    def revoke_token(self, token, oauth_request):
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = API_METHODS

    def query_token(self, token_string, token_type_hint):
        return query_token(token_string, token_type_hint)

    def check_permission(self, token, client, oauth_request):
        return client.id.startswith("api-")

    def introspect_token(self, token):
        subject = token.user or token.client
        return {
            "active": True,
            "client_id": token.client.id,
            "token_type": "Bearer",
            "scope": token.scope,
            "sub": subject.id,
            "aud": token.client.audience,
            "iss": URL,
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }


class SignedIntrospection(JWTIntrospectionEndpoint):
    CLIENT_AUTH_METHODS = API_METHODS

    def get_jwks(self):
        return PUBLISHED

    def check_permission(self, token, client, oauth_request):
        return client.id.startswith("api-")


class Signed(JWTBearerTokenGenerator):
    def get_jwks(self):
        return SIGNING

    def get_audiences(self, client, user, scope):
        return [client.audience]


def lifetime(client, grant_type):
    return client.lifetime


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(app, CLIENTS.get, save_token)
opaque = server.create_bearer_token_generator(app.config)
opaque.expires_generator = lifetime
signed = Signed(URL, "RS256", opaque.refresh_token_generator, lifetime)
server.register_token_generator("default", signed if SIGNED else opaque)
server.register_grant(grants.ClientCredentialsGrant)
server.register_grant(CodeGrant, [CodeChallenge(required=True), IdToken()])
server.register_grant(RefreshGrant)
server.register_endpoint(Revocation)
if SIGNED:
    server.register_endpoint(SignedIntrospection(URL))
server.register_endpoint(Introspection)


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    document = AuthorizationServerMetadata(
        issuer=URL,
        authorization_endpoint=f"{URL}/authorize",
        token_endpoint=f"{URL}/token",
        jwks_uri=f"{URL}/keys",
        introspection_endpoint=f"{URL}/introspect",
        revocation_endpoint=f"{URL}/revoke",
        response_types_supported=["code"],
    )
    return dict(document)


@app.get("/keys")
def keys():
    return PUBLISHED.as_dict(private=False)


@app.get("/authorize")
def authorize():
    grant = server.get_consent_grant(end_user=Alice())
    return server.create_authorization_response(request, grant_user=Alice(), grant=grant)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response("introspection")


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


app.run("127.0.0.1", PORT)
