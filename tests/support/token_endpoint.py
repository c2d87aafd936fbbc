"""How is a token endpoint asked, and do its tokens keep to the keys that are published?"""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import KeySet

from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET, OMIT
from support.api import AUDIENCE, Client

TOKEN = "/oauth/token"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
ASKED = {
    "grant_type": "client_credentials",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "audience": AUDIENCE,
}
ASKED_BY_HEADER = {"grant_type": "client_credentials", "audience": AUDIENCE}


def form(**changes: str) -> bytes:
    """The usual request with changes; OMIT leaves a parameter out."""
    asked = {**ASKED, **changes}
    return urlencode({name: value for name, value in asked.items() if value is not OMIT}).encode()


def as_json(**changes: Any) -> bytes:
    asked = {**ASKED, **changes}
    return json.dumps({name: value for name, value in asked.items() if value is not OMIT}).encode()


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"}


async def published(client: Client) -> dict[str, Any]:
    async with client.get("/.well-known/jwks.json") as response:
        assert response.status == 200
        answer: dict[str, Any] = await response.json()
        return answer


async def verified(client: Client, token: str) -> jwt.Token:
    """A token's parts, once its signature is checked with the keys that are published."""
    keys = KeySet.import_key_set(await published(client))  # type: ignore[arg-type]
    return jwt.decode(token, keys, algorithms=["RS256"])
