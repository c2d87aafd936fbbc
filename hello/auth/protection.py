"""Who is let through to a handler, and how is everybody else refused?

`setup` installs the only middleware, which reads the marks of the handlers. A handler without a
mark is protected: a forgotten decorator leads to a 401.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hello.tokens import AccessToken, AuthError, DPoP, UnauthorizedError, Validator
from hello.tokens.hooks import Listeners, check_hook
from hello.tokens.possession.addresses import is_beginning
from hello.tokens.possession.at_start import tell_where_proofs_are_remembered
from hello.tokens.presented import AUTHORIZATION, check_header, is_authorization

from .answers import Refuse, check_nothing_sent, end_after_trailers, refusal_answer, tell_nonce
from .beside.late import warn_of_late_middlewares
from .decisions.audit import Audit, OnDecision
from .decisions.decision import CHECK_SECONDS, Decision, Observer
from .decisions.refusal_log import RefusalLog
from .decorators import APPLICATION_IS_CLOSED
from .marks import APPLICATION_MARK, POLICY, TOKEN_VALIDATOR, Policy, TokenUse, call
from .metadata import serve_metadata
from .protected_app import PROTECTION, Protection
from .reading.awaiting import await_token, awaiting, check_version, ended, is_handshake
from .reading.body import RefusedByCheckError
from .reading.certificates import ClientCertificate, of_connection
from .reading.mounting import note_protecting
from .reading.nested import note_validated, validated_before
from .reading.request import host_of
from .reading.subprotocols import hide_tokens
from .routes import policy_of
from .unguarded import check_guarded, check_leaving

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_NONE_COMES = (
    "this request has no token: its handler is public or optional (use token_or_none), or "
    "auth.setup was not called"
)
_COMES_LATER = (
    "this request has no token yet: it comes with the first message, which auth.live reads. So "
    "call auth.token within the block of auth.live, and auth.token_or_none in a middleware"
)

ACCESS_TOKEN = web.RequestKey("ACCESS_TOKEN", AccessToken)
"""The key for the token that admitted a request. `token` reads it."""


def setup(
    app: web.Application,
    validator: Validator,
    *,
    resource: str | None = None,
    root: web.Application | None = None,
    public_url: str | None = None,
    client_certificate: ClientCertificate | None = None,
    header: str = AUTHORIZATION,
    refuse: Refuse | None = None,
    on_decision: OnDecision | None = None,
) -> None:
    """Protect an application and its sub-applications with a validator.

    `resource` is the URL by which clients know this application. Its metadata is then served under
    `/.well-known/oauth-protected-resource`, and every challenge names that URL (RFC 9728). If this
    is a sub-application, `root` is the application that is started: it serves the metadata.
    `public_url` is what stands before a request's path where clients see it, such as
    https://api.example.com/v1; DPoP proofs are compared with it. Without it, the request's own
    scheme and host are used, which a proxy may have changed. `client_certificate` is called with a
    request and returns the certificate of its sender, for tokens that are bound to one (RFC 8705).
    A CertificateHeader is such a function. Without it, the certificate is that of the TLS
    connection. `header` is the only header that a token is read from. Some proxies log people in
    and send the token in a header of their own; name it, and the Authorization header is not read.
    `refuse` is called with the request and the AuthError and returns a web.Response. The body and
    the content type of that response replace the usual JSON; the status, the challenge and
    Retry-After stay. `on_decision` is called with each Decision, for applications that have to
    keep them. It may be slow or fail, because no request waits for it.

    Raises RuntimeError if it was called for this application before, TypeError if `app` is no
    Application or is marked as open, or `validator` is no Validator, and ValueError if `resource`
    is not the URL of a resource, `root` is no application or has no use, `header` can carry no
    token, or one of the functions is no function.
    """
    _check_can_be_protected(app)
    if authenticate not in app.middlewares:
        # Installed before anything below may raise: then every request fails, and none is let in.
        app.middlewares.append(authenticate)
    if not callable(getattr(validator, "validate", None)):
        raise TypeError(
            "write auth.setup(app, auth.TokenValidator(...)): the validator is not "
            f"{type(validator).__name__}"
        )
    check_header(header)
    hide_tokens()
    if public_url is not None and not is_beginning(public_url):
        raise ValueError(
            "public_url is the http(s) URL that clients see, without query and fragment, not "
            f"{public_url!r}"
        )
    check_hook("client_certificate", client_certificate, "the request, or a CertificateHeader")
    check_hook("refuse", refuse, "the request and the AuthError")
    check_hook("on_decision", on_decision, "each Decision")
    audit, observers = None, Listeners[Decision]("decisions")
    if on_decision is not None:
        audit = Audit(on_decision, validator.timing.hook_timeout)
        observers.append(audit.put)
    if root is not None and (resource is None or not isinstance(root, web.Application)):
        raise ValueError(
            f"root is the Application that serves the metadata of resource=, not {root!r}"
        )
    metadata_url = None
    if resource is not None:
        # RFC 9728 §2 has a name for the Authorization header, and none for others.
        methods = ["header"] if is_authorization(header) else []
        metadata_url = serve_metadata(
            app,
            validator,
            resource,
            methods,
            certificates=client_certificate is not None,
            root=app if root is None else root,
        )
    note_protecting(app)
    app[TOKEN_VALIDATOR] = validator
    app[PROTECTION] = Protection(
        validator=validator,
        header=header,
        refuse=refuse,
        public_url=None if public_url is None else public_url.rstrip("/"),
        client_certificate=client_certificate or of_connection,
        challenges=validator.challenges._replace(resource_metadata=metadata_url),
        observers=observers,
        audit=audit,
        refusal_log=RefusalLog(validator.timing.clock),
    )
    app.on_response_prepare.extend((check_leaving, end_after_trailers))
    if validator.challenges.next_nonce is not None:
        app.on_response_prepare.append(tell_nonce(validator.challenges.next_nonce, header))
    app.cleanup_ctx.append(_start_and_stop)
    app.on_startup.append(partial(warn_of_late_middlewares, authenticate))


def _check_can_be_protected(app: web.Application) -> None:
    if not isinstance(app, web.Application):
        raise TypeError(f"write auth.setup(app, validator): app is not a {type(app).__name__}")
    if TOKEN_VALIDATOR in app:
        raise RuntimeError(
            "auth.setup was called for this application before: call it once, with one validator "
            "that has all issuers"
        )
    mark = app.get(APPLICATION_MARK)
    if mark is not None and mark.use is not TokenUse.REQUIRED:
        raise TypeError(APPLICATION_IS_CLOSED)


def observe(app: web.Application, observer: Observer) -> None:
    """Have a function called with each Decision of an application with `setup`.

    It is called before the request goes on, so it has to be quick.
    """
    if PROTECTION not in app:
        raise RuntimeError("call auth.setup first: nothing is decided yet in this application")
    app[PROTECTION].observers.append(observer)


def arguments_of(app: web.Application) -> Protection:
    """Return the arguments of `setup`. Raises KeyError for an application without it."""
    return app[PROTECTION]


def token(request: web.Request) -> AccessToken:
    """Return the token that admitted a request.

    Raises RuntimeError if there is none: the handler is public or optional, `setup` was not called,
    or the token comes with the first message of a WebSocket, which `live` has not read.
    """
    if ACCESS_TOKEN not in request:
        raise RuntimeError(_COMES_LATER if awaiting(request) is not None else _NONE_COMES)
    return request[ACCESS_TOKEN]


def token_or_none(request: web.Request) -> AccessToken | None:
    """Return the token that admitted a request, or None."""
    return request.get(ACCESS_TOKEN)


@web.middleware
async def authenticate(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Let a request through to its handler, or answer with the refusal."""
    protection = request.app[PROTECTION]
    host = host_of(request)
    if host is None:  # no host, or two: other code might read the other one
        raise web.HTTPBadRequest
    handled = False
    try:
        if request.match_info.http_exception is None:  # otherwise it is aiohttp's own 404 or 405
            if protection.observers:
                await _admit_and_tell(request, host, protection)
            else:
                await _admit(request, host, protection)
        handled = True
        answer = await call(handler, request)
        check_guarded(request, answer)
        return answer  # noqa: TRY300
    except (AuthError, web.HTTPOk, ConnectionError) as error:
        begun = ended(request, error)
        if begun is not None:  # `auth.live` has told the client, and logged a refusal
            return begun
        if not isinstance(error, AuthError):
            raise
        protection.note(request, error, handled=handled)
        check_nothing_sent(request)
        if isinstance(error, RefusedByCheckError) and error.answer is not None:
            raise error.answer from None
        challenges, timing = protection.challenges_to(request), protection.validator.timing
        return await refusal_answer(request, error, protection.refuse, challenges, timing)


