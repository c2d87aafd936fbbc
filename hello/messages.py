"""The three messages: what this API exists to say."""

import json

from aiohttp import hdrs, web
from multidict import CIMultiDict

from . import auth

_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})


def _encoded(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


# They are always the same, so each is encoded once.
_PUBLIC = _encoded("This is a public message.")
_PROTECTED = _encoded("This is a protected message.")
_ADMIN = _encoded("This is an admin message.")


@auth.public
async def public_message(_request: web.Request) -> web.Response:
    """Answer anybody."""
    return _message(_PUBLIC)


@auth.protected
async def protected_message(_request: web.Request) -> web.Response:
    """Answer whoever has a valid access token."""
    return _message(_PROTECTED)


def message_routes(*, admin_permission: str | None) -> list[web.RouteDef]:
    """Return the API's routes. `admin_permission`: what the admin message asks for, if anything."""

    @auth.protected(permissions={admin_permission} if admin_permission else ())
    async def admin_message(_request: web.Request) -> web.Response:
        return _message(_ADMIN)

    return [
        web.get("/api/messages/public", public_message),
        web.get("/api/messages/protected", protected_message),
        web.get("/api/messages/admin", admin_message),
    ]


def _message(body: bytes) -> web.Response:
    return web.Response(body=body, headers=_JSON)
