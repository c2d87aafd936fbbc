"""Was a signature made with this key?

A key is a public key of an issuer, or a secret that the application gave.
"""

import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from .jwk import read_jwk
from .signatures import verifier

HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The symmetric algorithms, and how many bytes a secret needs for each (RFC 7518 §3.2)."""

_PUBLIC_PEM = re.compile(rb"-----BEGIN ([A-Z0-9]+ )?(PUBLIC KEY|CERTIFICATE)-----")


class SigningKey:
    """One public key, its names, and the algorithms that it may be used with (RFC 7517 §4).

    `kid` is None if the key has none. `thumbprints` are those of its certificate. `members` are the
    public ones of the JWK, in the one spelling that RFC 7518 §6 allows.
    """

    def __init__(self, jwk: Mapping[str, Any], *, kid: str | None = None) -> None:
        """Import a JWK. `kid` is its name if it has none itself. Raises ValueError."""
        read = read_jwk(jwk)
        self.kid: str | None = read.kid or kid
        self.thumbprints: frozenset[str] = read.thumbprints
        self.algorithms: frozenset[str] = read.algorithms
        self.members: Mapping[str, str] = read.members
        self._verifiers = {name: verifier(read.public, name) for name in self.algorithms}

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
    thumbprints: frozenset[str] = frozenset()

    def __init__(self, secret: Any, algorithms: Collection[str]) -> None:
        """Keep a secret. Raises ValueError if it is too short for an algorithm, or is no secret."""
        self._secret = secret.encode() if isinstance(secret, str) else secret
        self.algorithms: frozenset[str] = frozenset(algorithms)
        needed = max(HASH_BYTES[name] for name in algorithms)
        if not isinstance(self._secret, bytes) or len(self._secret) < needed:
            names = sorted(algorithms)
            raise ValueError(f"secret has fewer than the {needed} bytes that {names} ask for")
        if _PUBLIC_PEM.search(self._secret):
            # RFC 8725 §2.1: everybody has that key, so everybody could make tokens with it.
            raise ValueError("secret is a public key or a certificate: give it as keys")

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Return whether the signature, which is an HMAC, was made with this secret."""
        if algorithm not in self.algorithms:
            return False
        expected = hmac.digest(self._secret, signing_input, f"sha{algorithm[2:]}")
        return hmac.compare_digest(expected, signature)


VerifyingKey = SigningKey | SecretKey


def signer(
    keys: Iterable[VerifyingKey], signature: bytes, signing_input: bytes, algorithm: str
) -> VerifyingKey | None:
    """Return the key that made a signature, or None."""
    for key in keys:
        if key.verifies(signature, signing_input, algorithm):
            return key
    return None
