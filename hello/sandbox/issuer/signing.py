"""How is a token signed, valid or not?"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry

OMIT: Any = object()
"""A claim or header parameter with this value is left out of a minted token."""


def new_key() -> Key:
    """Make an RSA key of 2048 bits with a `kid` of its own."""
    return RSAKey.generate_key(2048, {"kid": uuid4().hex, "alg": "RS256"})


def sign(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, key: Key) -> str:
    """Return a compact JWS of any header and payload, valid or not.

    The header's `alg` signs it, or RS256 if joserfc does not know that `alg`.
    """
    algorithm = header.get("alg") if isinstance(header, Mapping) else None
    model = JWSRegistry.algorithms.get(str(algorithm), JWSRegistry.algorithms["RS256"])
    signing_input = f"{_segment(header)}.{_segment(payload)}"
    signature = model.sign(signing_input.encode("ascii"), key)
    return f"{signing_input}.{base64url(signature)}"


def changed(usual: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return `usual`, updated with `changes`, and without the members that are OMIT."""
    merged = {**usual, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not OMIT}


def base64url(data: bytes) -> str:
    """Encode in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _segment(part: Mapping[str, Any] | bytes) -> str:
    return base64url(part if isinstance(part, bytes) else json.dumps(part).encode())
