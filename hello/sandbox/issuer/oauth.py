"""How do the endpoints of the issuer read a request, and refuse one (RFC 6749)?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from hello.tokens.hosts import split_host
from hello.tokens.urls import is_loopback

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler
    from multidict import MultiMapping

# aiohttp raises these for a body that does not match its declared charset or compression.
_UNREADABLE = (ValueError, LookupError, web.RequestPayloadError, ContentEncodingError)

_SLASHES_OF_A_HOST = 2  # http://localhost:8080

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 §5.1


class OAuthError(Exception):
    """A refusal. RFC 6749 §4.1.2.1 and §5.2 and OpenID Connect Core §3.1.2.6 list the errors.

    `challenge` is what an answer with the status 401 says in WWW-Authenticate.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        challenge: str = 'Basic realm="sandbox"',
    ) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.challenge = challenge


@web.middleware
async def errors_as_oauth(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Turn an OAuthError into the answer that RFC 6749 §5.2 describes."""
    try:
        return await handler(request)
    except OAuthError as error:
        body = {"error": error.error, "error_description": error.description}
        headers = dict(NO_STORE)
        if error.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = error.challenge
        return web.json_response(body, status=error.status, headers=headers)


@web.middleware
async def loopback_only(request: web.Request, handler: "Handler") -> web.StreamResponse:
    """Refuse a request whose Host is not a name of this machine (RFC 9110 §7.4 and §15.5.20).

    An attacker can make the name of a foreign page resolve to 127.0.0.1 (DNS rebinding). For the
    browser, that page and the issuer then have the same origin, so CORS does not stop the page. But
    the browser still sends the foreign name as Host.
    """
    named = split_host(request.headers.get("Host", ""))
    if named is None or not is_loopback(named[0].strip("[]")):
        raise OAuthError("invalid_request", "Host is not a name of this machine", status=421)
    return await handler(request)


async def browser_parameters(request: web.Request) -> dict[str, str]:
    """Read the parameters that a browser sends, as a query or a form. Raises OAuthError."""
    return (
        _without_duplicates(request.query)
        if request.method == "GET"
        else await form_parameters(request)
    )


def audience_of(parameters: Mapping[str, str], audiences: Mapping[str, str]) -> str | None:
    """Return the audience that a request is for, or None if it names none. Raises OAuthError.

    Auth0's clients name it by `audience`, and others by `resource` (RFC 8707 §2). `audiences` has
    each name and the audience that it stands for.
    """
    found = set()
    if "audience" in parameters:
        found.add(audiences.get(parameters["audience"]))
    if "resource" in parameters:
        # RFC 3986 §6.2.3: clients write the URL of a host with or without a slash at the end.
        url = parameters["resource"]
        host = url.removesuffix("/")
        names = (url, host, f"{host}/") if host.count("/") == _SLASHES_OF_A_HOST else (url,)
        found.add(next((audiences[name] for name in names if name in audiences), None))
    if len(found) > 1 or None in found:
        raise OAuthError("invalid_target", f"audience and resource name {' or '.join(audiences)}")
    return found.pop() if found else None


def _without_duplicates(parameters: "MultiMapping[object]") -> dict[str, str]:
    # RFC 6749 §3.1 and §3.2: no parameter comes twice, and an empty one counts as not sent.
    found = {name: value for name, value in parameters.items() if value and isinstance(value, str)}
    # RFC 8707 §2 is the exception. No URL has a space, so several resources are none that is known.
    resources = [value for value in parameters.getall("resource", []) if isinstance(value, str)]
    if len(parameters) - len(resources) != len({*parameters} - {"resource"}):
        raise OAuthError("invalid_request", "a parameter was sent twice")
    if resources := sorted({*resources} - {""}):
        found["resource"] = " ".join(resources)
    return found


async def body_parameters(request: web.Request) -> dict[str, str]:
    """Read a form (RFC 6749 §4.4.2) or, as Auth0 does too, a JSON object. Raises OAuthError."""
    if request.content_type == "application/json":
        body = await json_object(request)
        if not all(isinstance(value, str) for value in body.values()):
            raise OAuthError("invalid_request", "the body is not an object of strings")
        return {name: value for name, value in body.items() if value}  # as in a form
    return await form_parameters(request)


async def json_object(request: web.Request) -> dict[str, Any]:
    """Read a JSON object. Raises OAuthError."""
    try:
        body = await request.json()
    except (*_UNREADABLE, RecursionError):
        raise OAuthError("invalid_request", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise OAuthError("invalid_request", "the body is not a JSON object")
    return body


async def form_parameters(request: web.Request) -> dict[str, str]:
    """Read a form (RFC 6749 §3.2, RFC 7662 §2.1). Raises OAuthError."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "the body is not of a type that is read here")
    if (request.charset or "utf-8").lower() != "utf-8":
        raise OAuthError("invalid_request", "the form is not UTF-8")
    try:
        return _without_duplicates(await request.post())
    except _UNREADABLE:
        raise OAuthError("invalid_request", "the form is not UTF-8") from None
