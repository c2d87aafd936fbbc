"""How is a DPoP proof made, good or bad (RFC 9449 §4.2)?"""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from joserfc.jwk import ECKey, Key, RSAKey

from hello.sandbox.issuer import OMIT, base64url, sign
from hello.sandbox.issuer.signing import changed
from hello.tokens import Presented
from hello.tokens.possession.proof import thumbprint_of

URL = "https://api.example.com/messages"
CLIENT_KEY = ECKey.generate_key("P-256")
_ANY_RSA = RSAKey.generate_key(2048)


def public(key: Key) -> dict[str, Any]:
    """The members of the key that a proof shows."""
    members = dict(key.as_dict(private=False))
    members.pop("kid", None)
    return members


def bound_to(key: Key = CLIENT_KEY) -> dict[str, Any]:
    """The claim of a token that is bound to a key."""
    return {"cnf": {"jkt": thumbprint_of(public(key))}}


def ath(token: str) -> str:
    return base64url(hashlib.sha256(token.encode()).digest())


def proof(
    token: str,
    *,
    now: float,
    url: str = URL,
    key: Key = CLIENT_KEY,
    header: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    """A proof for a GET with a token. `header` and `claims` replace members."""
    usual_header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public(key)}
    usual = {"jti": uuid4().hex, "htm": "GET", "htu": url, "iat": int(now), "ath": ath(token)}
    said = changed(usual_header, header)
    if said.get("alg") != "ES256" and key is CLIENT_KEY:
        key = _ANY_RSA  # what signs does not matter: the algorithm is refused before
    return sign(said, changed(usual, claims), key)


def presenting(
    token: str, *proofs: str, url: str = URL, method: str = "GET", scheme: str = "DPoP"
) -> Presented:
    """What a request with a token and proofs presents."""
    return Presented(token=token, scheme=scheme, proofs=proofs, method=method, url=url)


__all__ = ["CLIENT_KEY", "OMIT", "URL", "ath", "bound_to", "presenting", "proof", "public"]
