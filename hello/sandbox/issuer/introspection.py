"""Is this access token valid, and what does it grant, according to the issuer that gave it?

The introspection endpoint of RFC 7662.
"""

from aiohttp import web

from .memory import ExpiringStore, IssuedToken
from .oauth import NO_STORE, ClientAuthentication, OAuthError, form_parameters


class Introspection:
    """The introspection endpoint. It knows the tokens in `access_tokens`."""

    def __init__(
        self, access_tokens: ExpiringStore[IssuedToken], clients: ClientAuthentication
    ) -> None:
        self._access_tokens = access_tokens
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.post("/oauth/introspect", self._introspect)]

    async def _introspect(self, request: web.Request) -> web.Response:
        parameters = await form_parameters(request)
        # RFC 7662 §2.1: otherwise anybody could try out texts until one is a token.
        self._clients.check(request, parameters)
        if "token" not in parameters:
            raise OAuthError("invalid_request", "token is missing")
        issued = self._access_tokens.get(parameters["token"])
        if issued is None or issued.revoked:
            # RFC 7662 §2.2: an answer about any other text says nothing else.
            return web.json_response({"active": False}, headers=NO_STORE)
        return web.json_response(issued.answer, headers=NO_STORE)
