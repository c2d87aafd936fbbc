"""Which of an issuer's published keys may verify a signature, and with which algorithms?

RFC 7517 §4 and §5. Keys are taken in one by one, so that a broken one costs only itself.
"""

import base64
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key
from joserfc.jws import JWSRegistry

from .jws import ALGORITHMS
from .strict_json import load_object

_logger = logging.getLogger("hello.auth")

# What is read of a key: no private member (RFC 7518 §6), whatever an issuer may publish by mistake.
_PUBLIC_MEMBERS = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
_CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519"})
_RSA_MINIMUM_BITS = 2048  # RFC 7518 §3.3


class SigningKey:
    """One public key, the algorithms that it may be used with, and its `kid`, if it has one."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        """Import a JWK. Raises ValueError, naming what is wrong, for one that cannot be used."""
        kid, use, alg = jwk.get("kid"), jwk.get("use", "sig"), jwk.get("alg")
        operations = jwk.get("key_ops", ["verify"])
        if not isinstance(kid, str | None):
            raise ValueError("its kid is not a string")  # noqa: TRY004 - one error for bad keys
        if use != "sig" or not isinstance(operations, list) or "verify" not in operations:
            raise ValueError("it is not for signatures")
        self.kid = kid
        self._key = _import(jwk)
        # RFC 8017 §8.1.2 and §8.2.2, step 1. OpenSSL takes a shorter PSS signature for one with
        # leading zeros, and so one signature could be written in two ways.
        self._signature_bytes = -(-_bits(jwk["n"]) // 8) if self._key.key_type == "RSA" else None
        self.algorithms = frozenset(
            name for name in ALGORITHMS if alg in (None, name) and _fits(self._key, name)
        )
        if not self.algorithms:
            raise ValueError("no supported algorithm fits it")

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Say whether the signature over the input is this key's (RFC 7515 §5.2)."""
        if algorithm not in self.algorithms:
            return False
        if self._signature_bytes is not None and len(signature) != self._signature_bytes:
            return False
        try:
            return JWSRegistry.algorithms[algorithm].verify(signing_input, signature, self._key)
        except (JoseError, ValueError, TypeError):
            # What a signature of the wrong size or form makes the libraries raise.
            return False


class KeySet:
    """The usable keys of one JWK Set."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._keys = tuple(keys)
        self._kids = frozenset(key.kid for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def knows(self, kid: str | None) -> bool:
        """Say whether a key of this name is here; any key will do where there is no name."""
        return kid is None or kid in self._kids

    def find(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """Return the key of that name that fits; without a name, the only one that fits."""
        fitting = [
            key
            for key in self._keys
            if algorithm in key.algorithms and (kid is None or key.kid == kid)
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and kid is not None) else None


def load_key_set(document: bytes) -> KeySet:
    """Read a JWK Set (RFC 7517 §5): the good keys are kept, the bad ones skipped and logged.

    Raises ValueError where the document is no JWK Set, or none of its keys can be used.
    """
    entries = load_object(document).get("keys")
    if not isinstance(entries, list):
        raise ValueError('it has no list of "keys"')  # noqa: TRY004 - one error for all bad input
    keys = []
    for position, jwk in enumerate(entries):
        try:
            if not isinstance(jwk, dict):
                raise ValueError("it is not a JSON object")  # noqa: TRY004, TRY301
            keys.append(SigningKey(jwk))
        except ValueError as error:
            _logger.warning("skipped key %d of the issuer's set: %s", position, error)
    if not keys:
        raise ValueError("it has no usable key")
    return KeySet(keys)


def _import(jwk: Mapping[str, Any]) -> Key:
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        # Symmetric keys among them: a published secret is none.
        raise ValueError("its kty is not RSA, EC or OKP")
    public: dict[str, str | list[str]] = {"kty": kty}
    for name in _PUBLIC_MEMBERS[kty]:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise ValueError(f"its {name} is missing or not a string")  # noqa: TRY004 - as above
        public[name] = value
    if kty != "RSA" and jwk["crv"] not in _CURVES:
        raise ValueError("its curve is not one for signatures")
    if kty == "RSA" and _bits(jwk["n"]) < _RSA_MINIMUM_BITS:
        raise ValueError(f"it has fewer than {_RSA_MINIMUM_BITS} bits")
    try:
        return JWKRegistry.import_key(public)
    except Exception as error:
        # What is raised for a broken key is up to joserfc, binascii and OpenSSL.
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error


def _bits(base64url: str) -> int:
    number = base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4))
    return int.from_bytes(number, "big").bit_length()


def _fits(key: Key, algorithm: str) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True
