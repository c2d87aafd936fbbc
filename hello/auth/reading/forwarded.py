"""From which address does a request come, if trusted proxies stand in between?

Each proxy adds the address of its own sender at the end of a header. So the header is read from its
end, as long as the address that was read last belongs to a trusted proxy. What stands before that
can be written by anybody.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import islice
from typing import Literal

from aiohttp import web
from multidict import istr

from .fields import field_values
from .proxies import TrustedProxies, without_mapping

ForwardedHeader = Literal["forwarded", "x-forwarded-for"]
"""The name of the header that the proxies write."""

_FORWARDED, _X_FORWARDED_FOR = istr("Forwarded"), istr("X-Forwarded-For")
_MAX_PROXIES = 20
_MAX_ELEMENTS = 100  # of a header, however long it is: the others are not read

_Address = IPv4Address | IPv6Address

# RFC 7239 §4: pairs between semicolons. A value is a token or is quoted. No pattern goes
# back to try again, so the time grows only with the length of an element.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_PAIR = rf'(?:{_WORD}=(?:{_WORD}|"(?:[^"\\]|\\.)*+"))?'
_ELEMENT = re.compile(rf"{_PAIR}(?:[ \t]*+;[ \t]*+{_PAIR})*+")
_FOR = re.compile(rf'({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*+")')
# §6: an address, perhaps with a port. Everything else is obfuscated, unknown or malformed.
_NODE = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]+))?")
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")


def forwarded_address(
    request: web.BaseRequest, proxies: TrustedProxies, header: ForwardedHeader | None = None
) -> str | None:
    """Return the address of the client, or None if it is that of the connection.

    If a header is malformed or names no address, it is that of the last proxy which is known. Many
    proxies write one of the two headers and let a client write the other one. `header` says which
    one they write. If it is None and both are there, they have to lead to the same address;
    otherwise it is that of the connection.
    """
    forwarded = () if header == "x-forwarded-for" else field_values(request, _FORWARDED)
    x_forwarded_for = () if header == "forwarded" else field_values(request, _X_FORWARDED_FOR)
    if not (forwarded or x_forwarded_for) or not proxies.sent(request):
        return None
    found = {
        _walk(nodes(lines), proxies)
        for lines, nodes in ((forwarded, _forwarded), (x_forwarded_for, _x_forwarded_for))
        if lines
    }
    address = found.pop()
    return None if found or address is None else str(address)


def _walk(nodes: Iterator[_Address | None], proxies: TrustedProxies) -> _Address | None:
    """Return the first address that is no trusted proxy's, or the last one that is known."""
    known = None
    for _, node in zip(range(_MAX_PROXIES), nodes, strict=False):
        if node is None:
            break
        known = node
        if not proxies.include(node):
            break
    return known


def _forwarded(lines: Sequence[str]) -> Iterator[_Address | None]:
    """Yield what the elements of `Forwarded` name, the last one first (RFC 7239 §4)."""
    elements = (element for line in reversed(lines) for element in _elements(line))
    for element in islice(elements, _MAX_ELEMENTS):
        if not element:  # RFC 9110 §5.6.1.2: a reasonable number of them is ignored
            continue
        well_formed = _ELEMENT.fullmatch(element) is not None
        names = [value for name, value in _FOR.findall(element) if name.lower() == "for"]
        node = names[0] if well_formed and len(names) == 1 else ""
        if node.startswith('"'):
            node = re.sub(r"\\(.)", r"\1", node[1:-1])
        found = _NODE.fullmatch(node)
        yield None if found is None else _address(found[1] or found[2])


def _elements(line: str) -> Iterator[str]:
    """Yield the texts between the commas that are not quoted, the last one first.

    It reads from the end, because only the end was written by a proxy. What a client wrote before
    that, such as a quote that does not end, changes nothing.
    """
    end = at = len(line)
    for _ in range(_MAX_ELEMENTS):
        comma, quote = line.rfind(",", 0, at), line.rfind('"', 0, at)
        if quote > comma:
            at = _opening_quote(line, quote)
            continue
        yield line[comma + 1 : end].strip(" \t")
        if comma < 0:
            return
        end = at = comma
    yield "too long"  # it is malformed, so the address before it is taken


def _opening_quote(line: str, closing: int) -> int:
    """Return where the quoted string begins that ends at a quote, or 0 if it does not begin."""
    at = closing
    while (at := line.rfind('"', 0, at)) >= 0:
        first = at
        while first and line[first - 1] == "\\":
            first -= 1
        # A quote after an odd number of backslashes is a part of the text (RFC 9110 §5.6.4).
        if (at - first) % 2 == 0:
            return at
    return 0


def _x_forwarded_for(lines: Sequence[str]) -> Iterator[_Address | None]:
    """Yield what `X-Forwarded-For` names, the last one first. It has no standard."""
    texts = (text for line in reversed(lines) for text in reversed(line.rsplit(",", _MAX_PROXIES)))
    for text in islice(texts, _MAX_PROXIES):
        node = text.strip(" \t")
        found = _NODE.fullmatch(node)
        if found is not None:
            yield _address(found[1] or found[2])
        else:
            yield _address(node) if _BARE_IPV6.fullmatch(node) else None


def _address(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return without_mapping(address)
