"""Explanations of refusals, each looked at for what it must not hold."""

from aiohttp import web

from hello import auth
from hello.auth import Explanation, TokenValidator


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


def the_text(explanation: Explanation) -> str:
    """What an operator reads, with its lines in one."""
    return " ".join(str(explanation).split())
