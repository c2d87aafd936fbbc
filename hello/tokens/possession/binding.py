"""Did the sender prove to have the key that a token is bound to (RFC 7800 §3)?"""

from collections.abc import Mapping
from typing import Any

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import InvalidTokenError, Reason, UnauthorizedError
from hello.tokens.presented import DPOP, Presented
from hello.tokens.timing import Timing

from .certificate import check_certificate
from .dpop import DPoP

BY_PROOF, BY_CERTIFICATE = "jkt", "x5t#S256"
"""Members of `cnf`: thumbprints of a key (RFC 9449 §6.1) and of a certificate (RFC 8705 §3.1)."""


async def check_binding(
    dpop: DPoP | None,
    presented: Presented,
    token: AccessToken,
    confirmation: Mapping[str, Any] | None,
    timing: Timing,
) -> None:
    """Raise AuthError unless everything that a valid token is bound to was proved.

    `confirmation` is its `cnf`, or None.
    """
    by_dpop = presented.scheme == DPOP
    if by_dpop and dpop is None:
        raise UnauthorizedError
    proof_is_missing = not by_dpop and dpop is not None and dpop.required
    if confirmation is None and not by_dpop and not proof_is_missing:
        return  # a bearer token
    bound_to = confirmation or {}
    if proof_is_missing and BY_PROOF not in bound_to:
        raise InvalidTokenError(Reason.BEARER, subject=token.subject)
    if not can_be_proved(presented, bound_to):
        raise InvalidTokenError(Reason.BOUND, subject=token.subject)
    if presented.certificate is not None and BY_CERTIFICATE in bound_to:
        thumbprint = bound_to[BY_CERTIFICATE]
        await check_certificate(presented.certificate, token, thumbprint, timing)
    if by_dpop and dpop is not None:
        # Last of all: a proof of a request that is refused for another reason stays unused.
        await dpop.check(presented, token, bound_to.get(BY_PROOF), timing.clock.time())


def can_be_proved(presented: Presented, confirmation: Mapping[str, Any]) -> bool:
    """Return whether a request has something to compare with each member of a token's `cnf`.

    It has nothing for a token that is bound to a key and sent as a bearer token, and nothing for a
    member that is unknown here.
    """
    comparable = set()
    if presented.scheme == DPOP:
        comparable.add(BY_PROOF)
    if presented.certificate is not None:
        comparable.add(BY_CERTIFICATE)
    return confirmation.keys() <= comparable
