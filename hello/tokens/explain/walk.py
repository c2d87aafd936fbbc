"""Which rules does a token meet, and which does it break?

The validator itself gives the verdict, and its own tables give the rules. Here are only the order
of the rules and the words.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import AuthError, Reason
from hello.tokens.hosts import split_host
from hello.tokens.introspection.introspector import Introspector
from hello.tokens.issuers.trusted import TrustedIssuer
from hello.tokens.jwt.claim_rules import Expected
from hello.tokens.jwt.compact import UnverifiedToken, parse
from hello.tokens.jwt.rules import ABSENT, Rule
from hello.tokens.keys.signing_key import signer
from hello.tokens.presented import DPOP, present
from hello.tokens.timing import is_numeric_date
from hello.tokens.validator import TokenValidator

from .advice import ANY_TRUSTED, advice, diagnosis
from .case import Case
from .explanation import FAILED, NOT_CHECKED, OK, Explanation, Finding, Routes, shown
from .possession import Examined, Sent, examine
from .sentences import Advice, sentence
from .shapes import shape_of
from .times import in_seconds, unit_of

_ALONE = Sent()
_FORM = "a signed JWT: three parts of base64url, the first two of them JSON objects"
_NOT_ANSWERED = "(not answered)"


async def explain(
    validator: TokenValidator,
    token: str,
    *,
    host: str = "",
    sent: Sent = _ALONE,
    max_length: int | None = None,
    max_length_is_usual: bool = False,
    routes_for: Callable[[AccessToken], Awaitable[Routes]] | None = None,
) -> Explanation:
    """Check every rule with the keys and the settings of a validator.

    `host` is what a request would name, for a resolver of issuers. `sent` says how the token was
    sent, if that is known. `max_length` is the number of characters that a server allows a token to
    have. `max_length_is_usual` says that the server is unknown, and that it may allow more.
    `routes_for` is called with a valid token and returns the explanation's routes. Nothing that is
    returned contains the token's text.
    """
    too_long = max_length is not None and len(token) > max_length
    refusal: AuthError | None = None
    routes: Routes = ()
    examined = Examined(unproved=None if sent.by_dpop else Reason.BOUND)
    try:
        presented = present(lambda _name: [f"Bearer {token}"], host=host)
        # The binding is examined below. Here it counts as proved, so that all else is checked.
        presented = replace(presented, scheme=DPOP, certificate=lambda: None)
        verified = await validator.verified.verify(presented)
        granted, confirmation = verified.access_token, verified.confirmation
        now = validator.timing.clock.time()
        examined = examine(validator.dpop, sent, token, confirmation, now)
        if examined.refusal is not None:
            raise examined.refusal
        await validator.refuse_revoked(granted)
    except AuthError as error:
        refusal = error.without_traceback()
    else:
        if routes_for is not None and (not too_long or max_length_is_usual):
            routes = await routes_for(granted)
    walk = _Walk(validator, token, host, refusal)
    walk.case.binding = examined.variant
    walk.unproved = examined.unproved
    if max_length is not None:
        server = "a server of aiohttp takes unless it is told otherwise"
        wants = f"at most {max_length} bytes, which "
        wants += server if max_length_is_usual else "a header can hold"
        status = FAILED if too_long else OK
        walk.findings.append(Finding("size", wants, f"{len(token)} bytes", status))
    await walk.through()
    walk.findings += examined.findings
    if refusal is not None and refusal.reason in (Reason.REVOKED, Reason.REVOCATION_UNAVAILABLE):
        has = "yes" if refusal.reason is Reason.REVOKED else _NOT_ANSWERED
        walk.note("revoked", "no", has, refusal.reason)
    limit = "too_long.usual" if max_length_is_usual else "too_long.known"
    advised = [sentence(limit)] if too_long else []
    advised += [] if refusal is None else walk.advice(refusal)
    return Explanation(
        findings=tuple(walk.findings),
        refusal=refusal,
        advice="\n".join(each.text for each in advised),
        advice_ids=tuple(each.id for each in advised),
        routes=routes,
        too_long=too_long,
        limit_is_usual=max_length_is_usual,
    )


class _Walk:
    """Checks rule by rule, and goes on after the rule that the validator refuses the token for."""

    def __init__(
        self, validator: TokenValidator, token: str, host: str, refusal: AuthError | None
    ) -> None:
        self._validator = validator
        self._token = token
        self._host = host
        # The validator asks no issuer about some texts, so none is asked about them here either.
        self._unreadable = refusal is not None and refusal.reason is Reason.MALFORMED
        self.findings: list[Finding] = []
        self.unproved: Reason | None = None  # why a token that is bound is refused
        self.case = Case(
            shape=shape_of(token),
            now=validator.timing.clock.time(),
            strict=not any(rule.name == "typ" and rule.optional for rule in validator.header_rules),
            leeway=validator.timing.leeway,
            trusted=tuple(trusted.issuer for trusted in validator.issuers.listed),
            has_host=split_host(host) is not None,
            asked=validator.introspected is not None,
            proof_algorithms=validator.challenges.proof_algorithms,
            only_bound=not validator.challenges.bearer,
            detail=(refusal and refusal.detail) or "",
        )
        # If there is only one issuer, the claims are compared with what it says, even if the token
        # names another: the operator should know what else is wrong.
        listed = validator.issuers.listed
        self._presumed = listed[0] if len(listed) == 1 else None
        self._compare_with(self._presumed)

    async def through(self) -> None:
        try:
            parsed = parse(self._token)
        except ValueError:
            if self._token and self._validator.introspected is not None:
                await self._answer(*self._validator.introspected)
                return
            count = self._token.count(".") + 1
            parts = f"{count} part{'s' * (count > 1)}, and not all of that can be read"
            reason = Reason.MALFORMED if self._token else Reason.NO_CREDENTIALS
            self.note("form", _FORM, parts if self._token else "nothing", reason)
            return
        self.note("form", _FORM, "3 parts")
        self.case.header, self.case.claims = parsed.header, parsed.claims
        self.case.signature = parsed.signature
        iss = parsed.claims.get("iss", ABSENT)
        issuer, untrusted = await self._issuer(iss)
        types = frozenset[str]() if issuer is None else issuer.types
        for rule in self._validator.header_rules:
            has = shown(parsed.header.get(rule.name, ABSENT))
            self.note(rule.name, rule.wants, has, rule.broken_by(parsed.header, types))
        unanswered = f" {_NOT_ANSWERED}" if untrusted is Reason.RESOLVER_UNAVAILABLE else ""
        wants = " or ".join(self.case.trusted) or ANY_TRUSTED
        self.note("iss", wants, shown(iss) + unanswered, untrusted)
        await self._signature(parsed, issuer)
        issuer = issuer or self._presumed
        if issuer is not None:
            self._claims(parsed.claims, issuer, self._validator.rules_for(issuer))

    async def _answer(self, issuer: TrustedIssuer, introspector: Introspector) -> None:
        """Check what the issuer answers about a token that is no JWT."""
        self._compare_with(issuer)
        wants = f"{_FORM}; or an opaque token, about which the issuer is asked"
        if self._unreadable:
            self.note("form", wants, "neither of them", Reason.MALFORMED)
            return
        try:
            claims = await introspector.ask(self._token)
        except AuthError as refusal:
            self.note("form", wants, "an opaque token")
            has = "no" if refusal.reason is Reason.INACTIVE else _NOT_ANSWERED
            self.note("active", "yes, says the issuer", has, refusal.reason)
            return
        self.case.claims, self.case.answered = claims, True
        self.note("form", wants, "an opaque token")
        self.note("active", "yes, says the issuer", "yes")
        trusted = claims["iss"] == issuer.issuer
        self.note("iss", issuer.issuer, shown(claims["iss"]), None if trusted else Reason.ISSUER)
        self._claims(claims, issuer, self._validator.rules_for(issuer) + issuer.answer_rules)

    def _compare_with(self, issuer: TrustedIssuer | None) -> None:
        if issuer is not None:
            self.case.audience = tuple(sorted(issuer.audience))
            self.case.algorithms = tuple(sorted(issuer.algorithms))

    async def _issuer(self, iss: Any) -> tuple[TrustedIssuer | None, Reason | None]:
        """Return the issuer if it is trusted, or else the reason why it is not."""
        try:
            issuer = await self._validator.issuers.find(iss, self._host)
        except AuthError as refusal:
            return None, refusal.reason
        self._compare_with(issuer)
        self.case.issuer, self.case.keys_given = issuer.issuer, issuer.place is None
        self.case.jwks_uri = (issuer.place and issuer.place.jwks_uri) or ""
        return issuer, None

    async def _signature(self, parsed: UnverifiedToken, issuer: TrustedIssuer | None) -> None:
        algorithm = parsed.header.get("alg", ABSENT)
        name = parsed.key_name
        kid, alg = shown(name.kid or name.thumbprint or ABSENT), shown(algorithm)
        if issuer is None:
            self._skip("no trusted issuer was found", alg=alg, key=kid, signature="")
            return
        wants = " or ".join(sorted(issuer.algorithms))
        if not issuer.accepts(algorithm):
            self.note("alg", wants, alg, Reason.ALGORITHM)
            self._skip("the algorithm is not accepted", key=kid, signature="")
            return
        self.note("alg", wants, alg)
        wants = f"a key of the issuer that has this kid and fits {algorithm}"
        source = self._validator.issuers.keys_of(issuer, algorithm)
        try:
            keys = await source.find(name, algorithm)
        except AuthError as refusal:
            kids = ", ".join(sorted(shown(each or ABSENT) for each in source.kids))
            self.case.kids = kids
            # During an outage, the keys that were fetched last are too old to be listed.
            unavailable = refusal.reason is Reason.KEYS_UNAVAILABLE
            has = "keys cannot be fetched" if unavailable else f"keys are {kids or 'none'}"
            self.note("key", wants, f"{kid}; the issuer's {has}", refusal.reason)
            self._skip("there is no key", signature="")
            return
        self.note("key", wants, kid)
        good = signer(keys, parsed.signature, parsed.signing_input, algorithm) is not None
        has = "one of that key" if good else "one of another key, or of another text"
        has = has if parsed.signature else "none"
        self.note("signature", "that key's", has, None if good else Reason.SIGNATURE)

    def _claims(
        self, claims: Mapping[str, Any], issuer: TrustedIssuer, rules: Iterable[Rule[Expected]]
    ) -> None:
        expected = self._validator.expected(issuer)._replace(now=self.case.now)
        as_configured = {issuer.audience_claim: " or ".join(sorted(expected.audience))}
        self.case.max_age = expected.max_age
        if expected.max_age is not None:
            as_configured["iat"] = f"a time not in the future, at most {expected.max_age} s ago"
        for rule in rules:
            value = claims.get(rule.name, ABSENT)
            # Only for the first rule of a claim: a second one only requires its presence.
            wants = as_configured.pop(rule.name, rule.wants)
            has = self._when(value) if rule.name in ("exp", "nbf", "iat") else shown(value)
            reason = rule.broken_by(claims, expected)
            if rule.name == "cnf" and value is not ABSENT and reason is None and self.unproved:
                wants, reason = "that the sender proves to have the key", self.unproved
            self.note(rule.name, wants, has, reason)

    def _when(self, value: Any) -> str:
        if not is_numeric_date(value):
            return shown(value)
        if unit := unit_of(value):
            try:
                time = datetime.fromtimestamp(in_seconds(value), UTC)
            except (ValueError, OverflowError, OSError):
                return shown(value)
            return f"{value}, which is {time:%Y-%m-%d %H:%M:%S} UTC in {unit}"
        seconds = value - self.case.now
        ago = f"{abs(seconds):.0f} s ago" if seconds <= 0 else f"in {seconds:.0f} s"
        try:
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC, {ago}"
        except (ValueError, OverflowError, OSError):
            return f"{value}, {ago}"

    def advice(self, refusal: AuthError) -> list[Advice]:
        """Return what to do about a refusal, which the first finding with its reason decided."""
        reason = refusal.reason
        broken = [finding for finding in self.findings if finding.reason is reason]
        for finding in broken[:1]:
            self.case.rule, self.case.wants = finding.rule, finding.wants
        diagnosed = diagnosis(self.case) if reason is Reason.INACTIVE else []
        return [*diagnosed, advice(reason, self.case)]

    def note(self, rule: str, wants: str, has: str, reason: Reason | None = None) -> None:
        self.findings.append(Finding(rule, wants, has, OK if reason is None else FAILED, reason))

    def _skip(self, why: str, **rules: str) -> None:
        self.findings += [
            Finding(rule, f"({why})", has, NOT_CHECKED) for rule, has in rules.items()
        ]
