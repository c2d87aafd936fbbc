"""How is a signature verified, once the key and the algorithm are known?

OpenSSL is called directly (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1): a layer in between takes as much
time as everything else that is done with a token.
"""

from collections.abc import Callable
from typing import Any, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

Verify = Callable[[bytes, bytes], None]
"""Called with a signature and what was signed. Raises InvalidSignature or ValueError."""


def verifier(public: Any, algorithm: str) -> Verify:
    """Return a function that verifies signatures of an algorithm with a public key of OpenSSL."""
    if algorithm in ("EdDSA", "Ed25519"):
        return cast("Verify", public.verify)
    hashed = _HASHES[algorithm[2:5]]
    if algorithm.startswith("ES"):
        return _ecdsa(public, ec.ECDSA(hashed), (public.curve.key_size + 7) // 8)
    padded: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        padded = padding.PSS(mgf=padding.MGF1(hashed), salt_length=hashed.digest_size)
    return _rsa(public, padded, hashed)


def _rsa(public: Any, padded: padding.AsymmetricPadding, hashed: hashes.HashAlgorithm) -> Verify:
    size = (public.key_size + 7) // 8

    def verify(signature: bytes, signing_input: bytes) -> None:
        # RFC 8017 §8.1.2 and §8.2.2, step 1. OpenSSL reads a shorter PSS signature as one with
        # leading zeros, so that one signature could be written in two ways.
        if len(signature) != size:
            raise ValueError("the signature is not as long as the modulus")
        public.verify(signature, signing_input, padded, hashed)

    return verify


def _ecdsa(public: Any, scheme: ec.ECDSA, half: int) -> Verify:
    def verify(signature: bytes, signing_input: bytes) -> None:
        # RFC 7518 §3.4: a signature is two numbers of a fixed size. OpenSSL needs them in DER.
        if len(signature) != 2 * half:
            raise ValueError("the signature is not two numbers of the curve's size")
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        public.verify(encode_dss_signature(r, s), signing_input, scheme)

    return verify
