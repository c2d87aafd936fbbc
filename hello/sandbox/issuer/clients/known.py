"""Which clients are there, and to which addresses may each be answered?

Everybody may be a client, with any identifier and without registration, as a program on this
machine or as a page of the one known origin. A client that registered has its own addresses.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from hello.sandbox.issuer.oauth import OAuthError
from hello.tokens.bounded import Bounded
from hello.tokens.urls import is_loopback

CLIENT_ID = "sandbox"
CLIENT_SECRET = "not-a-secret"  # noqa: S105 - it is good for the sandbox of this machine only

_MAX_REGISTERED = 100  # whoever uses it least recently must register again
_MAX_ADDRESSES = 10  # of one client
_MAX_ADDRESS = 2000  # characters

_PATH = r'(?P<path>[/?][!"$-\[\]-~]*)?'  # visible ASCII, without # and backslash
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[::1\])(:[0-9]{{1,5}})?{_PATH}"
)
_AT_ANY_PORT = re.compile(rf"http://(?P<host>127\.0\.0\.1|\[::1\])(:[0-9]{{1,5}})?{_PATH}")


class ClientSettings(Protocol):
    """What there is to know about clients that did not register."""

    client_origin: str
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Registered:
    """A client that registered. `secret` is None if it is a public one (RFC 6749 §2.1)."""

    id: str
    secret: str | None
    redirect_uris: tuple[str, ...]


class Clients:
    """Knows the clients that registered, and where every client may be answered."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._registered = Bounded[str, Registered](_MAX_REGISTERED)

    def register(self, redirect_uris: Sequence[str], *, confidential: bool) -> Registered:
        """Make a client, and forget another one if there are too many.

        Raises OAuthError if it can be answered at none of these addresses.
        """
        if len(redirect_uris) > _MAX_ADDRESSES or not all(map(_may_register, redirect_uris)):
            raise OAuthError(
                "invalid_redirect_uri",
                f"redirect_uris are at most {_MAX_ADDRESSES} URLs, over https or of this machine",
            )
        secret = secrets.token_urlsafe(32) if confidential else None
        client = Registered(secrets.token_urlsafe(16), secret, tuple(redirect_uris))
        self._registered.put(client.id, client)
        return client

    def secret_of(self, client_id: str) -> str | None:
        """Return the secret of a client, or None if it has none or is unknown."""
        if client_id == CLIENT_ID:
            return CLIENT_SECRET
        client = self._registered.get(client_id)
        return None if client is None else client.secret

    def must_authenticate(self, client_id: str | None) -> bool:
        """Return whether a client registered as one with a secret (RFC 6749 §3.2.1)."""
        client = self._registered.get(client_id or "")
        return client is not None and client.secret is not None

    def check_redirect(self, client_id: str, url: str) -> None:
        """Raise OAuthError unless a client may be answered at this address.

        A registered one is answered where it said, and any other one at the pages of the known
        origin. At 127.0.0.1 and [::1] the port does not matter (RFC 8252 §7.3), as a program takes
        one that is free. At localhost it does: that name may lead elsewhere (§8.3).
        """
        client = self._registered.get(client_id)
        if client is not None:
            if url not in client.redirect_uris and not _differs_in_port(url, client.redirect_uris):
                raise OAuthError(
                    "invalid_request", "redirect_uri is none that the client registered"
                )
        elif not self.is_page(url) and not _AT_ANY_PORT.fullmatch(url):
            origin = self._settings.client_origin
            raise OAuthError(
                "invalid_request",
                f"redirects go only to {origin}, and to http://127.0.0.1 and http://[::1]",
            )

    def is_page(self, url: str) -> bool:
        """Return whether an address belongs to the pages of the known origin."""
        # Compared as text, with the slash: two URL parsers may find different hosts in one URL.
        origin = self._settings.client_origin
        rest = url.removeprefix(origin)
        return url.startswith(origin) and re.fullmatch(_PATH, rest) is not None and rest[:1] != "?"


def _may_register(url: str) -> bool:
    address = _ADDRESS.fullmatch(url)
    if address is None or len(url) > _MAX_ADDRESS:
        return False
    return address["scheme"] == "https" or is_loopback(address["host"].strip("[]"))


def _differs_in_port(url: str, registered: Sequence[str]) -> bool:
    asked = _AT_ANY_PORT.fullmatch(url)
    others = map(_AT_ANY_PORT.fullmatch, registered)
    return asked is not None and any(
        other is not None and other.group("host", "path") == asked.group("host", "path")
        for other in others
    )
