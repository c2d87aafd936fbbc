"""How does a client end its tokens (RFC 7009)?"""

from aiohttp import web

from hello.sandbox.issuer.clients.authentication import ClientAuthentication
from hello.sandbox.issuer.memory import ExpiringStore, IssuedToken, TokenFamily
from hello.sandbox.issuer.oauth import NO_STORE, OAuthError, body_parameters


class Revocation:
    """The revocation endpoint, for the tokens that are kept in these two stores."""

    def __init__(
        self,
        access_tokens: ExpiringStore[IssuedToken],
        refresh_tokens: ExpiringStore[TokenFamily],
        clients: ClientAuthentication,
    ) -> None:
        self._access_tokens = access_tokens
        self._refresh_tokens = refresh_tokens
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.post("/oauth/revoke", self._revoke)]

    async def _revoke(self, request: web.Request) -> web.Response:
        parameters = await body_parameters(request)
        client_id, authenticated = self._clients.sender(request, parameters)
        if client_id is None:
            raise OAuthError("invalid_request", "client_id is missing")
        token = parameters.get("token")
        if token is None:
            raise OAuthError("invalid_request", "token is missing")
        family, issued = self._refresh_tokens.get(token), self._access_tokens.get(token)
        if family is not None:
            _check_owner(family.grant.client_id, client_id)
            _check_authenticated(family, authenticated=authenticated)
            # §2.1: a refresh token ends with the access tokens of the same login.
            family.revoked = True
        elif issued is not None:
            _check_owner(issued.answer.get("client_id"), client_id)
            _check_authenticated(issued.family, authenticated=authenticated)
            self._access_tokens.pop(token)
        # §2.2: a token that is unknown is no error, because it is of no use already.
        return web.Response(headers=NO_STORE)


def _check_owner(owner: object, client_id: str) -> None:
    if owner != client_id:
        raise OAuthError("invalid_grant", "the token is another client's")  # §2.1


def _check_authenticated(family: TokenFamily | None, *, authenticated: bool) -> None:
    """Raise OAuthError if the client had to authenticate for its token, and now does not."""
    if not authenticated and (family is None or family.authenticated):
        raise OAuthError("invalid_client", "the client must authenticate", status=401)
