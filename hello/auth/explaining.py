"""Why does an application refuse a token, and which of its routes would refuse it?"""

from functools import partial

from aiohttp import hdrs, web

from hello.tokens import AccessToken, AuthError, Timing, TokenValidator, check_requirements
from hello.tokens.explain import advice, explanation, walk

from .marks import TOKEN_VALIDATOR, TokenUse
from .routes import mounted_routes

# The max_field_size of aiohttp. It limits the header's value; the name counts too if aiohttp runs
# without its compiled parser.
_MAX_FIELD_SIZE = 8190


async def explain(app: web.Application, token: str, *, host: str = "") -> explanation.Explanation:
    """Check every rule with the keys and the settings of an application with `setup`.

    `host` is what a request would name, for a resolver of issuers. Nothing that is returned
    contains the token's text. Raises RuntimeError for an application without a TokenValidator.
    """
    validator = app.get(TOKEN_VALIDATOR)
    if not isinstance(validator, TokenValidator):
        raise RuntimeError(  # noqa: TRY004 - it is the application that lacks something
            "this application has no TokenValidator: call auth.setup first, or give the "
            "sub-application that has one"
        )
    # What the application was given for its server, as aiohttp keeps it.
    handler_args = getattr(app, "_handler_args", None) or {}
    max_length = handler_args.get("max_field_size", _MAX_FIELD_SIZE) - len("Bearer ")
    routes_for = partial(_routes, app, validator.timing)
    return await walk.explain(
        validator, token, host=host, max_length=max_length, routes_for=routes_for
    )


async def _routes(app: web.Application, timing: Timing, token: AccessToken) -> explanation.Routes:
    """Return what each route that requires more than a valid token would say to this token."""
    told = []
    for mounted in mounted_routes(app):
        use, requirements, _ = mounted.policy
        open_to_all = use is not TokenUse.REQUIRED and not requirements
        if open_to_all or mounted.method == hdrs.METH_HEAD:
            continue
        if any(TOKEN_VALIDATOR in other for other in mounted.apps if other is not app):
            # This validator cannot say whether the token is valid there.
            told.append((mounted.method, mounted.path, "protected by another validator"))
            continue
        lacking = []
        for requirement in requirements:
            try:
                await check_requirements([requirement], token, timing)
            except AuthError as refusal:
                lacking.append(
                    f'{refusal.status} "{refusal.message}", reason {refusal.reason}. '
                    + advice.missing(refusal.reason, requirement, token).text
                )
        if requirements:
            told.append((mounted.method, mounted.path, " ".join(lacking)))
    return tuple(told)
