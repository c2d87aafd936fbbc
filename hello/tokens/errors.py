"""Why is a request refused, and what may the client be told about it?

A refusal is an exception with all that an answer needs (status, message, headers) and all that the
log needs (a reason, and the subject of a verified token). Nobody changes it after it was made.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Self

from .challenges import Challenges, in_order


class Reason(StrEnum):
    """Why a request was refused. It is for the log and never for the client. The list is closed."""

    # 401: there is no token, or the token is not valid.
    NO_CREDENTIALS = "no_credentials"  # no bearer token was sent
    SEVERAL_CREDENTIALS = "several_credentials"  # more than one header, or more than one place
    MALFORMED = "malformed"  # not three parts of base64url with JSON objects: opaque, JWE, cut off
    HEADER = "header"  # kid is not a string
    ALGORITHM = "algorithm"  # alg is not one of those accepted
    TYPE = "type"  # typ says that this is not an access token
    CRITICAL = "critical"  # crit or b64: extensions, and this API understands none
    ISSUER = "issuer"  # iss is not trusted
    UNKNOWN_KEY = "unknown_key"  # the issuer has no key with this kid
    UNFIT_KEY = "unfit_key"  # no key fits kid and alg, or more than one does
    SIGNATURE = "signature"  # the token was changed or forged
    AUDIENCE = "audience"  # aud names another API, or none
    EXPIRED = "expired"  # exp is past
    EXPIRY = "expiry"  # exp is missing or is not a number
    NOT_YET_VALID = "not_yet_valid"  # nbf is in the future
    ISSUED_AT = "issued_at"  # iat is in the future
    TOO_OLD = "too_old"  # iat is longer ago than max_age allows
    CLAIM_TYPE = "claim_type"  # a claim has the wrong type
    MISSING_CLAIM = "missing_claim"  # a required claim is not there
    BOUND = "bound"  # cnf: the token is bound to a key, and no proof of that key was sent
    UNBOUND = "unbound"  # it was sent by the scheme DPoP, but it is bound to no key
    BEARER = "bearer"  # it is bound to no key, and this API accepts only bound tokens
    PROOF = "proof"  # the DPoP proof is missing, or fails a check
    NONCE = "nonce"  # the DPoP proof has no nonce of this API, or an old one
    REPLAYED = "replayed"  # the DPoP proof was sent before
    INACTIVE = "inactive"  # its issuer says that it is expired, revoked or unknown (RFC 7662)
    REVOKED = "revoked"  # the application's own hook says so
    SUBJECT = "subject"  # a live connection: the new token is for another subject, issuer or key
    # 403: the token is valid, but that is not enough. (For a weak login, the status is 401.)
    SCOPE = "scope"  # a scope is missing
    PERMISSIONS = "permissions"  # a permission is missing
    CLAIM = "claim"  # a claim does not have the value that the route requires
    CHECK = "check"  # the application's own check refused it, perhaps with 404, or failed
    AUTHENTICATION = "authentication"  # the login was too weak or is too long ago
    ORIGIN = "origin"  # a WebSocket: a page of another site opens it
    BODY = "body"  # a check cannot read the body, because of the client: 400, 408, 413
    # 503: it is unknown at the moment whether the token is valid.
    KEYS_UNAVAILABLE = "keys_unavailable"  # the issuer's keys cannot be fetched
    INTROSPECTION_UNAVAILABLE = "introspection_unavailable"  # the issuer cannot be asked
    REPLAY_UNAVAILABLE = "replay_unavailable"  # it is unknown whether a proof is new
    RESOLVER_UNAVAILABLE = "resolver_unavailable"  # the application's resolver failed
    REVOCATION_UNAVAILABLE = "revocation_unavailable"  # the application's revocation hook failed


# A challenge has one of these phrases. No phrase is ever made from a token or from an exception.
_DESCRIPTIONS = {
    Reason.EXPIRED: "The access token expired",
    Reason.NOT_YET_VALID: "The access token is not valid yet",
    Reason.NONCE: "The proof needs a nonce of this API",
    Reason.SEVERAL_CREDENTIALS: "Credentials were sent more than once",
    Reason.SUBJECT: "The new access token is not one of the same subject",
}


class AuthError(Exception):
    """A refusal.

    `subject` is the `sub` of a token whose signature was verified, and None for any other token.
    `parameters` are the challenge's, besides its realm (RFC 6750 §3), and `detail` is for the log.
    """

    status: int
    message: str

    def __init__(
        self,
        reason: Reason,
        *,
        subject: str | None = None,
        detail: str | None = None,
        **parameters: str,
    ) -> None:
        super().__init__(str(reason))
        self.reason: Final = reason
        self.subject: Final = subject
        self.detail: Final = detail
        self.parameters: Final = {name: value for name, value in parameters.items() if value}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the answer needs because of this refusal, if DPoP is not accepted."""
        return self.headers_with(Challenges())

    def headers_with(self, challenges: Challenges) -> dict[str, str]:
        """Return the headers of the answer, with the challenges of an API."""
        return {"WWW-Authenticate": challenges.of(self.parameters)}

    def without_traceback(self) -> Self:
        """Return an equal refusal without a traceback, whose frames would contain the token."""
        copy = type(self).__new__(type(self), *self.args)
        vars(copy).update(vars(self))
        return copy


