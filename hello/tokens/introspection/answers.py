"""What does an issuer's answer about a token say (RFC 7662 §2.2 and §2.3)?"""

from typing import Any

from hello.tokens.jwt.strict_json import load_document
from hello.tokens.keys.fetched import FetchError

# Errors that speak of the token and not of this API: such a token is not active.
_ERRORS_OF_TOKENS = ("unsupported_token_type", "invalid_token")
# A firewall before the issuer refuses texts that look like an attack, and some issuers refuse texts
# that they cannot read. Such an answer says nothing about other tokens.
_REFUSALS_OF_TEXTS = (400, 403, 413, 422)


class RefusedTextError(FetchError):
    """The issuer can be asked, but perhaps not about this text."""


def read_answer(endpoint: str, status: int, body: bytes) -> dict[str, Any]:
    """Return the members of an answer, in which `active` is a boolean. Raises FetchError."""
    try:
        answer = load_document(body)
    except ValueError as error:
        if status == 200:  # noqa: PLR2004
            raise FetchError(f"{endpoint} answered no JSON object: {error}") from None
        answer = {}
    if status in (400, 401) and answer.get("error") in _ERRORS_OF_TOKENS:
        return {"active": False}
    if status != 200:  # noqa: PLR2004
        kind = RefusedTextError if status in _REFUSALS_OF_TEXTS else FetchError
        raise kind(f"{endpoint} answered {status}{_hint(status)}")
    if not isinstance(answer.get("active"), bool):
        raise FetchError(f"{endpoint} does not say whether the token is active")
    return answer


def _hint(status: int) -> str:
    if 300 <= status < 400:  # noqa: PLR2004
        return ", and redirects are not followed: give the address it leads to as endpoint="
    if status in (401, 403):
        return ": it does not accept the client_id with this secret or key"
    return ""
