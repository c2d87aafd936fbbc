"""Which URLs may keys be fetched from, and which URLs may an answer contain?"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

# Visible ASCII, but no backslash: browsers and some parsers read it as a slash.
_URL = re.compile(r"[!-\[\]-~]+")


def is_secure_url(url: str, *, allow_insecure_http: bool = False) -> bool:
    """Return whether a URL is absolute and https. For this machine itself, http is allowed too.

    With `allow_insecure_http` it is allowed for every host.
    """
    if not isinstance(url, str) or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    http_allowed = allow_insecure_http or is_loopback(host)
    return parts.scheme == "https" or (parts.scheme == "http" and http_allowed)


def shown_url(url: object) -> str:
    """Return a URL for a message, without a user name and a password that it may contain."""
    return re.sub(r"//[^/?#@]*@", "//...@", repr(url))


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine itself (RFC 6761 §6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # where x.localhost leads to is up to DNS


def is_resource_url(url: str) -> bool:
    """Return whether a URL can name a resource (RFC 9728 §1.2) in a challenge and in a route.

    It has no query and no fragment, and aiohttp does not read any part of its path as a pattern.
    """
    if not is_secure_url(url) or not set(url).isdisjoint('"?#{}%'):
        return False
    return {".", ".."}.isdisjoint(urlsplit(url).path.split("/"))  # clients remove these segments
