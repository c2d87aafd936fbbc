"""Which proxies are trusted, and does one of them stand between a client and this server?"""

import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from aiohttp import web

_MAPPED_BITS = 96  # the length of the prefix of IPv4-mapped addresses (RFC 4291 §2.5.5.2)

_AF_UNIX = getattr(socket, "AF_UNIX", None)  # None where there are no Unix sockets

UNIX = "unix"
"""The name for whatever connects through a Unix socket, which has no address."""


def peer_of(request: web.BaseRequest) -> str:
    """Return the address that a request came from, `unix` for a Unix socket, and `-` for none."""
    remote = request.remote
    return remote or (UNIX if remote == "" else "-")


class TrustedProxies:
    """The proxies whose headers are believed.

    `addresses` are IP addresses, networks such as 10.0.0.0/8, and `unix` for everything that
    connects through a Unix socket. Raises ValueError for anything else.
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        names = () if isinstance(addresses, str) else tuple(addresses)
        if not names:
            raise ValueError(f"proxies are a list of IP addresses and networks, not {addresses!r}")
        self._unix = UNIX in names
        self._networks = frozenset(_network(name) for name in names if name != UNIX)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrustedProxies) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self._unix, self._networks))

    def sent(self, request: web.BaseRequest) -> bool:
        """Return whether a request came from one of these proxies.

        The connection decides. `request.remote` does not, because a middleware may have replaced it
        by what a header says.
        """
        connection, peer = (request.get_extra_info(name) for name in ("socket", "peername"))
        if connection is None:  # it is closed
            return False
        if connection.family == _AF_UNIX:
            return self._unix
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or not peer:
            return False  # the connection was reset, and uvloop has forgotten whose it was
        return self.include(without_mapping(ip_address(peer[0].partition("%")[0])))

    def include(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether an address is that of one of these proxies."""
        return any(address in network for network in self._networks)


def without_mapping(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for (RFC 4291 §2.5.5.2), or itself."""
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(str(text))
    except ValueError as error:
        raise ValueError(
            f"proxies are IP addresses, networks such as 10.0.0.0/8, or {UNIX}: {error}"
        ) from None
    if "%" in str(network):
        # On another link, the same address is another machine.
        raise ValueError(f"proxies have addresses without a scope, unlike {text!r}")
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ip_network((mapped, network.prefixlen - _MAPPED_BITS))
