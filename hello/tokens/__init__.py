"""Is an access token good, and what does it grant? The answer needs no web framework.

    validator = TokenValidator(
        issuer="https://tenant.eu.auth0.com/", audience="https://api.example.com")
    token = await validator.validate(present(request.headers.getlist))

`present` reads the Authorization header, `validate` returns what the token grants, and
`check_requirements` compares this with what a route requires. Each may raise an AuthError, which
has the `status`, the `message` and the `headers` of the answer. `hello.auth` is for aiohttp.
"""

from .access_token import AccessToken
from .errors import (
    AuthError,
    InsufficientAuthenticationError,
    InsufficientScopeError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    UnauthorizedError,
    UnavailableError,
)
from .issuers.resolved import Resolver
from .issuers.trusted import TrustedIssuer
from .keys.discovery import Fetch
from .keys.fetched import FetchError
from .keys.given import Keys
from .keys.jwk import ALGORITHMS
from .presented import Presented, present
from .requirements import Check, Names, Requirement, RequirementOptions, check_requirements
from .timing import Clock, Timing
from .validator import Revoked, TokenValidator, Validator

__all__ = [
    "ALGORITHMS",
    "AccessToken",
    "AuthError",
    "Check",
    "Clock",
    "Fetch",
    "FetchError",
    "InsufficientAuthenticationError",
    "InsufficientScopeError",
    "InvalidTokenError",
    "Keys",
    "KeysUnavailableError",
    "Names",
    "Presented",
    "Reason",
    "Requirement",
    "RequirementOptions",
    "Resolver",
    "Revoked",
    "Timing",
    "TokenValidator",
    "TrustedIssuer",
    "UnauthorizedError",
    "UnavailableError",
    "Validator",
    "check_requirements",
    "present",
]
