"""How does a client register itself (RFC 7591)?"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from hello.sandbox.issuer.oauth import NO_STORE, OAuthError, json_object

from .known import Clients, ClientSettings

PATH = "oidc/register"
_PUBLIC, *_CONFIDENTIAL = ("none", "client_secret_basic", "client_secret_post")


class Registration:
    """The client registration endpoint. It adds to `clients`."""

    def __init__(self, settings: ClientSettings, clients: Clients) -> None:
        self._settings = settings
        self._clients = clients

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.post(f"/{PATH}", self._register)]

    async def _register(self, request: web.Request) -> web.Response:
        """Register a client, and answer what it was registered with (§3.2.1).

        What else it says about itself is not registered, so the answer does not say it.
        """
        if request.content_type != "application/json":
            raise _invalid("the body is not of the type application/json")
        asked = await json_object(request)
        method = asked.get("token_endpoint_auth_method", _CONFIDENTIAL[0])  # §2: the default
        if method not in (_PUBLIC, *_CONFIDENTIAL):
            raise _invalid("token_endpoint_auth_method is none that is known here")
        redirect_uris = _strings(asked, "redirect_uris")
        by_login = ["authorization_code", "refresh_token"] if redirect_uris else []
        by_itself = ["client_credentials"] if method != _PUBLIC else []
        # §2: without the member, a client asks for codes.
        wanted = _strings(asked, "grant_types") or ["authorization_code"]
        if set(wanted).isdisjoint(by_login + by_itself):
            raise _invalid("grant_types are none that this client can use")
        client = self._clients.register(redirect_uris, confidential=method != _PUBLIC)
        answer = {
            "client_id": client.id,
            "client_id_issued_at": int(self._settings.clock()),
            "redirect_uris": redirect_uris,
            "token_endpoint_auth_method": method,
            "grant_types": by_login + by_itself,
            "response_types": ["code"] if by_login else [],
        }
        if client.secret is not None:
            answer |= {"client_secret": client.secret, "client_secret_expires_at": 0}
        return web.json_response(answer, status=201, headers=NO_STORE)


def _strings(asked: Mapping[str, Any], name: str) -> list[str]:
    value = asked.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _invalid(f"{name} is not a list of strings")
    return value


def _invalid(description: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", description)
