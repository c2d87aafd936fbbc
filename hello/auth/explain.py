"""Why is a token refused? Every rule that it meets or breaks, and what to do, for its operator.

The verdict is the validator's own, and each rule is the one that the validator asks; what is here
are the words. Nothing of this is for a client: it hears no more than the contract says.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiohttp import hdrs, web

from . import header, jws
from .access_token import AccessToken
from .advice import TOO_LONG, Case, advice, missing
from .claims import ABSENT, Expected, is_numeric_date
from .credentials import bearer_token
from .errors import AuthError, InvalidTokenError, Reason
from .issuers import KnownIssuer
from .marks import TOKEN_VALIDATOR, mounted_routes
from .requirements import refuse_unless_met
from .validator import TokenValidator, accepted_algorithm

_MOST_SHOWN = 160  # characters of a value
_COLUMNS = 100  # that a sentence may take on a terminal
# aiohttp's max_field_size, unless a server was given another one. It bounds the value alone; only
# where aiohttp runs without its compiled parser the header's name counts too.
_LONGEST = 8190 - len("Bearer ")
_FORM = "a signed JWT: three parts of base64url, the first two of them JSON objects"
_STRAY = re.compile(r"[^A-Za-z0-9._~+/=-]")  # what neither a JWT nor an opaque token has in it
_OK, _FAILED, _NOT_CHECKED = "ok", "FAILED", "not checked"
_NOT_ANSWERED = "(not answered)"
_HOOK_UNAVAILABLE = (Reason.RESOLVER_UNAVAILABLE, Reason.REVOCATION_UNAVAILABLE)


class Finding(NamedTuple):
    """A rule, what it wants, what the token has, and "ok", "FAILED" or "not checked".

    For what was not checked, `wants` says why not. `reason` is the validator's; a token that is
    too long fails without one.
    """

    rule: str
    wants: str
    has: str
    status: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a token meets and breaks. As text, it is what an operator reads.

    `refusal` is what the validator raises, or None; `too_long` says that a server answers 400
    before it asks the validator; `advice` what to do about either, in words; `routes` what the
    token is told where more than its being valid is asked for: method, path, and what is missing,
    if anything.
    """

    findings: tuple[Finding, ...]
    refusal: AuthError | None
    advice: str
    routes: tuple[tuple[str, str, str], ...] = ()
    too_long: bool = False

    def __str__(self) -> str:
        decisive = next((finding for finding in self.findings if self._decides(finding)), None)
        lines = []
        for finding in self.findings:
            rule = f"{finding.status:12}{finding.rule:12}"
            if finding.status == _OK:
                # One line, so that those that are not ok stand out.
                lines.append(f"{rule}{finding.has} (wants {finding.wants})")
                continue
            if finding.status == _NOT_CHECKED:
                lines.append(f"{rule}{f'{finding.has} {finding.wants}'.lstrip()}")
                continue
            mark = "  <- this is why" if finding is decisive else ""
            lines.append(f"{rule}wants  {finding.wants}")
            lines.append(f"{'':24}has    {finding.has}{mark}")
        lines += ["", *self._verdict()]
        lines += [_wrapped(sentences) for sentences in self.advice.splitlines()]
        for method, path, lacking in self.routes:
            lines.append(_wrapped(f"{method} {path}: {lacking or 'it has what is asked for'}"))
        return "\n".join(lines)

    def _decides(self, finding: Finding) -> bool:
        # Not the first that failed: while an issuer is down, what is bad without a key decides.
        if self.too_long or self.refusal is None:
            return finding.status == _FAILED
        return finding.reason is self.refusal.reason

    def _verdict(self) -> list[str]:
        lines = []
        if self.too_long:
            lines.append("The server answers 400 before anything looks at the token.")
        if self.refusal is not None:
            status, message = self.refusal.status, self.refusal.message
            so = "A shorter one like it is refused" if self.too_long else "Refused"
            lines.append(f'{so}: {status} "{message}", reason {self.refusal.reason}.')
        return lines or ["The token is valid."]


