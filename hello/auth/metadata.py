"""How does a client that knows only this API find out who issues tokens for it?

Protected-resource metadata, RFC 9728: a document under a well-known path, which challenges name.
"""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from .marks import Open, mounted_routes, set_mark
from .urls import is_resource_url
from .validator import TokenValidator

METADATA_URL = web.AppKey("METADATA_URL", str)
"""What challenges name as `resource_metadata` (RFC 9728 §5.1)."""

_WELL_KNOWN = "/.well-known/oauth-protected-resource"


def serve_metadata(app: web.Application, validator: TokenValidator, resource: str) -> None:
    """Add the route of a resource's metadata.

    Raises ValueError for what is no resource's URL, and RuntimeError where there is such a route.

    `resource`: what clients know the API by, an https URL without query and fragment (§1.2).
    """
    if not is_resource_url(resource):
        raise ValueError(
            f"resource is {resource!r}: write the https URL that clients call this API by (http on "
            "loopback only), without query, fragment and escapes"
        )
    url = urlsplit(resource)
    # Before the resource's own path, §3.1, which is kept unless it is but the slash of the host.
    path = _WELL_KNOWN + ("" if url.path == "/" else url.path)

    async def metadata(_request: web.Request) -> web.Response:
        return web.json_response(_metadata(app, validator, resource))

    async def check_path(_app: web.Application) -> None:
        if not any(mounted.path == path for mounted in mounted_routes(app)):
            raise RuntimeError(
                f"{path} is not where it must be: give resource= to the root's setup"
            )

    set_mark(metadata, Open.PUBLIC)
    app.router.add_get(path, metadata)
    app[METADATA_URL] = urlunsplit(url._replace(path=path))
    app.on_startup.append(check_path)


def _metadata(app: web.Application, validator: TokenValidator, resource: str) -> dict[str, Any]:
    """Return the members of RFC 9728 §2 that say something."""
    members = {
        "resource": resource,
        "authorization_servers": sorted(validator.authorization_servers),
        "scopes_supported": sorted(_scopes(app)),
        "bearer_methods_supported": ["header"],
    }
    # §2: a list that would be empty is left out.
    return {name: value for name, value in members.items() if value}


def _scopes(app: web.Application) -> set[str]:
    return {
        scope
        for mounted in mounted_routes(app)
        for requirement in mounted.asked.requirements
        for scope in (*requirement.scopes, *requirement.any_scope)
    }
