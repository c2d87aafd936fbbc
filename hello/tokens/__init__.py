"""Is an access token good, and what does it grant? The answer needs no web framework.

    validator = TokenValidator(
        issuer="https://tenant.eu.auth0.com/", audience="https://api.example.com")
    token = await validator.validate(present(request.headers.getlist))

`present` reads the Authorization header, `validate` returns what the token grants, and
`check_requirements` compares this with what a route requires. Each may raise an AuthError, which
has the `status`, the `message` and the `headers` of the answer. `hello.auth` is for aiohttp.
"""

from .access_token import AccessToken, Validator
from .challenges import Challenges
from .errors import (
    AuthError,
    InsufficientAuthenticationError,
    InsufficientScopeError,
    InvalidProofError,
    InvalidTokenError,
    KeysUnavailableError,
    Reason,
    UnauthorizedError,
    UnavailableError,
)
from .introspection.client import Introspection
from .issuers.resolved import Resolver
from .issuers.trusted import TrustedIssuer
from .keys.discovery import Fetch
from .keys.fetched import FetchError
from .keys.given import Keys
from .keys.jwk import ALGORITHMS
from .possession.dpop import DPoP
from .possession.nonces import Nonces
from .possession.redis_replay import RedisReplayStore
from .possession.replay import MemoryReplayStore, ReplayError, ReplayStore
from .presented import Presented, present
from .requirements.checking import check_requirements
from .requirements.requirement import Check, Names, Requirement, RequirementOptions
from .timing import Clock, Timing
from .validator import Revoked, TokenValidator

__all__ = [
    "ALGORITHMS",
    "AccessToken",
    "AuthError",
    "Challenges",
    "Check",
    "Clock",
    "DPoP",
    "Fetch",
    "FetchError",
    "InsufficientAuthenticationError",
    "InsufficientScopeError",
    "Introspection",
    "InvalidProofError",
    "InvalidTokenError",
    "Keys",
    "KeysUnavailableError",
    "MemoryReplayStore",
    "Names",
    "Nonces",
    "Presented",
    "Reason",
    "RedisReplayStore",
    "ReplayError",
    "ReplayStore",
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
