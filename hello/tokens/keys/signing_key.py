"""Which algorithms may a key be used with, and was a signature made with it?

RFC 7517 §4. Only public keys are read here, and secrets that the application gave.
"""

import base64
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from joserfc.jwk import JWKRegistry

from .signatures import verifier

# By `kty` and `crv` (RFC 7518 §3.1, RFC 8037, RFC 8812, RFC 9864).
_ALGORITHMS_OF = {
    ("RSA", None): {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
    ("EC", "P-256"): {"ES256"},
    ("EC", "P-384"): {"ES384"},
    ("EC", "P-521"): {"ES512"},
    ("EC", "secp256k1"): {"ES256K"},
    ("OKP", "Ed25519"): {"EdDSA", "Ed25519"},
}
ALGORITHMS = frozenset[str]().union(*_ALGORITHMS_OF.values())
"""The asymmetric algorithms that a validator can accept, by their exact `alg`."""

HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The symmetric algorithms, and how many bytes a secret needs for each (RFC 7518 §3.2)."""

# The members that are read. None of them is private (RFC 7518 §6): an issuer may publish a private
# key by mistake.
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_RSA_MIN_BITS, _RSA_MAX_BITS = (
    2048,
    8192,
)  # RFC 7518 §3.3, and what can be verified on an event loop


class SigningKey:
    """One public key, the algorithms that it may be used with, and its `kid` if it has one."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        """Import a JWK. Raises ValueError, which says what is wrong, if it cannot be used."""
        kid, use, alg = jwk.get("kid"), jwk.get("use", "sig"), jwk.get("alg")
        operations = jwk.get("key_ops", ["verify"])
        if not isinstance(kid, str | None):
            raise ValueError("its kid is not a string")  # noqa: TRY004 - one error for bad keys
        if use != "sig" or not isinstance(operations, list) or "verify" not in operations:
            raise ValueError("it is not for signatures")
        public, fitting = _import(jwk)
        self.kid: str | None = kid
        self.algorithms: frozenset[str] = frozenset(name for name in fitting if alg in (None, name))
        if not self.algorithms:
            raise ValueError("no supported algorithm fits it")
        self._verifiers = {name: verifier(public, name) for name in self.algorithms}

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Return whether this key made the signature (RFC 7515 §5.2)."""
        verify = self._verifiers.get(algorithm)
        if verify is None:
            return False
        try:
            verify(signature, signing_input)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            # The last two mean a wrong size or form, and a library without the curve.
            return False
        return True


class SecretKey:
    """A secret that the issuer shares with this API (RFC 7518 §3.2)."""

    kid: None = None

    def __init__(self, secret: Any, algorithms: Collection[str]) -> None:
        """Keep a secret. Raises ValueError if it is too short for an algorithm."""
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self.algorithms: frozenset[str] = frozenset(algorithms)
        needed = max(HASH_BYTES[name] for name in algorithms)
        if not isinstance(self._secret, bytes) or len(self._secret) < needed:
            names = sorted(algorithms)
            raise ValueError(f"secret has fewer than the {needed} bytes that {names} ask for")

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Return whether the signature, which is an HMAC, was made with this secret."""
        if algorithm not in self.algorithms:
            return False
        expected = hmac.digest(self._secret, signing_input, f"sha{algorithm[2:]}")
        return hmac.compare_digest(expected, signature)


VerifyingKey = SigningKey | SecretKey


def _import(jwk: Mapping[str, Any]) -> tuple[Any, set[str]]:
    """Return the public key as OpenSSL's, and the algorithms that fit it."""
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        # Symmetric keys are refused too: a secret that is published is no secret.
        raise ValueError("its kty is not RSA, EC or OKP")
    public: dict[str, Any] = {"kty": kty}
    for name in _PUBLIC_MEMBERS[kty]:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise ValueError(f"its {name} is missing or not a string")  # noqa: TRY004 - as above
        public[name] = value
    fitting = _ALGORITHMS_OF.get((kty, public.get("crv")))
    if fitting is None:
        raise ValueError("its curve is not one for signatures")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise ValueError("it was published with its private part, so anybody may have it")
    if kty == "RSA":
        check_rsa(_number(jwk["n"]).bit_length(), _number(jwk["e"]))
    try:
        return JWKRegistry.import_key(public).public_key, fitting
    except Exception as error:
        # joserfc, binascii and OpenSSL raise errors of many types for a broken key.
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error


def check_rsa(bits: int, exponent: int) -> None:
    """Raise ValueError for an RSA key that is too weak, or that takes too long to verify with."""
    if not _RSA_MIN_BITS <= bits <= _RSA_MAX_BITS:
        raise ValueError(f"it has {bits} bits, not {_RSA_MIN_BITS} to {_RSA_MAX_BITS}")
    if exponent % 2 == 0 or not 1 < exponent < 1 << 32:
        raise ValueError("its exponent is not odd, above 1 and within 32 bits")


def _number(base64url: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4)), "big")
