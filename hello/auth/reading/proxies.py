"""Which proxies are trusted, and does one of them stand between a client and this server?"""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web

_MAPPED_BITS = 96  # that all IPv4-mapped addresses of IPv6 begin with

UNIX = "unix"
"""The name for whatever connects through a Unix socket, which has no address."""


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

    def sent(self, request: web.Request) -> bool:
        """Return whether a request came from one of these proxies.

        The connection decides. `request.remote` does not, because a middleware may have replaced it
        by what a header says.
        """
        peer, connection = (request.get_extra_info(name) for name in ("peername", "socket"))
        family = None if connection is None else connection.family  # None: it is closed
        if family not in (socket.AF_INET, socket.AF_INET6):
            return self._unix and family == getattr(socket, "AF_UNIX", "none on this system")
        address = ip_address(peer[0].partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


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
