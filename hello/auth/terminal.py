"""What does somebody at a terminal ask about an application, and what is the answer?

Why is this token refused, and which routes are open? For `python -m hello.auth`, and for a program
of one's own that knows its settings better.
"""

import asyncio
import re
import sys
from collections.abc import Mapping
from getpass import getpass

from aiohttp import web

from .explain import Explanation, explain
from .marks import TOKEN_VALIDATOR
from .overview import routes
from .strict_json import load_object

MOST_READ = 1 << 20
_ERROR = re.compile(r"[ -~]{1,64}")  # an issuer's, that is fit for a terminal
# What a token is copied with: a header's name, the scheme, quotes.
_BEFORE_TOKEN = re.compile(r"""(authorization["']?\s*:\s*["']?)?(bearer\s+)?["']?""", re.IGNORECASE)


class NoTokenError(Exception):
    """What was read holds no token. The message says so, and what the issuer says."""


def print_routes(app: web.Application) -> int:
    """Print every route of an application, and what it takes to be answered by it. Return 0."""
    listed = routes(app)
    width = max((len(route.path) for route in listed), default=0) + 2
    for method, path, access in listed:
        print(f"{method:9}{path:{width}}{access}")
    return 0


def check_token(app: web.Application, host: str = "") -> int:
    """Read a token from standard input, and print what an application with `setup` thinks of it.

    `host` is what a request would name, for a resolver of issuers.

    Return 0 if it is valid, whatever a route may ask for besides, and 1 if not; 2 where there is
    no token to look at. Raises RuntimeError for an application without `setup`.
    """
    try:
        token = read_token()
    except NoTokenError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(file=sys.stderr)  # who changed their mind wants no stack
        return 2
    explanation = asyncio.run(explained(app, token, host))
    print(explanation)
    return 0 if explanation.refusal is None and not explanation.too_long else 1


def read_token() -> str:
    """Read a token from standard input: as it is, as a header has it, or in an issuer's answer.

    Raises NoTokenError where there is none.
    """
    if sys.stdin.isatty():
        text = getpass("The access token, which is not shown: ")
    else:
        # Whatever the bytes are: what is no token is told so, and no traceback shows it.
        text = sys.stdin.buffer.read(MOST_READ).decode(errors="replace")
    text = text.strip()
    if text.startswith("{"):
        try:
            return _token_in(load_object(text.encode()))
        except ValueError:
            pass  # no JSON, and no token either, as the explanation will say
    text = text.strip("\"'")
    token = _BEFORE_TOKEN.sub("", text, count=1)
    if not token:
        raise NoTokenError("there is no token: nothing was given")
    return token


async def explained(app: web.Application, token: str, host: str = "") -> Explanation:
    """Explain a token as an application sees it, and end what was fetched for that."""
    try:
        return await explain(app, token, host=host)
    finally:
        if TOKEN_VALIDATOR in app:
            await app[TOKEN_VALIDATOR].close()


def _token_in(answer: Mapping[str, object]) -> str:
    """Return the token of an issuer's answer (RFC 6749 §5.1). Raises NoTokenError."""
    token, error = answer.get("access_token"), answer.get("error")
    if isinstance(token, str) and token:
        return token
    message = "the issuer's answer holds no access_token"
    if isinstance(error, str) and _ERROR.fullmatch(error):
        message += f": {error}"
    raise NoTokenError(message)
