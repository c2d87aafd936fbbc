"""Who may call a handler, and how is everybody else refused?

`@protected`, `@optional` and `@public` mark handlers. `setup` installs the only middleware, which
reads the marks. A handler without a mark is protected: a forgotten decorator leads to a 401.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from aiohttp import hdrs, web

from hello.tokens import (
    AccessToken,
    AuthError,
    Challenges,
    Requirement,
    RequirementOptions,
    UnauthorizedError,
    Validator,
    check_requirements,
)
from hello.tokens.possession.addresses import is_beginning
from hello.tokens.presented import AUTHORIZATION, check_header, is_authorization
from hello.tokens.requirements import VALID_TOKEN

from .answers import Refuse, check_nothing_sent, refusal_answer
from .marks import APPLICATION_MARK, POLICY, TOKEN_VALIDATOR, Mark, Policy, TokenUse, set_mark
from .metadata import serve_metadata
from .reading import host_of, is_by_dpop, presented_by
from .refusal_log import VALIDATED, RefusalLog
from .routes import policy_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

ACCESS_TOKEN = web.RequestKey("ACCESS_TOKEN", AccessToken)
"""The key for the token that admitted a request. `token` reads it."""

_APPLICATION_IS_CLOSED = (
    "an application with auth.setup cannot be marked public or optional: mark its handlers, an "
    "auth.RouteTable or a sub-application"
)
_Markable = Callable[..., Any] | web.RouteTableDef | web.Application
_H = TypeVar("_H", bound=_Markable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Protection:
    """The arguments of `setup`, the log of refusals, and a cache of policies."""

    validator: Validator
    header: str
    refuse: Refuse | None
    public_url: str | None
    challenges: Challenges
    refusal_log: RefusalLog = field(default_factory=RefusalLog)
    policies: dict[object, Policy] = field(default_factory=dict)  # by route, method, applications


_PROTECTION = web.AppKey("PROTECTION", _Protection)


@overload
def protected(handler: _H, /) -> _H: ...


@overload
def protected(**requirements: Unpack[RequirementOptions]) -> Callable[[_H], _H]: ...


def protected(
    handler: _H | None = None, /, **requirements: Unpack[RequirementOptions]
) -> _H | Callable[[_H], _H]:
    """Mark a handler or a group whose requests need a valid access token.

    A handler is a function, a method, a View class or one of its methods. A group is an
    `auth.RouteTable`, a sub-application or an Application. The requirements of a handler and of the
    groups around it add up.

    The options are those of RequirementOptions, and a token must meet all of them. If it does not,
    the answer is 403; for `acr_values` and `max_auth_age`, it is a 401 that asks for another login
    (RFC 9470).

    Raises TypeError at import for options that make no sense, and for a target that cannot be
    marked or has a different mark already. The message says what to write.
    """
    given: object = handler
    if isinstance(given, str | set | frozenset | list | tuple | dict):
        names = {given} if isinstance(given, str) else given
        raise TypeError(f"write @protected(permissions={names!r}), or scopes={names!r}")
    requirement = Requirement(**requirements)
    mark = Mark(TokenUse.REQUIRED, VALID_TOKEN if requirement == VALID_TOKEN else requirement)

    def decorate(target: _H) -> _H:
        return set_mark(target, mark)

    return decorate if handler is None else decorate(handler)


def optional(handler: _H, /) -> _H:
    """Mark a handler or a group that serves both anonymous requests and requests with a token.

    The handler calls `token_or_none`. A token that is not valid is refused, because its sender does
    not want to be anonymous. A token that does not meet the requirements of the groups around the
    handler is refused too. Raises TypeError as `public` does.
    """
    return _open(handler, TokenUse.OPTIONAL)


def public(handler: _H, /) -> _H:
    """Mark a handler or a group that anybody may call. A token is not read.

    A handler inside the group keeps its own mark. Raises TypeError at import for a target that
    cannot be marked or has a different mark already, and for an application with `setup`.
    """
    return _open(handler, TokenUse.PUBLIC)


def setup(
    app: web.Application,
    validator: Validator,
    *,
    resource: str | None = None,
    public_url: str | None = None,
    header: str = AUTHORIZATION,
    refuse: Refuse | None = None,
) -> None:
    """Protect an application and its sub-applications with a validator.

    `resource` is the URL by which clients know this application. Its metadata is then served under
    `/.well-known/oauth-protected-resource`, and every challenge names that URL (RFC 9728).
    `public_url` is what stands before a request's path where clients see it, such as
    https://api.example.com/v1; DPoP proofs are compared with it. Without it, the request's own
    scheme and host are used, which a proxy may have changed. `header`
    is the only header that a token is read from. Some proxies log people in and send the token in a
    header of their own; name it, and the Authorization header is not read. `refuse` is called with
    the request and the AuthError and returns a web.Response. The body and the content type of that
    response replace the usual JSON; the status, the challenge and Retry-After stay.

    Raises RuntimeError if it was called for this application before, TypeError if the application
    is marked as open, and ValueError if `resource` is not the URL of a resource or `header` can
    carry no token.
    """
    if TOKEN_VALIDATOR in app:
        raise RuntimeError("this application is protected already: call auth.setup once")
    mark = app.get(APPLICATION_MARK)
    if mark is not None and mark.use is not TokenUse.REQUIRED:
        raise TypeError(_APPLICATION_IS_CLOSED)
    if authenticate not in app.middlewares:
        # Installed before anything below may raise: then every request fails, and none is let in.
        app.middlewares.append(authenticate)
    check_header(header)
    if public_url is not None and not is_beginning(public_url):
        raise ValueError(
            "public_url is the http(s) URL that clients see, without query and fragment, not "
            f"{public_url!r}"
        )
    metadata_url = None
    if resource is not None:
        # RFC 9728 §2 has a name for the Authorization header, and none for others.
        methods = ["header"] if is_authorization(header) else []
        metadata_url = serve_metadata(app, validator, resource, methods)
    app[TOKEN_VALIDATOR] = validator
    app[_PROTECTION] = _Protection(
        validator=validator,
        header=header,
        refuse=refuse,
        public_url=None if public_url is None else public_url.rstrip("/"),
        challenges=validator.challenges._replace(resource_metadata=metadata_url),
    )
    app.cleanup_ctx.append(_close_validator)


def header_of(app: web.Application) -> str:
    """Return the name of the header that an application with `setup` reads tokens from."""
    return app[_PROTECTION].header


def token(request: web.Request) -> AccessToken:
    """Return the token that admitted a request.

    Raises RuntimeError if there is none: the handler is public or optional, or `setup` was not
    called.
    """
    if ACCESS_TOKEN not in request:
        raise RuntimeError(
            "this request has no token: its handler is public or optional (use token_or_none), or "
            "auth.setup was not called"
        )
    return request[ACCESS_TOKEN]


def token_or_none(request: web.Request) -> AccessToken | None:
    """Return the token that admitted a request, or None."""
    return request.get(ACCESS_TOKEN)


@web.middleware
async def authenticate(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Let a request through to its handler, or answer with the refusal."""
    protection = request.app[_PROTECTION]
    host = host_of(request)
    if host is None:  # or two hosts: who reads the other one would be deceived
        raise web.HTTPBadRequest
    try:
        if request.match_info.http_exception is None:  # otherwise it is aiohttp's own 404 or 405
            await _admit(request, host, protection)
        response = await handler(request)
    except AuthError as refusal:
        protection.refusal_log.note(request, refusal)
        check_nothing_sent(request)
        challenges = protection.challenges
        if is_by_dpop(request, protection.header):
            challenges = challenges._replace(by_dpop=True)
        return await refusal_answer(request, refusal, protection.refuse, challenges)
    next_nonce = protection.challenges.next_nonce
    if next_nonce is not None and not response.prepared and is_by_dpop(request, protection.header):
        # RFC 9449 §8.2: so the next proof has a nonce that is good for longer.
        response.headers["DPoP-Nonce"] = next_nonce()
    return response


