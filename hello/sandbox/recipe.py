"""With which commands does a newcomer get a token from the sandbox?"""

import re
from collections.abc import Collection
from urllib.parse import quote_plus

from .issuer import CLIENT_ID, CLIENT_SECRET

# Prints the token in an answer, or the whole answer if it holds none.
_READ_ANSWER = (
    """python3 -c 'import json; a = json.loads(open(0).read() or "{}"); """
    """print(a.get("access_token") or exit(a))'"""
)

_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^#]+")  # RFC 3986 §4.3


def token_recipe(issuer: str, audience: str, permissions: Collection[str] = ()) -> str:
    """Return the indented lines that put a token for an audience into the variable TOKEN."""
    asked = f"audience={_encoded(audience)}"
    if permissions:
        asked += f" -d scope={_encoded(' '.join(sorted(permissions)))}"
    return f"""\
  TOKEN=$(curl -sS {issuer}oauth/token -d grant_type=client_credentials \\
    -d client_id={CLIENT_ID} -d client_secret={CLIENT_SECRET} -d {asked} \\
    | {_READ_ANSWER})"""


def target_parameters(audience: str) -> str:
    """Return the parameters by which a client asks for a token for an audience, encoded.

    Only the URI of an API can be a `resource` (RFC 8707 §2).
    """
    names = ["audience", *(["resource"] if _ABSOLUTE_URI.fullmatch(audience) else [])]
    return "  or  ".join(f"{name}={_encoded(audience)}" for name in names)


def _encoded(text: str) -> str:
    return quote_plus(text, safe="/:")  # in a form, and for a shell