async def explain(app: web.Application, token: str, *, host: str = "") -> Explanation:
    """Walk every rule with the keys and the settings of an application with `setup`.

    `host` is what a request would name, for a resolver of issuers. The token itself is in nothing
    that is returned. Raises RuntimeError for an application without `setup`.
    """
    if TOKEN_VALIDATOR not in app:
        raise RuntimeError(
            "this application has no validator: call auth.setup first, or give the sub-application "
            "that has one"
        )
    validator = app[TOKEN_VALIDATOR]
    refusal: AuthError | None = None
    access_token = None
    too_long = len(token) > _LONGEST
    try:
        access_token = await validator.validate(bearer_token([f"Bearer {token}"]), host=host)
    except AuthError as error:
        # The frames of a traceback hold the token.
        refusal = error.with_traceback(None)
        refusal.__cause__ = refusal.__context__ = None
    walk = _Walk(validator, token, host)
    await walk.through()
    findings = walk.findings
    if refusal is not None and refusal.reason in (Reason.REVOKED, Reason.REVOCATION_UNAVAILABLE):
        has = _NOT_ANSWERED if refusal.reason in _HOOK_UNAVAILABLE else "yes"
        findings.append(Finding("revoked", "no", has, _FAILED, refusal.reason))
    advised = [TOO_LONG] if too_long else []
    advised += [] if refusal is None else [advice(refusal.reason, walk.case)]
    return Explanation(
        findings=tuple(findings),
        refusal=refusal,
        advice="\n".join(advised),
        routes=() if access_token is None or too_long else await _routes(app, access_token),
        too_long=too_long,
    )


class _Walk:
    """Goes on where the validator would stop, as far as that makes sense."""

    def __init__(self, validator: TokenValidator, token: str, host: str) -> None:
        self._validator = validator
        self._token = token
        self._host = host
        self._now = validator.clock.time()
        self.findings: list[Finding] = []
        self.case = Case(
            parts=token.count(".") + 1 if token else 0,
            stray=_STRAY.search(token) is not None,
            now=self._now,
            strict=validator.strict,
            leeway=validator.leeway,
            trusted=tuple(known.trusted.issuer for known in validator.issuers.listed),
        )
        listed = validator.issuers.listed
        # Where a token's own issuer is not trusted, this one's rules are walked all the same: what
        # else is wrong with it is worth knowing.
        self._presumed = listed[0] if len(listed) == 1 else None
        self._compare_with(self._presumed)

    async def through(self) -> None:
        status = _FAILED if len(self._token) > _LONGEST else _OK
        wants = f"at most {_LONGEST} bytes, which a header can hold"
        self.findings.append(Finding("size", wants, f"{len(self._token)} bytes", status))
        try:
            parsed = jws.parse(bearer_token([f"Bearer {self._token}"]))
        except AuthError as refusal:
            self._note("form", _FORM, self._parts(), refusal.reason)
            return
        self._note("form", _FORM, "3 parts", None)
        self.case = self.case._replace(header=parsed.header, claims=parsed.claims)
        for rule in header.STRICT_RULES if self._validator.strict else header.RULES:
            value = parsed.header.get(rule.name, ABSENT)
            passed = value is ABSENT and rule.optional
            self._note(rule.name, rule.wants, _shown(value), None if passed else rule.broken(value))
        known = await self._issuer(parsed.claims.get("iss", ABSENT))
        await self._signature(parsed, known)
        known = known or self._presumed
        if known is not None:
            self._claims(parsed.claims, self._validator.expected(known))

    def _compare_with(self, known: KnownIssuer | None) -> None:
        if known is not None:
            self.case = self.case._replace(
                audience=tuple(sorted(known.audience)), algorithms=tuple(sorted(known.algorithms))
            )

    async def _issuer(self, iss: Any) -> KnownIssuer | None:
        wants = " or ".join(self.case.trusted) or "an issuer that the resolver knows"
        try:
            known = await self._validator.issuers.find(iss, self._host)
        except AuthError as refusal:
            unanswered = f" {_NOT_ANSWERED}" if refusal.reason in _HOOK_UNAVAILABLE else ""
            self._note("iss", wants, f"{_shown(iss)}{unanswered}", refusal.reason)
            return None
        self._note("iss", wants, _shown(iss), None)
        self._compare_with(known)
        return known

    async def _signature(self, parsed: jws.Token, known: KnownIssuer | None) -> None:
        kid = _shown(parsed.header.get("kid", ABSENT))
        alg = _shown(parsed.header.get("alg", ABSENT))
        if known is None:
            self._skip("alg", alg, "no trusted issuer was found")
            self._skip("key", kid, "no trusted issuer was found")
            self._skip("signature", "", "there is no key")
            return
        wants = " or ".join(sorted(known.algorithms))
        try:
            algorithm = accepted_algorithm(parsed.header, known)
        except InvalidTokenError as refusal:
            self._note("alg", wants, alg, refusal.reason)
            self._skip("key", kid, "the algorithm is not accepted")
            self._skip("signature", "", "there is no key")
            return
        self._note("alg", wants, alg, None)
        wants = f"a key of the issuer's that this kid names and that fits {algorithm}"
        try:
            name = parsed.header.get("kid")
            key = await known.keys.find(name if isinstance(name, str) else None, algorithm)
        except AuthError as refusal:
            kids = ", ".join(sorted(_shown(name or ABSENT) for name in known.keys.kids))
            self.case = self.case._replace(kids=kids)
            # During an outage those at hand, if any, are too old to say what the issuer has.
            unavailable = refusal.reason is Reason.KEYS_UNAVAILABLE
            keys = "keys cannot be had" if unavailable else f"keys are {kids or 'none'}"
            self._note("key", wants, f"{kid}; the issuer's {keys}", refusal.reason)
            self._skip("signature", "", "there is no key")
            return
        self._note("key", wants, kid, None)
        good = key.verifies(parsed.signature, parsed.signing_input, algorithm)
        has = "one of that key" if good else "one of another key, or of another text"
        self._note("signature", "that key's", has, None if good else Reason.SIGNATURE)

    def _claims(self, claims: Mapping[str, Any], expected: Expected) -> None:
        as_configured = {"aud": " or ".join(sorted(expected.audience))}
        if expected.max_age is not None:
            as_configured["iat"] = f"a time not in the future, at most {expected.max_age} s ago"
        for name, broken, wants, optional in expected.rules:
            value = claims.get(name, ABSENT)
            passed = value is ABSENT and optional
            # Once: where a claim is required, a second rule asks no more than that it is there.
            in_words = as_configured.pop(name, wants)
            times = name in ("exp", "nbf", "iat")
            has = self._when(value) if times else _shown(value)
            reason = None if passed else broken(value, expected, self._now)
            self._note(name, in_words, has, reason)

    def _parts(self) -> str:
        parts = self.case.parts
        in_words = {0: "nothing", 1: "1 part", 3: "3 parts, not all of which can be read"}
        return in_words.get(parts, f"{parts} parts")

    def _when(self, value: Any) -> str:
        if value is ABSENT or not is_numeric_date(value):
            return _shown(value)
        seconds = value - self._now
        ago = f"{abs(seconds):.0f} s ago" if seconds <= 0 else f"in {seconds:.0f} s"
        try:
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC, {ago}"
        except (ValueError, OverflowError, OSError):
            return f"{value}, {ago}"

    def _note(self, rule: str, wants: str, has: str, reason: Reason | None) -> None:
        status = _OK if reason is None else _FAILED
        self.findings.append(Finding(rule, wants, has, status, reason))

    def _skip(self, rule: str, has: str, why: str) -> None:
        self.findings.append(Finding(rule, f"({why})", has, _NOT_CHECKED))


