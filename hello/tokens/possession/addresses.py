"""Do two URLs name the same resource, however they are written (RFC 3986 §6.2)?"""

import re
from urllib.parse import urlsplit

from hello.tokens.hosts import split_host

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
# RFC 3986 §2.1: a percent sign begins an escape. Or else %%32F would become the escape %2F.
_URL = re.compile(r"(?:[!-$&-~]|%[0-9a-fA-F]{2}){1,8192}")

_PLACE = re.compile(r"([^/]+//[^/]+)/([^/]*)(.*)")
_MAX_ORIGIN, _MAX_SEGMENT = 100, 32  # characters


def normalized(url: str) -> str | None:
    """Return a URL in one spelling, without query and fragment, or None if it is no http(s) URL.

    RFC 9449 §4.3: scheme and host in lower case, no default port, escapes only where they are
    needed, no dot segments, and a slash for an empty path.
    """
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    scheme, named = parts.scheme.lower(), split_host(parts.netloc)
    if scheme not in _DEFAULT_PORTS or named is None:
        return None
    host, port = named
    place = host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"
    return f"{scheme}://{place}{_path(parts.path)}"


def shown(url: object) -> str:
    """Return the beginning of a URL for a log: the origin, and the first segment of the path.

    A client may write anything into a URL. So it is cut off, and what follows is left out: somebody
    may have put a token there.
    """
    named = normalized(url) if isinstance(url, str) else None
    if named is None:
        return "no URL"
    origin, first, rest = _PLACE.findall(named)[0]
    first = first if len(first) <= _MAX_SEGMENT else "..."
    return f"{origin[:_MAX_ORIGIN]}/{first}{'/...' if rest else ''}"


def is_beginning(url: str) -> bool:
    """Return whether a path can be appended to a URL, because it has no query and no fragment."""
    return isinstance(url, str) and normalized(url) is not None and set(url).isdisjoint("?#")


def _path(path: str) -> str:
    kept: list[str] = []
    *segments, last = _ESCAPE.sub(_decoded, path).split("/")
    for segment in segments[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        kept = kept[:-1]
    return "/".join(["", *kept, "" if last in (".", "..") else last])


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()
