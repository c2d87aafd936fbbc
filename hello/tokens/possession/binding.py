"""Did the sender prove to have the key that a token is bound to (RFC 7800 §3)?"""

from collections.abc import Mapping
from typing import Any

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import InvalidTokenError, Reason, UnauthorizedError
from hello.tokens.presented import DPOP, Presented
from hello.tokens.timing import Clock

from .dpop import DPoP


async def check_binding(
    dpop: DPoP | None,
    presented: Presented,
    token: AccessToken,
    confirmation: Mapping[str, Any] | None,
    clock: Clock,
) -> None:
    """Raise AuthError unless everything that a valid token is bound to was proved.

    `confirmation` is its `cnf`, or None.
    """
    unproved = set(confirmation or ())
    if presented.scheme == DPOP:
        if dpop is None:
            raise UnauthorizedError
        await dpop.check(presented, token, (confirmation or {}).get("jkt"), clock.time())
        unproved.discard("jkt")
    elif dpop is not None and dpop.required and confirmation is None:
        raise InvalidTokenError(Reason.BEARER, subject=token.subject)
    if unproved:
        # Sent as a bearer token, or bound in a way that nothing here can verify.
        raise InvalidTokenError(Reason.BOUND, subject=token.subject)
