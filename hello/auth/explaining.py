"""Why does an application refuse a token, and which of its routes would refuse it?"""

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from aiohttp import hdrs, web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from hello.tokens import (
    AccessToken,
    AuthError,
    Requirement,
    Timing,
    TokenValidator,
    check_requirements,
)
from hello.tokens.explain import Explanation, walk
from hello.tokens.explain.explanation import Routes
from hello.tokens.explain.lacking import missing
from hello.tokens.explain.possession import Sent, requested
from hello.tokens.presented import BEARER, is_authorization

from .marks import TOKEN_VALIDATOR, TokenUse
from .protection import arguments_of
from .routes import mounted_routes

_MAX_FIELD_SIZE = 8190  # aiohttp's own, if a server is given none
# It limits the header's value. If aiohttp runs without its compiled parser, it limits the line.
_COMPILED = HttpRequestParser is not HttpRequestParserPy
_SERVERS_LIMIT = web.AppKey("SERVERS_LIMIT", int)


async def explain(
    app: web.Application,
    token: str,
    *,
    host: str = "",
    scheme: str | None = None,
    proofs: Collection[str] = (),
) -> Explanation:
    """Check every rule with the keys and the settings of an application with `setup`.

    `host` is what a request would name, for a resolver of issuers. `scheme` is "Bearer" or "DPoP",
    if that is known, and `proofs` are the values of the header DPoP. Nothing that is returned
    contains the text of the token or of a proof. Raises RuntimeError for an application without a
    TokenValidator.
    """
    validator = app.get(TOKEN_VALIDATOR)
    if not isinstance(validator, TokenValidator):
        raise RuntimeError(
            "this application has no TokenValidator: call auth.setup first, or give the "
            "sub-application that has one"
        )
    limit, given = _limit(app), arguments_of(app)
    header = given.header
    # In a header of its own, a proxy sends the token alone.
    before = f"{scheme or BEARER} " if is_authorization(header) else ""
    before = before if _COMPILED else f"{header}: {before}"
    sent = Sent(scheme, tuple(proofs), given.public_url or Sent().address)
    request = requested(sent)
    if request is not None and not await _has_route(app, *request):
        sent = sent._replace(no_route=True)
    return await walk.explain(
        validator,
        token,
        host=host,
        sent=sent,
        max_length=(_MAX_FIELD_SIZE if limit is None else limit) - len(before),
        max_length_is_usual=limit is None,
        routes_for=partial(_routes, app, validator.timing),
    )


async def _has_route(app: web.Application, method: str, path: str) -> bool:
    """Return whether an application has a route with a path, for whatever method."""
    # Only here, because it loads what tests are written with.
    from aiohttp.test_utils import make_mocked_request  # noqa: PLC0415

    match = await app.router.resolve(make_mocked_request(method, path))
    return not isinstance(match.http_exception, web.HTTPNotFound)


def note_server(runner: web.AppRunner) -> None:
    """Remember with which limit a runner serves its application, so that `explain` knows it."""
    app = runner.app
    if not app.frozen:
        size = runner._kwargs.get("max_field_size", _MAX_FIELD_SIZE)  # noqa: SLF001
        app[_SERVERS_LIMIT] = size


def _limit(app: web.Application) -> int | None:
    """Return the `max_field_size` of an application's server, or None if nothing says it."""
    # The application's own handler_args are stronger than its runner's options.
    handler_args = getattr(app, "_handler_args", None) or {}
    limit: int | None = handler_args.get("max_field_size", app.get(_SERVERS_LIMIT))
    return limit


async def _routes(app: web.Application, timing: Timing, token: AccessToken) -> Routes:
    """Return what each route that requires more than a valid token would say to this token."""
    told = []
    for mounted in mounted_routes(app):
        use, requirements, *_ = mounted.policy
        open_to_all = use is not TokenUse.REQUIRED and not requirements
        if open_to_all or mounted.method == hdrs.METH_HEAD:
            continue
        if any(TOKEN_VALIDATOR in other for other in mounted.apps if other is not app):
            # This validator cannot say whether the token is valid there.
            told.append((mounted.method, mounted.path, "protected by another validator"))
            continue
        lacking = []
        for requirement in requirements:
            if requirement.check_takes_request:
                lacking.append(f"Check {requirement.check_name} decides by the request, too.")
            try:
                await check_requirements([_without_request(requirement)], token, timing)
            except AuthError as refusal:
                lacking.append(
                    f'{refusal.status} "{refusal.message}", reason {refusal.reason}. '
                    + missing(refusal.reason, requirement, token).text
                )
        if requirements:
            told.append((mounted.method, mounted.path, " ".join(lacking)))
    return tuple(told)


def _without_request(requirement: Requirement) -> Requirement:
    """Return what a requirement demands of a token alone."""
    if not requirement.check_takes_request:
        return requirement
    return replace(
        requirement,
        check=None,
        any_scope=requirement.any_scope or None,
        acr_values=requirement.acr_values or None,
    )
