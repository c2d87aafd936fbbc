"""How does the demo client reach the browser?

As files, with a policy that lets the page speak with the API and the issuer and with nobody else.
What the page does is in client/, beginning with app.js.
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import hdrs, web
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

FOLDER = Path(__file__).with_name("client")
PATHS = ("/", "/profile", "/public", "/protected", "/admin", "/callback")

# Said here, since what mimetypes makes of .js depends on the machine, and nosniff believes it.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def client_app(*, api_url: str, issuer: str, client_id: str, audience: str) -> web.Application:
    """Return the server of the client for one API and one issuer, at whatever origin it is put."""
    settings = {
        "apiUrl": api_url.rstrip("/"),
        "issuer": issuer,
        "clientId": client_id,
        "audience": audience,
    }

    async def config(_request: web.Request) -> web.Response:
        return web.json_response(settings, headers={hdrs.CACHE_CONTROL: "no-store"})

    app = web.Application()
    app.add_routes([web.get(path, _page(status=200)) for path in PATHS])
    app.router.add_get("/config.json", config)
    for file in sorted(FOLDER.iterdir()):
        # One by one, so that nothing is served that was not here at the start.
        if file.suffix in _CONTENT_TYPES:
            app.router.add_get(f"/assets/{file.name}", _asset(file))
    app.router.add_get("/{path:.*}", _page(status=404))
    app.on_response_prepare.append(_set_headers(_page_headers(api_url, issuer)))
    return app


def _page(*, status: int) -> "Handler":
    """Return what answers with the one page, which finds out by itself where it is."""
    html = (FOLDER / "index.html").read_text("utf-8")
    # The callback's address has a code in it.
    headers = {hdrs.CACHE_CONTROL: "no-store"}

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)

    return page


def _asset(file: Path) -> "Handler":
    # Kept by browsers, but asked for each time: an edited file is seen on reload.
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
