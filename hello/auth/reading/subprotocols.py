"""Which sub-protocols does a WebSocket's client offer, and is one of them a token?

A page in a browser can send no header with a WebSocket, but it can offer sub-protocols (RFC 6455
§1.9). So some clients put the token there, in one of two forms:

    ["bearer", token]
    ["base64url.bearer.authorization.k8s.io.<token in base64url>", "another one"]

The second form is that of Kubernetes.
"""

import logging
from collections.abc import Sequence
from itertools import pairwise

from aiohttp import hdrs, web

from hello.tokens import InvalidTokenError, Reason
from hello.tokens.jwt.base64url import decode_leniently, encode

from .fields import field_values

BEARER = "bearer"
"""The sub-protocol in front of a token."""

_ENCODED = "base64url.bearer.authorization.k8s.io."
_LONGEST_NAME = 32  # of a sub-protocol that is surely no token


def offered(request: web.Request) -> list[str]:
    """Return the sub-protocols that a client offers, in its order, those with a token too."""
    lines = field_values(request, hdrs.SEC_WEBSOCKET_PROTOCOL)
    names = [name.strip(" \t") for line in lines for name in line.split(",")]
    return [name for name in names if name]


def token_among(names: Sequence[str]) -> str | None:
    """Return the token that one of the sub-protocols is, or None.

    Raises InvalidTokenError if there is more than one (RFC 6750 §2), or if it cannot be decoded.
    """
    plain = [after for name, after in pairwise(names) if name == BEARER]
    encoded = [name.removeprefix(_ENCODED) for name in names if name.startswith(_ENCODED)]
    if len(plain) + len(encoded) > 1:
        raise InvalidTokenError(Reason.SEVERAL_CREDENTIALS)
    if not encoded:
        return plain[0] if plain else None
    try:
        decoded = decode_leniently(encoded[0])
        if encode(decoded) != encoded[0]:
            raise ValueError("no canonical base64url")
        return decoded.decode("ascii")
    except ValueError:
        raise InvalidTokenError(Reason.MALFORMED) from None


def hide_tokens() -> None:
    """Let aiohttp write no token into its log.

    If no sub-protocol of a client is known, web.WebSocketResponse logs all that the client offers.
    """
    logging.getLogger("aiohttp.websocket").addFilter(_hide_offers)  # once, however often it is done


def _hide_offers(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            "[...]" if isinstance(each, list) and _may_hold_token(each) else each
            for each in record.args
        )
    return True


def _may_hold_token(names: Sequence[str]) -> bool:
    return any(name.lower() == BEARER or len(name) > _LONGEST_NAME for name in names)
