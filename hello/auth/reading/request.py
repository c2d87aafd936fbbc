"""What is read from a request, and does the request name one host?"""

from functools import partial
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.web_urldispatcher import Domain

from hello.tokens import InvalidTokenError, Presented, Reason, UnauthorizedError, present
from hello.tokens.hosts import split_host

from .certificates import ClientCertificate
from .fields import field_values
from .subprotocols import offered, token_among

_DEFAULT_PORTS = {"http": 80, "https": 443}


def presented_by(
    request: web.Request,
    host: str,
    header: str,
    *,
    dpop: bool,
    public_url: str | None,
    client_certificate: ClientCertificate,
    subprotocol: bool = False,
) -> Presented:
    """Return what a request presents. Nothing else decides where in a request a token is read.

    `header` is the name of the header that carries the token. `dpop` says that the scheme DPoP is
    accepted. `public_url` is what stands before the path where clients see the API, or None for the
    request's own scheme and host. `client_certificate` is called if a token is bound to a
    certificate. `subprotocol` says that the token may also be a sub-protocol of a WebSocket. Raises
    UnauthorizedError and InvalidTokenError, as `present` does, and InvalidTokenError if there are
    tokens in both places (RFC 6750 §2).
    """
    headers = request.headers

    def method_and_url() -> tuple[str, str]:
        place = public_url or f"{request.scheme}://{headers.get(hdrs.HOST, '')}"
        return request.method, place + request.rel_url.raw_path

    other = token_among(offered(request)) if subprotocol else None
    certificate = partial(client_certificate, request)
    try:
        presented = present(
            partial(field_values, request),
            host=host,
            header=header,
            dpop=method_and_url if dpop else None,
            certificate=certificate,
        )
    except UnauthorizedError:
        if other is None:
            raise
        return Presented(token=other, host=host, certificate=certificate)
    if other is not None:
        raise InvalidTokenError(Reason.SEVERAL_CREDENTIALS)
    return presented


def is_by_dpop(request: web.Request, header: str) -> bool:
    """Return whether a request uses the scheme DPoP."""
    return request.headers.get(header, "")[:5].lower() == "dpop "


def host_of(request: web.Request) -> str | None:
    """Return the host that a request names, or None if it does not name exactly one.

    RFC 9112 §3.2: Host is there once, at least in HTTP/1.1, and is a host. A target that names a
    host (§3.2.2) names the same one: some code reads the target, and some reads Host. An HTTP/1.0
    request may name no host; then the host is empty.
    """
    hosts = field_values(request, hdrs.HOST)
    if not hosts:
        return "" if request.version < HttpVersion11 else None
    named = split_host(hosts[0]) if len(hosts) == 1 else None
    if named is None or not _is_routed_alike(request, hosts[0], named):
        return None
    is_path = request.raw_path.startswith("/")
    return named[0] if is_path or _target_names(request.raw_path, named) else None


def _is_routed_alike(request: web.Request, sent: str, named: tuple[str, int | None]) -> bool:
    """Return whether a host is routed as it was sent to where it is routed in its one spelling.

    aiohttp compares the domains of applications with the text that was sent, such as `a.example.`
    """
    host, port = named
    spelling = host if port is None else f"{host}:{port}"
    if sent.lower() == spelling:
        return True
    resources = (each for app in request.match_info.apps for each in app.router.resources())
    rules = (each.get_info().get("rule") for each in resources)
    return all(
        rule.match_domain(sent) == rule.match_domain(spelling)
        for rule in rules
        if isinstance(rule, Domain)
    )


def _target_names(target: str, named: tuple[str, int | None]) -> bool:
    """Return whether a target that is no path names this host, or no host at all."""
    try:
        scheme, authority, *_ = urlsplit(target)
    except ValueError:
        return False
    if not authority:
        return target == "*"
    found, default = split_host(authority), _DEFAULT_PORTS.get(scheme)
    return found is not None and (found[0], found[1] or default) == (named[0], named[1] or default)
