"""The three messages: what this API exists to say."""

from aiohttp import web

from . import auth


@auth.public
async def public_message(_request: web.Request) -> web.Response:
    """Answer anybody."""
    return _message("This is a public message.")


@auth.protected
async def protected_message(_request: web.Request) -> web.Response:
    """Answer who has a valid access token."""
    return _message("This is a protected message.")


def message_routes(*, admin_permission: str | None) -> list[web.RouteDef]:
    """Return the API's routes. `admin_permission`: what the admin message asks for, if anything."""

    @auth.protected(permissions={admin_permission} if admin_permission else ())
    async def admin_message(_request: web.Request) -> web.Response:
        return _message("This is an admin message.")

    return [
        web.get("/api/messages/public", public_message),
        web.get("/api/messages/protected", protected_message),
        web.get("/api/messages/admin", admin_message),
    ]


def _message(text: str) -> web.Response:
    return web.json_response({"text": text})
