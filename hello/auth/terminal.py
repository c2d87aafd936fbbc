"""What can a person at a terminal ask about an application, and what is printed?

The questions are why a token is refused, which routes are open, and what OpenAPI says about them.
`python -m hello.auth` uses this, and so do programs that make their application in another way.
"""

import asyncio
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from getpass import getpass
from typing import NamedTuple, cast

from aiohttp import hdrs, web

from hello.tokens.explain import Explanation
from hello.tokens.jwt.strict_json import load_object
from hello.tokens.presented import BEARER, DPOP

from .explaining import explain
from .marks import TOKEN_VALIDATOR
from .openapi import openapi
from .routes import BROKEN, PREFLIGHT, UNGUARDED, routes

MAX_READ = 1 << 20  # bytes
_ERROR = re.compile(r"[ -~]{1,64}")  # an issuer's error that is safe to print
# People copy this together with a token: a header's name, the scheme, quotes.
# A scheme with a colon, such as `Bearer: ...`, is no header: the explanation names this mistake.
_BEFORE_TOKEN = re.compile(
    r"""((authorization["']?\s*:|(?!(bearer|dpop|basic|token|jwt)\b)[a-z][a-z0-9-]*["']?:\s)\s*["']?)?"""
    r"""((?P<scheme>bearer|dpop)\s+)?["']?""",
    re.IGNORECASE,
)
# In the headers of a request, which begin a line, or in a command for curl, which quotes them.
_HEADER = r"""(?:^[> \t]*|(?<=["'])){}["']?[ \t]*:[ \t]*["']?([^"'\r\n]*)["']?,?"""
_AUTHORIZATION = re.compile(_HEADER.format("authorization"), re.IGNORECASE | re.MULTILINE)
_PROOF = re.compile(_HEADER.format("dpop"), re.IGNORECASE | re.MULTILINE)
_CREDENTIALS = re.compile(r"(bearer|dpop) (.*)", re.IGNORECASE)
_SCHEMES = {"bearer": BEARER, "dpop": DPOP}


class Given(NamedTuple):
    """A token, the scheme that stood before it, and the proofs that came with it."""

    token: str
    scheme: str | None = None
    proofs: tuple[str, ...] = ()


class NoTokenError(Exception):
    """The input contains no token. The message names the issuer's error, if there is one."""


def print_routes(app: web.Application) -> int:
    """Print every route of an application and who may call it, and how many there are of a kind.

    The HEAD of a GET is left out if the same holds for both. Return the exit status: 0, or 1 if
    `setup` is missing for a route. Then standard error says what to do.
    """
    every = routes(app)
    listed = [
        route
        for route in every
        if route.method != hdrs.METH_HEAD or route._replace(method=hdrs.METH_GET) not in every
    ]
    width = max((len(route.path) for route in listed), default=0) + 2
    lines = [f"{method:9}{path:{width}}{access}" for method, path, access in listed]
    kinds = Counter(_kind(route.access) for route in listed)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    lines += ["", f"routes: {len(listed)}{f' ({counts})' * bool(listed)}"]
    if TOKEN_VALIDATOR in app and not app[TOKEN_VALIDATOR].challenges.bearer:
        lines.append("Every token has to be bound to a key (DPoP, RFC 9449).")
    _print("\n".join(lines))
    status = 0
    for access, advice in _WITHOUT_SETUP.items():
        if names := [f"{route.method} {route.path}" for route in listed if route.access == access]:
            print(f"{advice}: {', '.join(names)}", file=sys.stderr)
            status = 1
    return status


_WITHOUT_SETUP = {
    UNGUARDED: "Anybody may call these: call auth.setup, or mark them with @auth.public",
    BROKEN: "Nobody may call these, because they are marked: call auth.setup",
}


def _kind(access: str) -> str:
    kinds = {UNGUARDED: "open", BROKEN: "broken", PREFLIGHT: "preflights", "public": "public"}
    return kinds.get(access, "optional" if access.startswith("optional") else "protected")


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever reads it has seen enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_openapi(app: web.Application) -> int:
    """Print the OpenAPI document of an application, as `openapi` returns it.

    Return the exit status: 0, or 2 if there can be no such document.
    """
    try:
        document = openapi(app)
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    _print(json.dumps(document, indent=2))
    return 0


def check_token(app: web.Application, host: str = "") -> int:
    """Read a token from standard input and print how an application with `setup` judges it.

    `host` is what a request would name, for a resolver of issuers. Return the exit status: 0 if the
    token is valid, even if a route requires more, 1 if it is not, and 2 if the input contains no
    token. Raises RuntimeError for an application without `setup`.
    """
    try:
        given = read_token()
    except (NoTokenError, KeyboardInterrupt) as error:  # Ctrl+C has no text, and no traceback here
        print(error, file=sys.stderr)
        return 2

    async def explained() -> Explanation:
        try:
            return await explain(
                app, given.token, host=host, scheme=given.scheme, proofs=given.proofs
            )
        finally:
            if TOKEN_VALIDATOR in app:
                await app[TOKEN_VALIDATOR].close()

    explanation = asyncio.run(explained())
    _print(str(explanation))
    return 0 if explanation.refusal is None and not explanation.too_long else 1


def read_token() -> Given:
    """Read a token from standard input: the token alone, its header, or an issuer's answer.

    With its header, the header DPoP may be given, too. Raises NoTokenError if there is no token.
    """
    if sys.stdin.isatty():
        text = getpass("The access token, which is not shown (one line; give more by < FILE): ")
    else:
        # Bytes that are not UTF-8 are read too: the explanation says that they are no token.
        text = sys.stdin.buffer.read(MAX_READ).decode(errors="replace")
    text = text.strip()
    headers = [value.strip() for value in _AUTHORIZATION.findall(text)]
    if text.startswith("{") and not headers:
        try:
            return Given(_token_in(load_object(text.encode())))
        except ValueError:
            pass  # the explanation will say that it is no token
    if len(headers) > 1:
        raise NoTokenError("there are several Authorization headers: a server refuses that")
    proofs = tuple(value.strip() for value in _PROOF.findall(text))
    credentials = _CREDENTIALS.fullmatch(headers[0]) if headers else None
    if credentials and (proofs or credentials[1].lower() == "dpop"):
        return Given(credentials[2], _SCHEMES[credentials[1].lower()], proofs)
    alone = _PROOF.sub("", text).strip()
    proofs, text = (proofs, alone) if alone else ((), text)
    before = cast("re.Match[str]", _BEFORE_TOKEN.match(text.strip("\"'")))
    token = before.string[before.end() :]
    if not token:
        raise NoTokenError("there is no token: nothing was given")
    return Given(token, _SCHEMES.get((before["scheme"] or "").lower()), proofs)


def _token_in(answer: Mapping[str, object]) -> str:
    """Return the token of an issuer's answer (RFC 6749 §5.1). Raises NoTokenError."""
    token, error = answer.get("access_token"), answer.get("error")
    if isinstance(token, str) and token:
        return token
    message = "the issuer's answer holds no access_token"
    if isinstance(error, str) and _ERROR.fullmatch(error):
        message += f": {error}"
    raise NoTokenError(message)
