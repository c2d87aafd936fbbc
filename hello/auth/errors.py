"""What can be refused, and what does the client get to hear of it?

Each refusal carries all that an answer needs: status, message, challenge, headers; and what the
log needs: a reason, and the token's subject where the token was verified.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a request was refused: for the log and never for the client. The list is closed."""

    NO_CREDENTIALS = "no_credentials"
    SEVERAL_CREDENTIALS = "several_credentials"
    MALFORMED = "malformed"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    CRITICAL = "critical"
    ISSUER = "issuer"
    UNKNOWN_KEY = "unknown_key"
    UNFIT_KEY = "unfit_key"
    SIGNATURE = "signature"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    EXPIRY = "expiry"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_AT = "issued_at"
    TOO_OLD = "too_old"
    CLAIM_TYPE = "claim_type"
    MISSING_CLAIM = "missing_claim"
    BOUND = "bound"
    SCOPE = "scope"
    PERMISSIONS = "permissions"
    CLAIM = "claim"
    CHECK = "check"
    AUTHENTICATION = "authentication"
    KEYS_UNAVAILABLE = "keys_unavailable"


# The only phrases that a challenge ever carries: none is made from a token or an exception.
_DESCRIPTIONS = {
    Reason.EXPIRED: "The access token expired",
    Reason.NOT_YET_VALID: "The access token is not valid yet",
    Reason.SEVERAL_CREDENTIALS: "More than one Authorization header was sent",
}
_INVALID = "The access token is invalid"


class AuthError(Exception):
    """A refusal. `subject` is the token's `sub` once the signature was verified, else None."""

    status: ClassVar[int]
    message: ClassVar[str]

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.subject: str | None = None

    @property
    def challenge(self) -> str | None:
        """The value of `WWW-Authenticate` (RFC 6750 §3), or None where none belongs."""
        return None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer that are this refusal's own."""
        challenge = self.challenge
        return {} if challenge is None else {"WWW-Authenticate": challenge}


class UnauthorizedError(AuthError):
    """No bearer token was sent.

    RFC 6750 §3.1: a request that lacks any authentication information gets no error code.
    """

    status = 401
    message = "Requires authentication"

    def __init__(self) -> None:
        super().__init__(Reason.NO_CREDENTIALS)

    @property
    def challenge(self) -> str:  # noqa: D102
        return _challenge()


class InvalidTokenError(AuthError):
    """The token is "expired, revoked, malformed, or invalid for other reasons" (RFC 6750 §3.1)."""

    status = 401
    message = "Bad credentials"

    @property
    def challenge(self) -> str:  # noqa: D102
        description = _DESCRIPTIONS.get(self.reason, _INVALID)
        return _challenge(error="invalid_token", error_description=description)


class InsufficientScopeError(AuthError):
    """The token is valid and does not reach this far (RFC 6750 §3.1).

    `scope`: the scopes that would do, for the challenge; permissions are not scopes and stay out.
    """

    status = 403
    message = "Permission denied"

    def __init__(self, reason: Reason, *, scope: Collection[str] = ()) -> None:
        super().__init__(reason)
        self.scope = frozenset(scope)

    @property
    def challenge(self) -> str:  # noqa: D102
        scope = {"scope": " ".join(sorted(self.scope))} if self.scope else {}
        return _challenge(
            error="insufficient_scope",
            error_description="The access token lacks what this resource requires",
            **scope,
        )


class InsufficientAuthenticationError(AuthError):
    """The person logged in too weakly, or too long ago, for this (RFC 9470 §3).

    `acr_values` and `max_age` (seconds) are what the client has to ask the issuer for.
    """

    status = 401
    message = "Requires authentication"

    def __init__(self, *, acr_values: Collection[str] = (), max_age: int | None = None) -> None:
        super().__init__(Reason.AUTHENTICATION)
        self.acr_values = tuple(acr_values)
        self.max_age = max_age

    @property
    def challenge(self) -> str:  # noqa: D102
        acr_values = {"acr_values": " ".join(self.acr_values)} if self.acr_values else {}
        max_age = {} if self.max_age is None else {"max_age": str(self.max_age)}
        return _challenge(
            error="insufficient_user_authentication",
            error_description="A stronger or more recent login is required",
            **acr_values,
            **max_age,
        )


class KeysUnavailableError(AuthError):
    """The issuer's keys cannot be had: nobody's fault who sent a token, so no challenge.

    `retry_after`: whole seconds until the next attempt (RFC 9110 §10.2.3).
    """

    status = 503
    message = "Unable to verify credentials"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(Reason.KEYS_UNAVAILABLE)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:  # noqa: D102
        return {"Retry-After": str(self.retry_after)}


def _challenge(**parameters: str) -> str:
    return ", ".join(
        ['Bearer realm="api"', *(f'{name}="{value}"' for name, value in parameters.items())]
    )
