"""What belongs to one application with `setup`, and what does it ask of a token?"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from hello.tokens import (
    AccessToken,
    AuthError,
    Challenges,
    Presented,
    Validator,
    check_requirements,
)
from hello.tokens.hooks import Listeners
from hello.tokens.requirements.checking import sufficient_scopes

from .answers import Refuse
from .decisions.audit import Audit, AuditCounts
from .decisions.decision import VALIDATED, Decision, decision_on
from .decisions.refusal_log import RefusalLog
from .marks import POLICY, Policy
from .reading.awaiting import is_handshake
from .reading.body import ask_check
from .reading.certificates import ClientCertificate
from .reading.request import is_by_dpop, presented_by


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Protection:
    """The arguments of `setup`, the log of refusals, and a cache of policies."""

    validator: Validator
    header: str
    refuse: Refuse | None
    public_url: str | None
    client_certificate: ClientCertificate
    challenges: Challenges
    observers: Listeners[Decision]
    audit: Audit | None
    refusal_log: RefusalLog
    policies: dict[object, Policy] = field(default_factory=dict)  # by route, method, applications

    @property
    def basis(self) -> tuple[object, ...]:
        """What else decides whether a token is valid. Applications with equal ones agree."""
        return self.validator, self.header, self.public_url, self.client_certificate

    def presented_by(self, request: web.Request, host: str) -> Presented:
        """Return what a request presents. Raises UnauthorizedError and InvalidTokenError."""
        return presented_by(
            request,
            host,
            self.header,
            dpop=bool(self.challenges.proof_algorithms),
            public_url=self.public_url,
            client_certificate=self.client_certificate,
            subprotocol="subprotocol" in request[POLICY].also_from and is_handshake(request),
        )

    async def validate(self, presented: Presented) -> AccessToken:
        """Return what a valid token grants. Raises AuthError for every other token."""
        validated = await self.validator.validate(presented)
        if not isinstance(validated, AccessToken):
            raise TypeError(
                f"the validator returned {type(validated).__name__}, not an AccessToken"
            )
        return validated

    async def require(self, request: web.Request, token: AccessToken) -> None:
        """Raise AuthError unless a valid token meets what the route of a request requires.

        The token is noted first, so that the log knows the subject of a refused request.
        """
        request[VALIDATED] = token
        requirements = request[POLICY].requirements
        if requirements:
            timing = self.validator.timing
            await check_requirements(
                requirements, token, timing, request=request, ask_check=ask_check
            )

    def challenges_to(self, request: web.Request) -> Challenges:
        """Return what the answer to a refused request says about tokens."""
        policy, token = request.get(POLICY), request.get(VALIDATED)
        scopes: tuple[str, ...] = ()
        if policy is not None:  # aiohttp's own 404 or 405 has none
            held = frozenset[str]() if token is None else token.scopes
            scopes = sufficient_scopes(policy.requirements, held)
        return self.challenges._replace(
            by_dpop=is_by_dpop(request, self.header),
            resource_metadata=metadata_url_of(request.match_info.apps),
            scopes=scopes,
        )

    def note(self, request: web.Request, refusal: AuthError, *, handled: bool) -> None:
        """Write a refusal into the log, and tell the observers. `handled`: the handler has run."""
        self.refusal_log.note(request, refusal, handled=handled)
        self.tell(request, refusal)

    def tell(self, request: web.Request, refusal: AuthError | None) -> None:
        """Tell the observers, if there are any, what was decided about a request."""
        if self.observers:
            self.observers.tell(decision_on(request, refusal, self.validator.timing.clock))


PROTECTION = web.AppKey("PROTECTION", Protection)
"""The key for what belongs to an application with `setup`."""


def metadata_url_of(apps: Sequence[web.Application]) -> str | None:
    """Return where the metadata of a resource is. `apps` are around a route, the outermost first.

    An application and one in it may be two resources. Then it is that of the inner one.
    """
    inwards = [app[PROTECTION].challenges.resource_metadata for app in apps if PROTECTION in app]
    return next((url for url in reversed(inwards) if url is not None), None)


def audit_counts(app: web.Application) -> AuditCounts:
    """Return what has become of the decisions for `on_decision`, all 0 without such a function.

    Raises KeyError for an application without `setup`.
    """
    audit = app[PROTECTION].audit
    return AuditCounts() if audit is None else audit.counts


def refusal_log_of(request: web.Request) -> RefusalLog | None:
    """Return the log that a request belongs to, or None if no application has a `setup`."""
    apps = request.match_info.apps
    return next((app[PROTECTION].refusal_log for app in apps if PROTECTION in app), None)
