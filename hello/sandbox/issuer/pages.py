"""Which pages does the issuer show to a person?"""

import json
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

from .people import Person

_FOLDER = Path(__file__).with_name("pages")
_PAGE = Template((_FOLDER / "page.html").read_text("utf-8"))
_WEB_MESSAGE = Template((_FOLDER / "web_message.html").read_text("utf-8"))
_NEW_PERSON = Template((_FOLDER / "new_person.html").read_text("utf-8"))
# What a scope lets a client know or do (OpenID Connect Core 1.0 §5.4, §11).
_SCOPES = {
    "openid": "who you are",
    "profile": "your name",
    "email": "your e-mail address",
    "offline_access": "new tokens while you are away",
}
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


def login_page(
    transaction: str,
    people: Iterable[Person],
    client: tuple[str, str],
    asked: Iterable[str],
    *,
    sign_up: bool = False,
) -> web.Response:
    """Return the page that asks who logs in. `transaction` identifies the client's request.

    `client` is its identifier and its origin. `asked` is what `asked_for` says. `sign_up` offers to
    make up a new person first.
    """
    client_id, origin = client
    hidden = f'<input type="hidden" name="transaction" value="{escape(transaction)}" />'
    known = "".join(
        f'<button name="person" value="{escape(person.subject)}">'
        f"<strong>{escape(person.name)}</strong><span>{escape(person.about)}</span></button>"
        for person in people
    )
    wishes = "".join(f"<li>{escape(wish)}</li>" for wish in asked)
    return _page(
        "Who do you want to be?" if sign_up else "Who are you today?",
        f"<p>The client <code>{escape(client_id)}</code> at <code>{escape(origin)}</code> asks you "
        f"to log in. If you do, it gets:</p><ul>{wishes}</ul>"
        + (f"{_NEW_PERSON.substitute(hidden=hidden)}<h2>Or log in as</h2>" if sign_up else "")
        + f'<form method="post" action="/login">{hidden}{known}'
        '<button class="cancel" name="cancel" value="yes">Cancel</button></form>'
        '<p class="quiet">There are no passwords here: nothing behind this door is real.</p>',
        # Browsers apply form-action to the redirect after the form, too. A policy cannot name an
        # IPv6 address (Content Security Policy Level 3 §2.3.1), so then it names the scheme.
        policy=f"form-action 'self' {'http:' if '[' in origin else origin}",
    )


def asked_for(scopes: Collection[str], audience: str | None, *, bound: bool) -> list[str]:
    """Return what a client asks for, in words. `bound`: its tokens are to be bound to a key."""
    wishes = [f"{meaning} ({scope})" for scope, meaning in _SCOPES.items() if scope in scopes] or [
        "nothing about you"
    ]
    wishes += [f"the permission {scope}" for scope in sorted(set(scopes) - set(_SCOPES))]
    if audience is not None:
        wishes.append(f"an access token for the API {audience} (audience)")
    if bound:
        wishes.append("that token bound to a key of its own, so that copies are worth nothing")
    return wishes


def index_page(metadata: Mapping[str, object], client_id: str, secret: str) -> web.Response:
    """Return the page that says what this issuer has."""
    addresses = "".join(
        f"<dt>{escape(name)}</dt><dd>{_address(str(value))}</dd>"
        for name, value in metadata.items()
        if name.endswith(("_endpoint", "_uri"))
    )
    document = f"{metadata['issuer']}.well-known/openid-configuration"
    return _page(
        "What this issuer has",
        "<p>It stands in for an issuer such as Auth0. It logs people in, and signs tokens. Its "
        "keys are made at each start.</p>"
        f"<dl><dt>metadata</dt><dd>{_address(document)}</dd>{addresses}</dl>"
        f"<p>A client with a secret: <code>{escape(client_id)}</code>, "
        f"<code>{escape(secret)}</code></p>",
    )


def _address(url: str) -> str:
    readable = url.endswith((".json", "-configuration"))  # the others need more than a click
    code = f"<code>{escape(url)}</code>"
    return f'<a href="{escape(url)}">{code}</a>' if readable else code


def message_page(
    title: str, text: str, *, status: int = 200, client_origin: str | None = None
) -> web.Response:
    """Return a page with a message, for when the browser cannot be redirected to a client.

    It has a link to `client_origin`, if that is given. A request must have no say in it.
    """
    body = f"<p>{escape(text)}</p>"
    if client_origin is not None:
        origin = escape(client_origin)
        body += f'<p><a href="{origin}/">Go to the client at {origin}</a></p>'
    return _page(title, body, status=status)


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
