"""What was found out about a token, and how is it shown to a person?"""

import json
from dataclasses import dataclass
from textwrap import TextWrapper
from typing import NamedTuple

from hello.tokens.errors import AuthError, Reason
from hello.tokens.jwt.rules import ABSENT

OK, FAILED, NOT_CHECKED = "ok", "FAILED", "not checked"

Routes = tuple[tuple[str, str, str], ...]
"""The method and the path of each route, and what a token lacks for it, which may be nothing."""

_COLUMNS = 100  # the width of a terminal
_MAX_SHOWN = 160  # characters of a value
_MAX_ROUTES = 10  # if there are more, those are left out for which a token is enough


class Finding(NamedTuple):
    """A rule, what it wants, what the token has, and "ok", "FAILED" or "not checked".

    If the rule was not checked, `wants` says why. `reason` is the validator's. Only the size fails
    without a reason.
    """

    rule: str
    wants: str
    has: str
    status: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which rules a token meets and which it breaks. `str` of it is the text for an operator.

    `refusal` is what the validator raises, or None. `too_long` says that the server answers 400
    before it asks the validator. If `limit_is_usual`, the server's own limit is unknown, and this
    is what aiohttp does unless it is told otherwise. `advice` says what to do about both, a line
    for each id in `advice_ids`, which are stable. `routes` are those that require more than a valid
    token.
    """

    findings: tuple[Finding, ...]
    refusal: AuthError | None
    advice: str
    advice_ids: tuple[str, ...] = ()
    routes: Routes = ()
    too_long: bool = False
    limit_is_usual: bool = False

    def __str__(self) -> str:
        decisive = next((finding for finding in self.findings if self._decides(finding)), None)
        lines = []
        for finding in self.findings:
            rule = f"{finding.status:12}{finding.rule.replace('proof.', '- '):12}"
            if finding.status == OK:
                # On one line, so that the others stand out.
                lines.append(f"{rule}{finding.has} (wants {finding.wants})")
            elif finding.status == NOT_CHECKED:
                lines.append(f"{rule}{f'{finding.has} {finding.wants}'.lstrip()}")
            else:
                mark = "  <- this is why" if finding is decisive else ""
                lines += [f"{rule}wants  {finding.wants}", f"{'':24}has    {finding.has}{mark}"]
        lines += ["", *self._verdict()]
        paragraphs = self.advice.splitlines()
        many = len(self.routes) > _MAX_ROUTES
        if many:
            enough = sum(not lacking for *_, lacking in self.routes)
            paragraphs.append(f"It has what is required for {enough} of {len(self.routes)} routes.")
        for method, path, lacking in self.routes:
            if lacking or not many:
                paragraphs.append(f"{method} {path}: {lacking or 'it has what is required'}")
        # Words are not divided, so that an address or a name can be copied.
        wrapper = TextWrapper(_COLUMNS, break_long_words=False, break_on_hyphens=False)
        return "\n".join([*lines, *map(wrapper.fill, paragraphs)])

    def _decides(self, finding: Finding) -> bool:
        # Not simply the first rule that failed: while the issuer is down, no key is found, but a
        # later rule may decide.
        if self.too_long and not self.limit_is_usual:
            return finding.status == FAILED
        return self.refusal is not None and finding.reason is self.refusal.reason

    def _verdict(self) -> list[str]:
        refused, valid = "Refused", ["The token is valid."]
        lines = []
        if self.too_long and self.limit_is_usual:
            lines = ["A server with aiohttp's usual limit answers 400, and does not look at it."]
            refused, valid = "With a higher limit: refused", ["With a higher limit, it is valid."]
        elif self.too_long:
            lines = ["The server answers 400 before anything looks at the token."]
            refused, valid = "A shorter one like it is refused", []
        if self.refusal is None:
            if any(finding.rule == "proof.jti" for finding in self.findings):
                lines.append("If the proof is for this request and was not sent before:")
            return lines + valid
        status, message = self.refusal.status, self.refusal.message
        return [*lines, f'{refused}: {status} "{message}", reason {self.refusal.reason}.']


def shown(value: object) -> str:
    """Return a value on one line, as JSON in ASCII, so that it has no control characters."""
    if value is ABSENT:
        return "(absent)"
    text = json.dumps(value).replace("\x7f", "\\u007f")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
