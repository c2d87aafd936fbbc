"""Is this a good proof, for this request and this token (RFC 9449 §4.3)?

Nothing here remembers anything: whether a proof was seen before is another question.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from hello.tokens.jwt import base64url
from hello.tokens.jwt.compact import UnverifiedToken, parse
from hello.tokens.keys.jwk import read_jwk
from hello.tokens.keys.signing_key import SigningKey
from hello.tokens.timing import is_numeric_date

from .addresses import normalized, shown

_MAX_JTI = 1024  # characters; RFC 9449 §11.1 lets a server refuse longer ones


class ProofError(Exception):
    """A proof fails a check. `member` is the one that fails it, or `form` if it is no JWT."""

    def __init__(self, member: str, detail: str = "") -> None:
        super().__init__(f"{member}: {detail}" if detail else member)
        self.member: Final = member


class OtherKeyError(ProofError):
    """A proof was made with another key than the one that the token is bound to."""


class Proof(NamedTuple):
    """A proof that passed every check, and the RFC 7638 thumbprint of its key."""

    thumbprint: str
    jti: str
    issued_at: float
    nonce: str | None


class Window(NamedTuple):
    """How old a proof may be, and how far in the future it may come from, both in seconds."""

    past: float
    future: float


def check_proof(
    text: str,
    *,
    method: str,
    url: str,
    token: str | None,
    bound_to: object = None,
    algorithms: Collection[str],
    now: float,
    window: Window,
) -> Proof:
    """Check a proof for a request. Raises ProofError.

    `method` and `url` are those of the request, as its sender sees them. `token` is its access
    token, and `bound_to` is the thumbprint of the key that the token is bound to. A request for
    tokens (RFC 9449 §5) has no access token yet, and every key is good.
    """
    try:
        proof = parse(text)
    except ValueError:
        raise ProofError("form") from None
    key, thumbprint = _key_of(proof, algorithms)
    # Before the signature, because a large key takes long to verify one.
    if token is not None and thumbprint != bound_to:
        raise OtherKeyError("jwk")
    if not key.verifies(proof.signature, proof.signing_input, proof.header["alg"]):
        raise ProofError("signature")
    claims = proof.claims
    jti, issued_at, nonce = claims.get("jti"), claims.get("iat"), claims.get("nonce")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise ProofError("jti")
    if claims.get("htm") != method:
        raise ProofError("htm")
    htu = claims.get("htu")
    wanted = normalized(url)
    if not isinstance(htu, str) or wanted is None or normalized(htu) != wanted:
        raise ProofError("htu", f"wants {shown(url)} has {shown(htu)}")
    if not is_numeric_date(issued_at) or not (
        now - window.past <= issued_at <= now + window.future
    ):
        raise ProofError("iat")
    ath = claims.get("ath")
    if token is not None and ath != base64url.encode(hashlib.sha256(token.encode()).digest()):
        raise ProofError("ath")
    if not isinstance(nonce, str | None):
        raise ProofError("nonce")
    return Proof(thumbprint, jti, issued_at, nonce)


def _key_of(proof: UnverifiedToken, algorithms: Collection[str]) -> tuple[SigningKey, str]:
    """Return the key that a proof names, and its thumbprint. Raises ProofError."""
    header = proof.header
    if "crit" in header or "b64" in header:
        raise ProofError("crit")
    typ = header.get("typ")
    # RFC 7515 §4.1.9: case does not matter, and "application/" may be left out.
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != "dpop+jwt":
        raise ProofError("typ")
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise ProofError("alg")
    if not isinstance(jwk, Mapping):
        raise ProofError("jwk")
    try:
        key = SigningKey(jwk)
    except ValueError as error:
        raise ProofError("jwk", str(error)) from None
    return key, _thumbprint(key.members)  # of the members that were read, so it is this key's


def thumbprint_of(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638 §3). Raises ValueError."""
    return _thumbprint(read_jwk(jwk).members)


def _thumbprint(members: Mapping[str, str]) -> str:
    text = json.dumps(dict(sorted(members.items())), separators=(",", ":"))
    return base64url.encode(hashlib.sha256(text.encode()).digest())
