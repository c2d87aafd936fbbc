"""What can be refused, and what does the client get to hear of it?

Each refusal carries all that an answer needs: status, message, challenge, headers; and what the
log needs: a reason, and the token's subject where the token was verified.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a request was refused: for the log and never for the client. The list is closed."""

    # 401: no token, or one that is not valid.
    NO_CREDENTIALS = "no_credentials"  # no bearer token was sent
    SEVERAL_CREDENTIALS = "several_credentials"  # more than one Authorization header
    MALFORMED = "malformed"  # not three parts of base64url with JSON objects: opaque, JWE, cut off
    HEADER = "header"  # kid is not a string
    ALGORITHM = "algorithm"  # alg is not among those accepted
    TYPE = "type"  # typ says that it is no access token
    CRITICAL = "critical"  # crit or b64: an extension that nobody here understands
    ISSUER = "issuer"  # iss is not trusted
    UNKNOWN_KEY = "unknown_key"  # the issuer has no key of this kid
    UNFIT_KEY = "unfit_key"  # no key, or more than one, fits kid and alg
    SIGNATURE = "signature"  # changed or forged
    AUDIENCE = "audience"  # aud is another API, or none
    EXPIRED = "expired"  # exp is past
    EXPIRY = "expiry"  # exp is missing, or no number
    NOT_YET_VALID = "not_yet_valid"  # nbf is in the future
    ISSUED_AT = "issued_at"  # iat is in the future
    TOO_OLD = "too_old"  # iat is longer ago than max_age
    CLAIM_TYPE = "claim_type"  # a claim is of the wrong type
    MISSING_CLAIM = "missing_claim"  # a required claim is not there
    BOUND = "bound"  # cnf: the token is bound to a key, and nobody has proved to have it
    REVOKED = "revoked"  # the application's own hook says so
    # 403: valid, and not enough. Only a login that is not enough is a 401.
    SCOPE = "scope"  # valid, and lacks a scope
    PERMISSIONS = "permissions"  # valid, and lacks a permission
    CLAIM = "claim"  # valid, and a claim is not what the route asks for
    CHECK = "check"  # valid, and the application's own check says no, or did not answer
    AUTHENTICATION = "authentication"  # valid, and the login was too weak or too long ago
    # 503: nobody can say now. A hook has not answered where it raised, took too long, or returned
    # what is no answer.
    KEYS_UNAVAILABLE = "keys_unavailable"  # the issuer's keys cannot be had
    RESOLVER_UNAVAILABLE = "resolver_unavailable"  # the application's resolver did not answer
    REVOCATION_UNAVAILABLE = "revocation_unavailable"  # the application's hook did not answer


# The only phrases that a challenge ever carries: none is made from a token or an exception.
_DESCRIPTIONS = {
    Reason.EXPIRED: "The access token expired",
    Reason.NOT_YET_VALID: "The access token is not valid yet",
    Reason.SEVERAL_CREDENTIALS: "More than one Authorization header was sent",
}
_INVALID = "The access token is invalid"


class AuthError(Exception):
    """A refusal.

    `subject` is the token's `sub` once the signature was verified, else None; `resource_metadata`
    the URL of RFC 9728 §5.1 where the application has one.
    """

    status: ClassVar[int]
    message: ClassVar[str]

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.subject: str | None = None
        self.resource_metadata: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        """What the challenge says beyond its realm (RFC 6750 §3)."""
        return {}

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer that are this refusal's own."""
        parameters = {"realm": "api", **self.parameters}
        if self.resource_metadata is not None:
            parameters["resource_metadata"] = self.resource_metadata
        quoted = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        return {"WWW-Authenticate": f"Bearer {quoted}"}


class UnauthorizedError(AuthError):
    """No bearer token was sent.

    RFC 6750 §3.1: a request that lacks any authentication information gets no error code.
    """

    status = 401
    message = "Requires authentication"

    def __init__(self) -> None:
        super().__init__(Reason.NO_CREDENTIALS)


class InvalidTokenError(AuthError):
    """The token is "expired, revoked, malformed, or invalid for other reasons" (RFC 6750 §3.1)."""

    status = 401
    message = "Bad credentials"

    @property
    def parameters(self) -> dict[str, str]:  # noqa: D102
        description = _DESCRIPTIONS.get(self.reason, _INVALID)
        return {"error": "invalid_token", "error_description": description}


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
    def parameters(self) -> dict[str, str]:  # noqa: D102
        return {
            "error": "insufficient_scope",
            "error_description": "The access token lacks what this resource requires",
            **({"scope": " ".join(sorted(self.scope))} if self.scope else {}),
        }


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
    def parameters(self) -> dict[str, str]:  # noqa: D102
        return {
            "error": "insufficient_user_authentication",
            "error_description": "A stronger or more recent login is required",
            **({"acr_values": " ".join(self.acr_values)} if self.acr_values else {}),
            **({} if self.max_age is None else {"max_age": str(self.max_age)}),
        }


class UnavailableError(AuthError):
    """Nobody can say now whether the token is good: not its sender's fault, so no challenge.

    `retry_after`: whole seconds until the next attempt (RFC 9110 §10.2.3).
    """

    status = 503
    message = "Unable to verify credentials"

    def __init__(self, reason: Reason, *, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:  # noqa: D102
        return {"Retry-After": str(self.retry_after)}


class KeysUnavailableError(UnavailableError):
    """The issuer's keys are needed, and cannot be had."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(Reason.KEYS_UNAVAILABLE, retry_after=retry_after)
