"""Which pages does the issuer show to a person?"""

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

from .people import Person

_FOLDER = Path(__file__).with_name("pages")
_PAGE = Template((_FOLDER / "page.html").read_text("utf-8"))
_WEB_MESSAGE = Template((_FOLDER / "web_message.html").read_text("utf-8"))
_ASSETS = {
    "page.css": ("text/css", (_FOLDER / "page.css").read_bytes()),
    "web_message.js": ("text/javascript", (_FOLDER / "web_message.js").read_bytes()),
}
_HEADERS = {
    "Cache-Control": "no-store",
    # With no-referrer, browsers would send the login form with `Origin: null`.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_BASE_POLICY = "default-src 'none'; base-uri 'none'"


def login_page(transaction: str, people: Iterable[Person], client_origin: str) -> web.Response:
    """Return the page that asks who logs in. `transaction` identifies the client's request."""
    buttons = "".join(
        f'<button name="person" value="{escape(person.subject)}">'
        f"<strong>{escape(person.name)}</strong><span>{escape(person.about)}</span></button>"
        for person in people
    )
    return _page(
        "Who are you today?",
        f"<p>The client at <code>{escape(client_origin)}</code> asks you to log in.</p>"
        '<form method="post" action="/login">'
        f'<input type="hidden" name="transaction" value="{escape(transaction)}" />{buttons}</form>'
        '<p class="quiet">There are no passwords here: nothing behind this door is real.</p>',
        # Browsers apply form-action to the redirect after the form, too.
        policy=f"form-action 'self' {client_origin}",
    )


def message_page(title: str, text: str, *, status: int = 200) -> web.Response:
    """Return a page with a message, for when the browser cannot be redirected to a client."""
    return _page(title, f"<p>{escape(text)}</p>", status=status)


def web_message_page(target: str, response: Mapping[str, str]) -> web.Response:
    """Return a page for a frame. It posts `response` to its parent page, of origin `target`."""
    html = _WEB_MESSAGE.substitute(
        target=escape(target), response=escape(json.dumps(dict(response)))
    )
    policy = f"{_BASE_POLICY}; script-src 'self'; frame-ancestors {target}"
    return _html(html, policy)


async def asset(request: web.Request) -> web.Response:
    """Serve the style sheet and the script of the pages."""
    content_type, body = _ASSETS[request.match_info["name"]]
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)


def asset_names() -> str:
    """Return a regular expression for the names that `asset` serves."""
    return "|".join(name.replace(".", r"\.") for name in _ASSETS)


def _page(
    title: str, body: str, *, status: int = 200, policy: str = "form-action 'none'"
) -> web.Response:
    html = _PAGE.substitute(title=escape(title), body=body)
    full = f"{_BASE_POLICY}; style-src 'self'; img-src data:; frame-ancestors 'none'; {policy}"
    return _html(html, full, status=status)


def _html(html: str, policy: str, *, status: int = 200) -> web.Response:
    headers = {**_HEADERS, "Content-Security-Policy": policy}
    return web.Response(text=html, content_type="text/html", status=status, headers=headers)
