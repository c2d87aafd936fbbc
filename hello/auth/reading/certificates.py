"""Where is the certificate of a request's sender (RFC 8705 §3)?"""

from collections.abc import Awaitable, Callable, Collection

from aiohttp import web

from hello.tokens.possession.certificate import NoCertificateError
from hello.tokens.presented import Certificate, is_header_name

from .fields import field_values
from .proxies import TrustedProxies

ClientCertificate = Callable[[web.Request], Certificate | Awaitable[Certificate]]
"""A function, sync or async, that returns the certificate of a request's sender."""


def of_connection(request: web.Request) -> bytes:
    """Return the certificate that the client of a TLS connection has. Raises NoCertificateError."""
    tls = request.get_extra_info("ssl_object")
    if tls is None:
        raise NoCertificateError("the connection has no TLS")
    der: bytes | None = tls.getpeercert(binary_form=True)
    if not der:
        raise NoCertificateError("the client has shown none on its connection")
    return der


class CertificateHeader:
    """Reads the certificate that a proxy received from its client and hands over in a header.

    The header is believed only if it comes from one of the `proxies`: IP addresses, networks such
    as 10.0.0.0/8, or `unix` for a Unix socket. `name` is its name. Its value is base64 between
    colons (RFC 9440 §2.1), or PEM with escapes as in a URL, as nginx writes it. The proxy has to
    remove this header from what clients send. Raises ValueError for other addresses, and for what
    is no name of a header.
    """

    def __init__(self, *, proxies: Collection[str], name: str = "Client-Cert") -> None:
        if not is_header_name(name):
            raise ValueError(f"name of CertificateHeader is the name of a header, not {name!r}")
        self._proxies = TrustedProxies(proxies)
        self._name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CertificateHeader) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self._proxies, self._name))

    def __call__(self, request: web.Request) -> str:
        """Return the value of the header. Raises NoCertificateError if it does not count."""
        values = field_values(request, self._name)
        if not self._proxies.sent(request):
            raise NoCertificateError("the request comes from none of the proxies")
        if len(values) != 1:
            found = "are several headers" if values else "is no header"
            raise NoCertificateError(f"there {found} {self._name}")
        return values[0]
