"""Explanations of refusals, each looked at for what it must not hold, and read as a machine can."""

from aiohttp import web

from hello import auth
from hello.auth import Explanation, Finding, TokenValidator

THE_REASON = "<-"  # marks the one line that decided


def app_with(validator: TokenValidator) -> web.Application:
    app = web.Application()
    auth.setup(app, validator)
    return app


async def explained(validator: TokenValidator, token: str) -> Explanation:
    explanation = await auth.explain(app_with(validator), token)
    check_that_nothing_leaks(explanation, token)
    return explanation


def check_that_nothing_leaks(explanation: Explanation, token: str) -> None:
    text = str(explanation)
    assert text.isascii()
    assert all(character.isprintable() or character == "\n" for character in text)
    for part in token.split("."):
        assert len(part) < 20 or part not in text
    refusal = explanation.refusal
    if refusal is not None:
        # The frames of each hold the token.
        held = (refusal.__traceback__, refusal.__cause__, refusal.__context__)
        assert held == (None, None, None)


def found(explanation: Explanation, rule: str) -> Finding:
    """What was found out about a rule; of several findings, the first."""
    return next(finding for finding in explanation.findings if finding.rule == rule)


def statuses(explanation: Explanation) -> dict[str, str]:
    """The statuses of all rules, in their order."""
    return {finding.rule: finding.status for finding in explanation.findings}


def decisive(explanation: Explanation) -> str:
    """The rule that the text marks as the one that decided."""
    lines = str(explanation).splitlines()
    [marked] = [number for number, line in enumerate(lines) if THE_REASON in line]
    while lines[marked].startswith(" "):  # what a rule wants and what a token has is on two lines
        marked -= 1
    status, rule, *_ = lines[marked].split()
    assert status == "FAILED"
    return rule


def in_one_line(text: object) -> str:
    return " ".join(str(text).split())
