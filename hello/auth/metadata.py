"""How does a client that knows only this API find out who issues tokens for it?

Protected resource metadata (RFC 9728) is a document with a well-known path. Challenges name it.
"""

import json
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from aiohttp import hdrs, web

from hello.tokens import Validator
from hello.tokens.urls import is_resource_url

from .answers import JSON_HEADERS
from .decorators import public
from .protected_app import metadata_url_of
from .routes import mounted_routes

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_FOR_ALL_PAGES = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*"}
_PREFLIGHT = {
    **_FOR_ALL_PAGES,
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD",
    # Fetch §3.2.4: `*` stands for every header but this one.
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "*, Authorization",
    hdrs.ACCESS_CONTROL_MAX_AGE: "86400",
}
_CACHED = {hdrs.CACHE_CONTROL: "max-age=300"}
_NOT_A_TOKENS = {"offline_access"}  # it asks the issuer for a refresh token, and not for a right


def serve_metadata(
    app: web.Application,
    validator: Validator,
    resource: str,
    methods: list[str],
    *,
    certificates: bool,
    root: web.Application,
) -> str:
    """Serve the metadata of a resource in the application `root`, and return its URL.

    `resource` is the https URL by which clients know `app`, without query and fragment (RFC 9728
    §1.2). `methods` are the ways to send a token, and `certificates` says that tokens which are
    bound to a certificate are accepted (§2). Raises ValueError for any other URL, and RuntimeError
    if `root` has such a path already.
    """
    if not is_resource_url(resource):
        raise ValueError(
            f"resource is {resource!r}: write the https URL that clients call this API by (http on "
            "loopback only), without query, fragment and escapes"
        )
    url = urlsplit(resource)
    # RFC 9728 §3.1: it precedes the resource's own path, unless that is only a slash.
    path = _WELL_KNOWN + ("" if url.path == "/" else url.path)
    metadata_url = urlunsplit(url._replace(path=path))

    @cache  # when the first client asks, all routes are there
    def document() -> bytes:
        members = {
            "resource": resource,
            "authorization_servers": sorted(validator.authorization_servers),
            "scopes_supported": sorted(_scopes(root, metadata_url) - _NOT_A_TOKENS),
            "bearer_methods_supported": methods,
            "dpop_signing_alg_values_supported": list(validator.challenges.proof_algorithms),
            "dpop_bound_access_tokens_required": not validator.challenges.bearer,
            "tls_client_certificate_bound_access_tokens": certificates,
        }
        # RFC 9728 §2: empty lists are left out, and false is what an absent member means.
        return json.dumps({name: value for name, value in members.items() if value}).encode()

    @public
    async def metadata(_request: web.Request) -> web.Response:
        """Say who issues tokens for this API (RFC 9728)."""
        response = web.Response(body=document(), headers=JSON_HEADERS)
        response.headers.update(_FOR_ALL_PAGES | _CACHED)
        return response

    async def check_place(app: web.Application) -> None:
        mounted = list(mounted_routes(root))
        if not any(each.path == path for each in mounted) or not any(
            app in each.apps for each in mounted
        ):
            raise RuntimeError(
                f"{path} is not where clients look for it: give auth.setup root=, the application "
                "that is started, and mount this one in it"
            )

    if any(each.canonical == path for each in root.router.resources()):
        raise RuntimeError(f"there is a route for {path} already")
    root.router.register_resource(_ForAllPages(path, metadata))
    app.on_startup.append(check_place)
    return metadata_url


class _ForAllPages(web.PlainResource):
    """A path that the pages of every origin may read, whatever aiohttp-cors is told about it.

    aiohttp-cors may be told of all routes that an application lists. It would refuse the preflights
    of other origins, and break the connection if an answer has such a header already. So it is not
    the listed routes that answer, but those of a resource that aiohttp-cors does not know.
    """

    def __init__(self, path: str, handler: "Handler") -> None:
        super().__init__(path)
        self._answering = web.PlainResource(path)
        for method in (hdrs.METH_GET, hdrs.METH_HEAD):
            self.add_route(method, handler)
            self._answering.add_route(method, handler)
        self._answering.add_route(hdrs.METH_OPTIONS, _preflight)

    async def resolve(
        self, request: web.Request
    ) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        return await self._answering.resolve(request)


@public
async def _preflight(_request: web.Request) -> web.Response:
    """Allow the pages of every origin to read the metadata (Fetch §3.2.2)."""
    return web.Response(status=204, headers=_PREFLIGHT)


def _scopes(root: web.Application, metadata_url: str) -> set[str]:
    """Return the scopes that the routes of a resource ask for."""
    return {
        scope
        for mounted in mounted_routes(root)
        if metadata_url_of(mounted.apps) == metadata_url
        for requirement in mounted.policy.requirements
        for scope in (*requirement.scopes, *(requirement.any_scope or ()))
    }