async def _admit(request: web.Request, host: str, protection: _Protection) -> None:
    """Raise AuthError unless the request satisfies its policy."""
    policy = request[POLICY] = _policy(request, protection)
    if policy.use is TokenUse.PUBLIC:
        return
    validator = protection.validator
    try:
        presented = presented_by(
            request,
            host,
            protection.header,
            dpop=bool(protection.challenges.proof_algorithms),
            public_url=protection.public_url,
        )
    except UnauthorizedError:
        if policy.use is TokenUse.OPTIONAL:
            return
        raise
    validated = await validator.validate(presented)
    if not isinstance(validated, AccessToken):
        raise TypeError(f"the validator returned {type(validated).__name__}, not an AccessToken")
    request[VALIDATED] = validated
    if policy.requirements:
        await check_requirements(policy.requirements, validated, validator.timing)
    request[ACCESS_TOKEN] = validated


def _policy(request: web.Request, protection: _Protection) -> Policy:
    """Return the policy of a request. It is determined once per route, method and applications."""
    match_info, method = request.match_info, request.method
    place = match_info.route, method, match_info.apps
    policy = protection.policies.get(place)
    if policy is None:
        policy = policy_of(match_info.route, method, match_info.apps)
        if method in hdrs.METH_ALL:  # a client may invent any number of others
            protection.policies[place] = policy
    return policy


def _open(handler: _H, use: TokenUse) -> _H:
    if isinstance(handler, web.Application) and TOKEN_VALIDATOR in handler:
        raise TypeError(_APPLICATION_IS_CLOSED)
    return set_mark(handler, Mark(use))


@asynccontextmanager
async def _close_validator(app: web.Application) -> AsyncIterator[None]:
    try:
        yield
    finally:
        app[_PROTECTION].refusal_log.sum_up(last=True)
        await app[TOKEN_VALIDATOR].close()
