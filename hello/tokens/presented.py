"""Which credentials does a request present?

RFC 6750 §2.1: a token is read only from the Authorization header. Queries are written to logs, and
browsers send cookies on their own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .errors import InvalidTokenError, Reason, UnauthorizedError

_SCHEME = "bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """What a request presents. Nothing of it has been verified.

    `token` is the access token. `host` is the host that the request names, for a resolver of
    issuers.
    """

    token: str = field(repr=False)
    host: str = ""


def present(get_all: Callable[[str], Sequence[str]], *, host: str = "") -> Presented:
    """Read what a request presents from its headers.

    `get_all` returns all values of the header with a name. The token is all that follows the scheme
    and one space. If it has characters that no JWT has, `jwt.compact` refuses it.

    Raises UnauthorizedError if there is no token (no header, another scheme, or only the scheme),
    and InvalidTokenError if there is more than one header.
    """
    values = get_all("Authorization")
    if len(values) > 1:
        raise InvalidTokenError(Reason.SEVERAL_CREDENTIALS)
    value = values[0] if values else ""
    token = value[len(_SCHEME) :]
    # RFC 9110 §11.1: the scheme is matched without regard to case.
    if value[: len(_SCHEME)].lower() != _SCHEME or not token:
        raise UnauthorizedError
    return Presented(token=token, host=host)