def _wrapped(text: str) -> str:
    # Never within a word: an address or a name can be copied from what is shown.
    return textwrap.fill(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)


def _shown(value: Any) -> str:
    """Return a value on one line, as JSON in ASCII: a terminal gets no control character."""
    if value is ABSENT:
        return "(absent)"
    text = json.dumps(value).replace("\x7f", "\\u007f")
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


async def _routes(app: web.Application, token: AccessToken) -> tuple[tuple[str, str, str], ...]:
    """Return what the routes that ask for more than a valid token would tell this one."""
    told = []
    validator = app[TOKEN_VALIDATOR]
    for mounted in mounted_routes(app):
        asked = mounted.asked
        open_to_all = asked.opened is not None and not asked.requirements
        if open_to_all or mounted.method == hdrs.METH_HEAD:
            continue
        if any(TOKEN_VALIDATOR in other for other in mounted.apps if other is not app):
            # Even where any valid token will do: this one's being valid here says nothing there.
            told.append((mounted.method, mounted.path, "protected by another validator"))
            continue
        lacking = []
        for requirement in asked.requirements:
            try:
                await refuse_unless_met([requirement], token, validator)
            except AuthError as refusal:
                lacking.append(
                    f'{refusal.status} "{refusal.message}", reason {refusal.reason}. '
                    + missing(refusal.reason, requirement, token)
                )
        if asked.requirements:
            told.append((mounted.method, mounted.path, " ".join(lacking)))
    return tuple(told)
