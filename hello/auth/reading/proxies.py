"""Which proxies are trusted, and does one of them stand between a client and this server?"""

import socket
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from aiohttp import web

UNIX = "unix"
"""The name for whatever connects through a Unix socket, which has no address."""


class TrustedProxies:
    """The proxies whose headers are believed.

    `addresses` are IP addresses, networks such as 10.0.0.0/8, and `unix` for everything that
    connects through a Unix socket. Raises ValueError for anything else.
    """

    def __init__(self, addresses: Collection[str]) -> None:
        if isinstance(addresses, str) or not addresses:
            raise ValueError(f"proxies are a list of IP addresses and networks, not {addresses!r}")
        self._unix = UNIX in addresses
        self._networks = [_network(address) for address in addresses if address != UNIX]

    def sent(self, request: web.Request) -> bool:
        """Return whether a request came from one of these proxies.

        The connection decides. `request.remote` does not, because a middleware may have replaced it
        by what a header says.
        """
        peer, connection = (request.get_extra_info(name) for name in ("peername", "socket"))
        if connection is None:  # it is closed
            return False
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            return self._unix
        address = ip_address(peer[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(str(text))
    except ValueError as error:
        raise ValueError(
            f"proxies are IP addresses, networks such as 10.0.0.0/8, or {UNIX}: {error}"
        ) from None
