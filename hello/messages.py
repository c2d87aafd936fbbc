"""The three messages: what this API exists to say."""

import json

from aiohttp import web

from . import auth


def _encoded(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


# They are always the same, so each is encoded once.
_PUBLIC = _encoded("This is a public message.")
_PROTECTED = _encoded("This is a protected message.")
_ADMIN = _encoded("This is an admin message.")


@auth.public
async def public_message(_request: web.Request) -> web.Response:
    """Answer anybody."""
    return auth.json_body(_PUBLIC)


@auth.protected
async def protected_message(_request: web.Request) -> web.Response:
    """Answer who has a valid access token."""
    return auth.json_body(_PROTECTED)


def message_routes(*, admin_permission: str | None) -> list[web.RouteDef]:
    """Return the API's routes. `admin_permission`: what the admin message asks for, if anything."""

    @auth.protected(permissions={admin_permission} if admin_permission else ())
    async def admin_message(_request: web.Request) -> web.Response:
        return auth.json_body(_ADMIN)

    return [
        web.get("/api/messages/public", public_message),
        web.get("/api/messages/protected", protected_message),
        web.get("/api/messages/admin", admin_message),
    ]
