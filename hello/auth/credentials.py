"""Which access token does a request carry?

RFC 6750 §2.1: the Authorization header is the one place. Queries end up in logs and cookies are
sent without anybody's asking, so neither is looked at.
"""

from collections.abc import Sequence

from .errors import InvalidTokenError, Reason, UnauthorizedError

_SCHEME = "bearer "


def bearer_token(authorization: Sequence[str]) -> str:
    """Take the access token from the values of a request's Authorization headers.

    It is everything behind the scheme and one space, whatever that is: a JWT has fewer characters
    than RFC 6750's b64token, and `jws.parse` takes no others. Raises UnauthorizedError where there
    is none (no header, another scheme, a bare `Bearer`), and InvalidTokenError where there is more
    than one header.
    """
    if not authorization:
        raise UnauthorizedError
    if len(authorization) > 1:
        raise InvalidTokenError(Reason.SEVERAL_CREDENTIALS)
    value = authorization[0]
    # RFC 9110 §11.1: the scheme is matched without regard to case.
    if value[: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthorizedError
    token = value[len(_SCHEME) :]
    if not token:
        raise UnauthorizedError
    return token
