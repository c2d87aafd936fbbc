"""Which credentials does a request present?

RFC 6750 §2.1: a token is read only from the Authorization header, or from the one header that the
application names in its place. Queries are written to logs, and browsers send cookies on their own.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from .errors import InvalidTokenError, Reason, UnauthorizedError

AUTHORIZATION = "Authorization"

BEARER, DPOP = "Bearer", "DPoP"

Certificate = bytes | str | None
"""A certificate in DER; or as a text, PEM or the value of a Client-Cert header; or None."""

ShowCertificate = Callable[[], Certificate | Awaitable[Certificate]]
"""A function, sync or async, that returns the certificate of a request's sender."""

_SCHEME, _DPOP_SCHEME = "bearer ", "dpop "
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 §5.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request presents. Nothing of it has been verified.

    `token` is the access token, and `scheme` is "Bearer" or "DPoP". `host` is the host that the
    request names, for a resolver of issuers. `proofs` are the values of the DPoP header. `method`
    and `url` are those of the request as its sender sees them; proofs are compared with them.
    `certificate` is called for a token that is bound to a certificate (RFC 8705). `proved` says
    that the sender has proved the token's binding before, on the same connection: a proof is good
    for one request only, so it is not checked again.
    """

    token: str = field(repr=False)
    host: str = ""
    scheme: str = BEARER
    proofs: tuple[str, ...] = field(default=(), repr=False)
    method: str = ""
    url: str = ""
    certificate: ShowCertificate | None = field(default=None, repr=False)
    proved: bool = False


def present(
    get_all: Callable[[str], Sequence[str]],
    *,
    host: str = "",
    header: str = AUTHORIZATION,
    dpop: Callable[[], tuple[str, str]] | None = None,
    certificate: ShowCertificate | None = None,
) -> Presented:
    """Read what a request presents from its headers.

    `get_all` returns all values of the header with a name. The token is all that follows the scheme
    and one space. If it has characters that no JWT has, `jwt.compact` refuses it. In any other
    header than Authorization, the token may stand without a scheme. Proxies that log people in send
    it in this way.

    `dpop` returns the method and the URL of the request, as its sender sees them. If it is None,
    the scheme DPoP counts as no credentials. `certificate` returns the certificate of the sender.

    Raises UnauthorizedError if there is no token (no header, another scheme, or only the scheme),
    and InvalidTokenError if there is more than one header.
    """
    values = get_all(header)
    if len(values) > 1:
        raise InvalidTokenError(Reason.SEVERAL_CREDENTIALS)
    value = values[0] if values else ""
    # RFC 9110 §11.1: the scheme is matched without regard to case.
    if value[: len(_SCHEME)].lower() == _SCHEME:
        token = value[len(_SCHEME) :]
    elif dpop is not None and value[: len(_DPOP_SCHEME)].lower() == _DPOP_SCHEME:
        token = value[len(_DPOP_SCHEME) :]
        if token:
            method, url = dpop()
            return Presented(
                token=token,
                host=host,
                scheme=DPOP,
                proofs=tuple(get_all(DPOP)),
                method=method,
                url=url,
                certificate=certificate,
            )
    else:
        token = "" if is_authorization(header) else value
    if not token:
        # The log names no other scheme, because a client may write its token in that place.
        by_dpop = value[: len(_DPOP_SCHEME)].lower() == _DPOP_SCHEME
        raise UnauthorizedError(detail="scheme=DPoP" if by_dpop else None)
    return Presented(token=token, host=host, certificate=certificate)


def is_authorization(header: str) -> bool:
    """Return whether a header is the one that RFC 6750 §2.1 names."""
    return header.lower() == AUTHORIZATION.lower()


def is_header_name(name: object) -> bool:
    """Return whether this can be the name of a header (RFC 9110 §5.1)."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_header(name: str) -> None:
    """Raise ValueError unless a header of this name may carry a token."""
    if not is_header_name(name):
        raise ValueError(f"header is the name of a header, not {name!r}")
    if name.lower() in ("client-cert", "cookie", "dpop", "host"):
        raise ValueError(f"header is {name!r}, and no token is read from that one")