async def _admit(request: web.Request, host: str, protection: Protection) -> None:
    """Raise AuthError unless the request satisfies its policy."""
    policy = request[POLICY] = _policy(request, protection)
    if policy.use is TokenUse.PUBLIC:
        return
    try:
        presented = protection.presented_by(request, host)
    except UnauthorizedError:
        if policy.use is TokenUse.OPTIONAL:
            return
        if policy.also_from:
            check_version(request)
        if "message" in policy.also_from and is_handshake(request):
            await_token(request, protection)
            return
        raise
    is_nested = len(request.match_info.apps) > 1
    validated = validated_before(request, protection.basis) if is_nested else None
    if validated is None:
        validated = await protection.validate(presented)
    if is_nested:
        note_validated(request, protection.basis, validated)
    await protection.require(request, validated)
    request[ACCESS_TOKEN] = validated


async def _admit_and_tell(request: web.Request, host: str, protection: Protection) -> None:
    """Do what `_admit` does, and tell the observers that a request is let in, and how long it took.

    About a refusal, `authenticate` tells them.
    """
    begun = perf_counter()
    try:
        await _admit(request, host, protection)
    finally:
        # An application around this one may have checked the request, too.
        request[CHECK_SECONDS] = request.get(CHECK_SECONDS, 0.0) + perf_counter() - begun
    waiting = awaiting(request)
    # If the token comes in the first message, nothing is decided yet.
    is_waiting = waiting is not None and protection in waiting.who
    if request[POLICY].use is not TokenUse.PUBLIC and not is_waiting:
        protection.tell(request, None)


def _policy(request: web.Request, protection: Protection) -> Policy:
    """Return the policy of a request. It is determined once per route, method and applications."""
    match_info, method = request.match_info, request.method
    place = match_info.route, method, match_info.apps
    policy = protection.policies.get(place)
    if policy is None:
        policy = policy_of(match_info.route, method, match_info.apps)
        if method in hdrs.METH_ALL:  # a client may invent any number of others
            protection.policies[place] = policy
    return policy


@asynccontextmanager
async def _start_and_stop(app: web.Application) -> AsyncIterator[None]:
    # In a task, because a Redis server may take two seconds to answer. The start does not wait.
    dpop = getattr(app[TOKEN_VALIDATOR], "dpop", None)
    task = None
    if isinstance(dpop, DPoP):
        task = asyncio.create_task(tell_where_proofs_are_remembered(dpop))
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
        protection = app[PROTECTION]
        protection.refusal_log.sum_up()
        if protection.audit is not None:
            await protection.audit.close()
        await app[TOKEN_VALIDATOR].close()
