"""Which messages does this API send, and who may read them?"""

import json

from aiohttp import web

from . import auth
from .auth.answers import JSON_HEADERS


def _encoded(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


# Each is encoded once, because it never changes.
_PUBLIC = _encoded("This is a public message.")
_PROTECTED = _encoded("This is a protected message.")
_ADMIN = _encoded("This is an admin message.")


@auth.public
async def public_message(_request: web.Request) -> web.Response:
    """Answer everybody."""
    return _message(_PUBLIC)


@auth.protected
async def protected_message(_request: web.Request) -> web.Response:
    """Answer whoever has a valid access token."""
    return _message(_PROTECTED)


def message_routes(*, admin_permission: str | None) -> list[web.RouteDef]:
    """Return the routes. The admin message requires `admin_permission`, unless that is None."""

    @auth.protected(permissions={admin_permission} if admin_permission else ())
    async def admin_message(_request: web.Request) -> web.Response:
        """Answer whoever has the admin permission, or a valid access token if there is none."""
        return _message(_ADMIN)

    return [
        web.get("/api/messages/public", public_message),
        web.get("/api/messages/protected", protected_message),
        web.get("/api/messages/admin", admin_message),
    ]


def _message(body: bytes) -> web.Response:
    return web.Response(body=body, headers=JSON_HEADERS)
