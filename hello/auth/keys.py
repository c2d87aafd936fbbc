"""Which of an issuer's keys may verify a signature, and with which algorithms?

RFC 7517 §4 and §5. Keys are taken in one by one, so that a broken one costs only itself.
"""

import base64
import hmac
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from .strict_json import load_object

_logger = logging.getLogger("hello.auth")

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
    | {"ES256K", "EdDSA", "Ed25519"}
)
"""The `alg` values that a validator can be told to accept: asymmetric ones, by exact name."""

HASH_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The symmetric ones, which want a secret, and as many bytes of it (RFC 7518 §3.2)."""

# What is read of a key: no private member (RFC 7518 §6), whatever an issuer may publish by mistake.
_PUBLIC_MEMBERS = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
_CURVES = frozenset({"P-256", "P-384", "P-521", "secp256k1", "Ed25519"})
_RSA_MINIMUM_BITS = 2048  # RFC 7518 §3.3
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_PRIVATE = "it is a private key, which nobody but the issuer should have"
_TOO_SHORT = f"it has fewer than {_RSA_MINIMUM_BITS} bits"


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
        self.algorithms = frozenset(
            name for name in ALGORITHMS if alg in (None, name) and _fits(self._key, name)
        )
        if not self.algorithms:
            raise ValueError("no supported algorithm fits it")
        public: Any = self._key.public_key
        self._verifiers = {name: _verifier(public, name) for name in self.algorithms}

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Say whether the signature over the input is this key's (RFC 7515 §5.2)."""
        verify = self._verifiers.get(algorithm)
        if verify is None:
            return False
        try:
            verify(signature, signing_input)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            # Other than the first: of the wrong size or form, or a library without the curve.
            return False
        return True


class SecretKey:
    """A secret that the issuer shares with this API (RFC 7518 §3.2). No set publishes one."""

    kid = None

    def __init__(self, secret: bytes, algorithms: Collection[str]) -> None:
        self._secret = secret
        self.algorithms = frozenset(algorithms)

    def verifies(self, signature: bytes, signing_input: bytes, algorithm: str) -> bool:
        """Say whether the code over the input was made with this secret."""
        if algorithm not in self.algorithms:
            return False
        expected = hmac.digest(self._secret, signing_input, f"sha{algorithm[2:]}")
        return hmac.compare_digest(expected, signature)


VerifyingKey = SigningKey | SecretKey


