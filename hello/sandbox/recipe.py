"""With which commands does a newcomer get a token from the sandbox?"""

from collections.abc import Collection
from urllib.parse import quote_plus

from .issuer import CLIENT_ID, CLIENT_SECRET

# Prints the token in an answer, or the whole answer if it holds none.
_READ_ANSWER = (
    """python3 -c 'import json; a = json.loads(open(0).read() or "{}"); """
    """print(a.get("access_token") or exit(a))'"""
)


def token_recipe(issuer: str, audience: str, permissions: Collection[str] = ()) -> str:
    """Return the indented lines that put a token for an audience into the variable TOKEN."""
    asked = f"audience={_encoded(audience)}"
    if permissions:
        asked += f" -d scope={_encoded(' '.join(sorted(permissions)))}"
    return f"""\
  TOKEN=$(curl -sS {issuer}oauth/token -d grant_type=client_credentials \\
    -d client_id={CLIENT_ID} -d client_secret={CLIENT_SECRET} -d {asked} \\
    | {_READ_ANSWER})"""


def _encoded(text: str) -> str:
    return quote_plus(text, safe="/:")  # in a form, and for a shell
