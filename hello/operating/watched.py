"""Which parts of an application are protected, and by which validators?"""

from aiohttp import web

from hello.auth import TOKEN_VALIDATOR, TokenValidator, Validator
from hello.auth.routes import mounted_routes


def protected_applications(app: web.Application) -> list[web.Application]:
    """Return those of an application and its sub-applications for which `auth.setup` was called."""
    apps = dict.fromkeys(each for mounted in mounted_routes(app) for each in mounted.apps)
    return [each for each in apps if TOKEN_VALIDATOR in each]


def validators(app: web.Application) -> list[Validator]:
    """Return the validators of an application and its sub-applications, each of them once."""
    return list(dict.fromkeys(each[TOKEN_VALIDATOR] for each in protected_applications(app)))


def token_validators(app: web.Application) -> list[TokenValidator]:
    """Return those of them that are of this project, and not an application's own."""
    return [each for each in validators(app) if isinstance(each, TokenValidator)]