class UnauthorizedError(AuthError):
    """No bearer token was sent.

    RFC 6750 §3.1: a request that lacks any authentication information gets no error code.
    """

    status = 401
    message = "Requires authentication"

    def __init__(self, *, detail: str | None = None) -> None:
        super().__init__(Reason.NO_CREDENTIALS, detail=detail)


class InvalidTokenError(AuthError):
    """The token is "expired, revoked, malformed, or invalid for other reasons" (RFC 6750 §3.1)."""

    status = 401
    message = "Bad credentials"

    def __init__(
        self, reason: Reason, *, subject: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(
            reason,
            subject=subject,
            detail=detail,
            error="invalid_token",
            error_description=_DESCRIPTIONS.get(reason, "The access token is invalid"),
        )


class InvalidProofError(AuthError):
    """The DPoP proof is missing or not valid (RFC 9449 §7.1), or lacks a nonce (§9).

    `nonce` is the one that the next proof needs.
    """

    status = 401
    message = "Bad credentials"

    def __init__(
        self,
        reason: Reason,
        *,
        subject: str | None = None,
        detail: str | None = None,
        nonce: str | None = None,
    ) -> None:
        self.nonce: Final = nonce
        super().__init__(
            reason,
            subject=subject,
            detail=detail,
            error="invalid_dpop_proof" if nonce is None else "use_dpop_nonce",
            error_description=_DESCRIPTIONS.get(reason, "The DPoP proof is invalid"),
        )

    def headers_with(self, challenges: Challenges) -> dict[str, str]:
        """Return the headers of the answer, with the next nonce if one is needed."""
        nonce = {} if self.nonce is None else {"DPoP-Nonce": self.nonce}
        return super().headers_with(challenges) | nonce


def untrusted(issuer: object) -> InvalidTokenError:
    """Return the refusal of a token whose `iss` is not trusted. The log has the start of it."""
    return InvalidTokenError(Reason.ISSUER, detail=f"iss={ascii(issuer)[:100]}")


class InsufficientScopeError(AuthError):
    """The token is valid, but it grants too little (RFC 6750 §3.1).

    `scope` names the scopes that would be enough, as a collection or separated by spaces. A
    challenge names them after those that the route asks for. It names no permissions.
    """

    status = 403
    message = "Permission denied"

    def __init__(
        self, reason: Reason, *, scope: Collection[str] = (), subject: str | None = None
    ) -> None:
        names = in_order(scope.split() if isinstance(scope, str) else scope)
        self.scope: Final = frozenset(names)
        super().__init__(
            reason,
            subject=subject,
            error="insufficient_scope",
            error_description="The access token lacks what this resource requires",
            scope=" ".join(names),
        )


class InsufficientAuthenticationError(AuthError):
    """The person's login was too weak or is too long ago (RFC 9470 §3).

    `acr_values` and `max_age` (seconds) are what the client has to ask the issuer for.
    """

    status = 401
    message = "Requires authentication"

    def __init__(
        self,
        *,
        acr_values: Collection[str] = (),
        max_age: int | None = None,
        subject: str | None = None,
    ) -> None:
        self.acr_values: Final = tuple(acr_values)
        self.max_age: Final = max_age
        super().__init__(
            Reason.AUTHENTICATION,
            subject=subject,
            error="insufficient_user_authentication",
            error_description="A stronger or more recent login is required",
            acr_values=" ".join(acr_values),
            max_age="" if max_age is None else str(max_age),
        )


class UnavailableError(AuthError):
    """It is unknown at the moment whether the token is valid. The sender is not to blame for that.

    `retry_after` is the time until the next attempt, in whole seconds (RFC 9110 §10.2.3).
    """

    status = 503
    message = "Unable to verify credentials"

    def __init__(
        self,
        reason: Reason,
        *,
        retry_after: int = 1,
        subject: str | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(reason, subject=subject, detail=detail)
        self.retry_after: Final = retry_after

    def headers_with(self, _challenges: Challenges) -> dict[str, str]:
        """Return Retry-After. There is no challenge, because another token would not help."""
        return {"Retry-After": str(self.retry_after)}


class KeysUnavailableError(UnavailableError):
    """The issuer's keys are needed, but they cannot be fetched."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(Reason.KEYS_UNAVAILABLE, retry_after=retry_after)
