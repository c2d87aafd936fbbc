"""How does a client that knows only this API find out who issues tokens for it?

Protected resource metadata (RFC 9728) is a document with a well-known path. Challenges name it.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from hello.tokens import Validator
from hello.tokens.urls import is_resource_url

from .marks import Mark, TokenUse, set_mark
from .routes import mounted_routes

_WELL_KNOWN = "/.well-known/oauth-protected-resource"


def serve_metadata(
    app: web.Application,
    validator: Validator,
    resource: str,
    methods: list[str],
    *,
    certificates: bool,
) -> str:
    """Add the route of a resource's metadata, and return the URL of the document.

    `resource` is the https URL by which clients know the API, without query and fragment (RFC 9728
    §1.2). `methods` are the ways to send a token, and `certificates` says that tokens which are
    bound to a certificate are accepted (§2). Raises ValueError for any other URL, and RuntimeError
    if there is such a route already.
    """
    if not is_resource_url(resource):
        raise ValueError(
            f"resource is {resource!r}: write the https URL that clients call this API by (http on "
            "loopback only), without query, fragment and escapes"
        )
    url = urlsplit(resource)
    # RFC 9728 §3.1: it precedes the resource's own path, unless that is only a slash.
    path = _WELL_KNOWN + ("" if url.path == "/" else url.path)

    async def metadata(_request: web.Request) -> web.Response:
        """Say who issues tokens for this API (RFC 9728)."""
        # RFC 9728 §2: empty lists are left out, and false is what an absent member means.
        return web.json_response({name: value for name, value in members().items() if value})

    def members() -> dict[str, Any]:
        return {
            "resource": resource,
            "authorization_servers": sorted(validator.authorization_servers),
            "scopes_supported": sorted(_scopes(app)),
            "bearer_methods_supported": methods,
            "dpop_signing_alg_values_supported": list(validator.challenges.proof_algorithms),
            "dpop_bound_access_tokens_required": not validator.challenges.bearer,
            "tls_client_certificate_bound_access_tokens": certificates,
        }

    async def check_path(_app: web.Application) -> None:
        if not any(mounted.path == path for mounted in mounted_routes(app)):
            raise RuntimeError(
                f"{path} is not where it must be: give resource= to the root's setup"
            )

    app.router.add_get(path, set_mark(metadata, Mark(TokenUse.PUBLIC)))
    app.on_startup.append(check_path)
    return urlunsplit(url._replace(path=path))


def _scopes(app: web.Application) -> set[str]:
    """Return the scopes that the routes of an application ask for."""
    return {
        scope
        for mounted in mounted_routes(app)
        for requirement in mounted.policy.requirements
        for scope in (*requirement.scopes, *(requirement.any_scope or ()))
    }
