"""Which access token does a request carry?

RFC 6750 §2.1: the Authorization header is the one place. Queries end up in logs and cookies are
sent without anybody's asking, so neither is looked at.
"""

from collections.abc import Sequence

from .errors import InvalidTokenError, Reason, UnauthorizedError

_B64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_SCHEME = "bearer "


def bearer_token(authorization: Sequence[str]) -> str:
    """Take the access token from the values of a request's Authorization headers.

    Raises UnauthorizedError where there is none (no header, another scheme, a bare `Bearer`), and
    InvalidTokenError where there is more than one header, or a value that is no b64token.
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
    if not _is_b64token(token):
        raise InvalidTokenError(Reason.MALFORMED)
    return token


def _is_b64token(text: str) -> bool:
    # RFC 6750 §2.1. Nothing is split at spaces: str.split() would also split at \x1c, a no-break
    # space and others that a client can put in a header.
    if not text.isascii():
        return False
    letters = text.encode("ascii").rstrip(b"=")
    return letters != b"" and letters.translate(None, _B64) == b""
