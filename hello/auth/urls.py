"""Which URLs may be asked for keys, and which may be told to clients?"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

# Visible ASCII. Without the backslash, which browsers and some parsers take for a slash.
_URL = re.compile(r"[!-\[\]-~]+")


def is_secure_url(url: str) -> bool:
    """Say whether a URL is absolute and https; http will do on this machine's own loopback."""
    if not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Say whether a host's name or address is this machine's own (RFC 6761 §6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_resource_url(url: str) -> bool:
    """Say whether a URL can be a resource's (RFC 9728 §1.2), and stand in a challenge and a route.

    It has no query and no fragment, and in its path nothing that aiohttp would read otherwise.
    """
    if not is_secure_url(url) or not set(url).isdisjoint('"?#{}%'):
        return False
    return {".", ".."}.isdisjoint(urlsplit(url).path.split("/"))  # clients leave these out
