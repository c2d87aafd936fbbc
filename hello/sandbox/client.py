"""How is the demo client served to the browser?

It consists of static files. A content security policy allows its page to connect to the API and the
issuer, and to nobody else. What the page does is in client/, beginning with app.js.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

FOLDER = Path(__file__).with_name("client")
PATHS = ("/", "/profile", "/public", "/protected", "/admin", "/login", "/callback")

# mimetypes has another type for .js on some machines, and with nosniff browsers insist on it.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def client_app(
    *,
    api_url: str,
    issuer: str,
    client_id: str,
    audience: str,
    admin_permission: str | None = None,
    lessons: Sequence[web.RouteDef] = (),
) -> web.Application:
    """Return the application that serves the client of one API and one issuer, at any origin.

    `admin_permission` is what the API's admin message asks for, if anything. `lessons` are what the
    page may do in the sandbox.
    """
    settings = {
        "apiUrl": api_url.rstrip("/"),
        "issuer": issuer,
        "clientId": client_id,
        "audience": audience,
        "adminPermission": admin_permission,
        "lessons": bool(lessons),
    }

    async def config(_request: web.Request) -> web.Response:
        return web.json_response(settings, headers={hdrs.CACHE_CONTROL: "no-store"})

    app = web.Application()
    app.add_routes([web.get(path, _page(status=200)) for path in PATHS])
    app.router.add_get("/config.json", config)
    app.add_routes(lessons)
    for file in sorted(FOLDER.iterdir()):
        # A route for each file, so that files which are added later are not served.
        if file.suffix in _CONTENT_TYPES:
            app.router.add_get(f"/assets/{file.name}", _asset(file))
    app.router.add_get("/{path:.*}", _page(status=404))
    app.on_response_prepare.append(_set_headers(_page_headers(api_url, issuer)))
    return app


def _page(*, status: int) -> "Handler":
    """Return a handler that sends the one page; its script shows what belongs to the path."""
    html = (FOLDER / "index.html").read_text("utf-8")
    # The address of the callback contains a code.
    headers = {hdrs.CACHE_CONTROL: "no-store"}

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)

    return page


def _asset(file: Path) -> "Handler":
    # Browsers cache it but ask each time whether it changed, so that a reload shows an edit.
    headers = {hdrs.CONTENT_TYPE: _CONTENT_TYPES[file.suffix], hdrs.CACHE_CONTROL: "no-cache"}

    async def asset(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(file, headers=headers)

    return asset


def _page_headers(api_url: str, issuer: str) -> Mapping[str, str]:
    api_origin, issuer_origin = URL(api_url).origin(), URL(issuer).origin()
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        f"connect-src 'self' {api_origin} {issuer_origin}",
        f"frame-src {issuer_origin}",  # silent renewal
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _set_headers(
    headers: Mapping[str, str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def set_headers(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers)
        response.headers.popall(hdrs.SERVER, None)

    return set_headers
