"""Which host does a text name, however it is written?"""

import re
from functools import lru_cache
from ipaddress import IPv6Address

_AUTHORITY = re.compile(
    r"(?:\[([0-9a-f:.]{2,45})\]|([^:/?#@\[\]\\\s]{1,255}))(?::([0-9]{0,5}))?", re.IGNORECASE
)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


@lru_cache(maxsize=100)  # most requests name the same few hosts
def split_host(authority: str) -> tuple[str, int | None] | None:
    """Return host and port of `host` or `host:port` (RFC 9110 §4.2), or None if it names no host.

    One host has one spelling: in lower case, without the dot that ends a DNS name, an IDN as
    A-labels (RFC 5890), an IPv6 address in brackets as RFC 5952 writes it.
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    address, name, port = found.groups()
    number = int(port) if port else None
    if number is not None and number > 65535:  # noqa: PLR2004
        return None
    try:
        if address is not None:
            return f"[{_ipv6(IPv6Address(address))}]", number
        host = (name if name.isascii() else name.encode("idna").decode()).lower()
    except ValueError:
        return None
    host = host.removesuffix(".")
    return (host, number) if _NAME.fullmatch(host) else None


def _ipv6(address: IPv6Address) -> str:
    # RFC 5952 §5. Python writes such an address like this since 3.13.
    mapped = address.ipv4_mapped
    return address.compressed if mapped is None else f"::ffff:{mapped}"
