"""What does the API consist of?"""

from aiohttp import web

from . import auth
from .config import Config
from .messages import message_routes
from .responses import allow_client, errors_as_json, security_headers


def create_app(config: Config) -> web.Application:
    """Return the API. It checks tokens, sends messages, and lets one client's pages read them."""
    app = web.Application(middlewares=[errors_as_json])
    auth.setup(app, token_validator(config), resource=config.resource_url)
    app.add_routes(message_routes(admin_permission=config.admin_permission))
    security_headers(app)
    allow_client(app, config.client_origin)
    return app


def token_validator(config: Config) -> auth.TokenValidator:
    """Return the validator of access tokens that the configuration describes."""
    return auth.TokenValidator(
        issuer=config.issuer,
        audience=config.audience,
        algorithms=config.algorithms,
        jwks_max_age=config.jwks_max_age,
        jwks_max_stale=config.jwks_max_stale,
        jwks_cooldown=config.jwks_cooldown,
        jwks_timeout=config.jwks_timeout,
    )
