"""Whose tokens name a key that nobody knows, and who waits for one?"""

import asyncio
import json
from uuid import uuid4

from hello.auth import AccessToken, TokenValidator
from hello.sandbox.issuer import base64url
from support.validators import presented


def renamed(token: str) -> str:
    """The token with a kid that nobody knows, so that nobody gets to see its bad signature."""
    header = json.dumps({"alg": "RS256", "typ": "JWT", "kid": uuid4().hex}).encode()
    return f"{base64url(header)}.{token.partition('.')[2]}"


def in_background(token: str, validator: TokenValidator) -> asyncio.Task[AccessToken]:
    return asyncio.create_task(validator.validate(presented(token)))