class KeySet:
    """The usable keys of one issuer."""

    def __init__(self, keys: Iterable[VerifyingKey]) -> None:
        self._keys = tuple(keys)
        self.kids = frozenset(key.kid for key in self._keys)
        self._by_name: dict[tuple[str | None, str], VerifyingKey] = {}
        for algorithm in {name for key in self._keys for name in key.algorithms}:
            fitting = [key for key in self._keys if algorithm in key.algorithms]
            # The first of a name; without a name, the only one that fits.
            self._by_name |= {(key.kid, algorithm): key for key in reversed(fitting)}
            self._by_name.pop((None, algorithm), None)
            if len(fitting) == 1:
                self._by_name[None, algorithm] = fitting[0]

    def __len__(self) -> int:
        return len(self._keys)

    def knows(self, kid: str | None) -> bool:
        """Say whether a key of this name is here; any key will do where there is no name."""
        return kid is None or kid in self.kids

    def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key of that name that fits; without a name, the only one that fits."""
        return self._by_name.get((kid, algorithm))

    def without_kid(self) -> "KeySet":
        """Return those that have no name."""
        return KeySet(key for key in self._keys if key.kid is None)


def load_key_set(document: bytes) -> KeySet:
    """Read a JWK Set (RFC 7517 §5): the good keys are kept, the bad ones skipped and logged.

    Raises ValueError where the document is no JWK Set, or none of its keys can be used.
    """
    return KeySet(_import_set(load_object(document)))


def load_keys(given: str | bytes | Mapping[str, Any]) -> list[SigningKey]:
    """Read a public key or certificate in PEM, a JWK or a JWK Set, the latter in JSON or parsed.

    Raises ValueError where that is not what it is, or it cannot be used.
    """
    try:
        if isinstance(given, Mapping):
            entries = given.get("keys", [given])
            listed = entries if isinstance(entries, list) else []
            if any(isinstance(jwk, Mapping) and "d" in jwk for jwk in listed):
                raise ValueError(_PRIVATE)  # noqa: TRY301
            return _import_set(given) if "keys" in given else [SigningKey(given)]
        if not isinstance(given, str | bytes):
            raise ValueError(f"{given!r} is none. Give what is in a file, not its name")  # noqa: TRY004, TRY301
        text = given.encode() if isinstance(given, str) else given
        if b"-----BEGIN" in text:
            return [SigningKey(_read_pem(text))]
        if not text.lstrip().startswith(b"{"):
            raise ValueError("neither PEM nor a JSON object. Give what is in a file, not its name")  # noqa: TRY301
        given = load_object(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"keys are public keys (PEM, a certificate in PEM, a JWK, a JWK Set): {error}"
        ) from error
    return load_keys(given)


def _import_set(jwk_set: Mapping[str, Any]) -> list[SigningKey]:
    entries = jwk_set.get("keys")
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
    return keys


def _read_pem(pem: bytes) -> Mapping[str, Any]:
    """Return the JWK of a public key. Raises ValueError for anything else, a private key too."""
    if b"PRIVATE KEY" in pem:
        raise ValueError(_PRIVATE)
    if pem.count(b"-----BEGIN") > 1:
        raise ValueError("it is more than one key: give them as a list")
    if b"-----BEGIN CERTIFICATE" in pem:
        key: object = load_pem_x509_certificate(pem).public_key()
    else:
        key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise ValueError("it is neither an RSA, an EC nor an Ed25519 key")  # noqa: TRY004
    if isinstance(key, RSAPublicKey) and key.key_size < _RSA_MINIMUM_BITS:
        raise ValueError(_TOO_SHORT)
    key_class = (
        RSAKey
        if isinstance(key, RSAPublicKey)
        else OKPKey
        if isinstance(key, Ed25519PublicKey)
        else ECKey
    )
    spki = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key_class.import_key(spki).as_dict(private=False)


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
        raise ValueError(_TOO_SHORT)
    try:
        return JWKRegistry.import_key(public)
    except Exception as error:
        # What is raised for a broken key is up to joserfc, binascii and OpenSSL.
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error


_Verify = Callable[[bytes, bytes], None]


def _verifier(public: Any, algorithm: str) -> _Verify:
    """Return what verifies a signature over an input, and raises InvalidSignature or ValueError.

    With OpenSSL and nothing between (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1): what stands between
    costs as much as everything else about a token.
    """
    if algorithm in ("EdDSA", "Ed25519"):
        return cast("_Verify", public.verify)
    hashed = _HASHES[algorithm[2:5]]
    if algorithm.startswith("ES"):
        return _ecdsa(public, ec.ECDSA(hashed), (public.curve.key_size + 7) // 8)
    padded: padding.AsymmetricPadding = padding.PKCS1v15()
    if algorithm.startswith("PS"):
        padded = padding.PSS(mgf=padding.MGF1(hashed), salt_length=hashed.digest_size)
    return _rsa(public, padded, hashed)


def _rsa(public: Any, padded: padding.AsymmetricPadding, hashed: hashes.HashAlgorithm) -> _Verify:
    size = (public.key_size + 7) // 8

    def verify(signature: bytes, signing_input: bytes) -> None:
        # RFC 8017 §8.1.2 and §8.2.2, step 1. OpenSSL takes a shorter PSS signature for one with
        # leading zeros, and so one signature could be written in two ways.
        if len(signature) != size:
            raise ValueError("not of the modulus' size")
        public.verify(signature, signing_input, padded, hashed)

    return verify


def _ecdsa(public: Any, scheme: ec.ECDSA, half: int) -> _Verify:
    def verify(signature: bytes, signing_input: bytes) -> None:
        # RFC 7518 §3.4: two numbers of a fixed size, where OpenSSL wants them in DER.
        if len(signature) != 2 * half:
            raise ValueError("not two numbers of the curve's size")
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        public.verify(encode_dss_signature(r, s), signing_input, scheme)

    return verify


def _bits(base64url: str) -> int:
    number = base64.urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4))
    return int.from_bytes(number, "big").bit_length()


def _fits(key: Key, algorithm: str) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True
