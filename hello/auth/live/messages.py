"""What do a client and a live connection say to each other about tokens?

A client sends a token as a JSON object with the member `access_token`, which may have others. It is
answered with a JSON object that has a member of the same name.
"""

import json
import re
from http import HTTPStatus
from math import ceil
from typing import Any

from aiohttp import WSCloseCode

from hello.tokens import AuthError, InvalidTokenError, Reason, UnavailableError
from hello.tokens.jwt.strict_json import load_object

MAX_LENGTH = 16 * 1024
"""How many characters a message with a token may have. A token in a header has about half."""

_NAME = "access_token"
_QUOTED = f'"{_NAME}"'
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")  # RFC 8259 §7
_BEFORE = " \t\r\n\ufeff"  # what may stand before an object, and a byte order mark
_MAX_REASON_BYTES = 123  # RFC 6455 §5.5
# If the handler had written only a part of an event, its client gets that part under this name, and
# does not take it for the whole event. After a whole event, the client gets nothing: a line that
# begins with a colon is a comment, and an event without data is none.
_END_OF_ANY_EVENT = ":\nevent: incomplete\n\n"
_CONTROL = re.compile(r"[^ -~]")


def token_in(text: str) -> str | None:
    """Return the token in a message, or None if the message is not about tokens.

    Raises InvalidTokenError if the token is no text, and for what may be a message with a token
    and cannot be read in one way only.
    """
    if _QUOTED not in _ESCAPED.sub(_unescaped, text) or not text.lstrip(_BEFORE).startswith("{"):
        return None
    try:
        message = load_object(text.encode())
    except ValueError:
        raise InvalidTokenError(Reason.MALFORMED) from None
    if _NAME not in message:
        return None
    token = message[_NAME]
    if not isinstance(token, str) or len(text) > MAX_LENGTH:
        raise InvalidTokenError(Reason.MALFORMED)
    return token


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def accepted(seconds: float) -> str:
    """Return the answer to a token that is accepted, and that expires in so many seconds."""
    return _answer({"status": 200, "expires_in": max(0, int(seconds))})


def postponed(outage: UnavailableError) -> str:
    """Return the answer to a token that cannot be checked at the moment."""
    return _answer(
        {"status": outage.status, "message": outage.message, "retry_after": outage.retry_after}
    )


def too_soon(seconds: float) -> str:
    """Return the answer to a token that comes so many seconds too soon after another one."""
    return _answer(
        {"status": 429, "message": "Too many requests", "retry_after": max(1, ceil(seconds))}
    )


def close_code(refusal: AuthError) -> int:
    """Return the code that a WebSocket is closed with: 4401, 4403, or 1013 ("try again later")."""
    if isinstance(refusal, UnavailableError):
        return WSCloseCode.TRY_AGAIN_LATER
    # RFC 6455 §7.4.2: for private use. A check may refuse with any status, such as 404.
    return 4401 if refusal.status == HTTPStatus.UNAUTHORIZED else 4403


def close_reason(refusal: AuthError) -> str:
    """Return one of the phrases that a challenge may have, or the message of the answer."""
    phrase = refusal.parameters.get("error_description") or refusal.message
    return _CONTROL.sub("", phrase)[:_MAX_REASON_BYTES]


def last_event(refusal: AuthError) -> bytes:
    """Return the last event of an event stream. It says what the close of a WebSocket says."""
    data = json.dumps({"code": close_code(refusal), "reason": close_reason(refusal)})
    return f"{_END_OF_ANY_EVENT}event: close\ndata: {data}\n\n".encode()


def _answer(about: dict[str, Any]) -> str:
    return json.dumps({_NAME: about})
