"""What can a person at a terminal ask about an application, and what is printed?

The questions are why a token is refused and which routes are open. `python -m hello.auth` uses
this, and so do programs that make their application in another way.
"""

import asyncio
import re
import sys
from collections.abc import Mapping
from getpass import getpass

from aiohttp import web

from hello.tokens.explain import Explanation
from hello.tokens.jwt.strict_json import load_object

from .explaining import explain
from .marks import TOKEN_VALIDATOR
from .routes import routes

MAX_READ = 1 << 20  # bytes
_ERROR = re.compile(r"[ -~]{1,64}")  # an issuer's error that is safe to print
# People copy this together with a token: a header's name, the scheme, quotes.
# A scheme with a colon is no header: it is a mistake to be told of.
_BEFORE_TOKEN = re.compile(
    r"""((authorization["']?\s*:|(?!(bearer|dpop|basic|token|jwt)\b)[a-z][a-z0-9-]*["']?:\s)\s*["']?)?"""
    r"""(bearer\s+)?["']?""",
    re.IGNORECASE,
)


class NoTokenError(Exception):
    """The input contains no token. The message names the issuer's error, if there is one."""


def print_routes(app: web.Application) -> int:
    """Print every route of an application and who may call it. Return the exit status 0."""
    listed = routes(app)
    width = max((len(route.path) for route in listed), default=0) + 2
    for method, path, access in listed:
        print(f"{method:9}{path:{width}}{access}")
    return 0


def check_token(app: web.Application, host: str = "") -> int:
    """Read a token from standard input and print how an application with `setup` judges it.

    `host` is what a request would name, for a resolver of issuers. Return the exit status: 0 if the
    token is valid, even if a route requires more, 1 if it is not, and 2 if the input contains no
    token. Raises RuntimeError for an application without `setup`.
    """
    try:
        token = read_token()
    except (NoTokenError, KeyboardInterrupt) as error:  # Ctrl+C has no text, and no traceback here
        print(error, file=sys.stderr)
        return 2

    async def explained() -> Explanation:
        try:
            return await explain(app, token, host=host)
        finally:
            if TOKEN_VALIDATOR in app:
                await app[TOKEN_VALIDATOR].close()

    explanation = asyncio.run(explained())
    print(explanation)
    return 0 if explanation.refusal is None and not explanation.too_long else 1


def read_token() -> str:
    """Read a token from standard input: the token alone, a whole header, or an issuer's answer.

    Raises NoTokenError if there is none.
    """
    if sys.stdin.isatty():
        text = getpass("The access token, which is not shown: ")
    else:
        # Bytes that are not UTF-8 are read too: the explanation says that they are no token.
        text = sys.stdin.buffer.read(MAX_READ).decode(errors="replace")
    text = text.strip()
    if text.startswith("{"):
        try:
            return _token_in(load_object(text.encode()))
        except ValueError:
            pass  # the explanation will say that it is no token
    token = _BEFORE_TOKEN.sub("", text.strip("\"'"), count=1)
    if not token:
        raise NoTokenError("there is no token: nothing was given")
    return token


def _token_in(answer: Mapping[str, object]) -> str:
    """Return the token of an issuer's answer (RFC 6749 §5.1). Raises NoTokenError."""
    token, error = answer.get("access_token"), answer.get("error")
    if isinstance(token, str) and token:
        return token
    message = "the issuer's answer holds no access_token"
    if isinstance(error, str) and _ERROR.fullmatch(error):
        message += f": {error}"
    raise NoTokenError(message)
