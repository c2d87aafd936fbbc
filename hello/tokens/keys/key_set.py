"""Which keys does a document contain, and which of them does a token name?

RFC 7517 §5. Keys are imported one by one, so that a broken key does not make the others useless.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc.jwk import JWKRegistry

from hello.tokens.errors import InvalidTokenError, Reason
from hello.tokens.jwt.strict_json import load_object

from .signing_key import SigningKey, VerifyingKey, check_rsa

Keys = str | bytes | Mapping[str, Any]
"""A public key or a certificate in PEM; or a JWK or a JWK Set, as JSON or already parsed."""

_logger = logging.getLogger("hello.auth")
_KTY = {RSAPublicKey: "RSA", EllipticCurvePublicKey: "EC", Ed25519PublicKey: "OKP"}
_MAX_KEYS = 100  # of one set: a hostile one may have any number
_PRIVATE = "it is a private key, which nobody but the issuer should have"


class KeySet:
    """The usable keys of one issuer. In `kids`, None stands for the keys without a `kid`."""

    def __init__(self, keys: Iterable[VerifyingKey]) -> None:
        self._keys = tuple(keys)
        self.kids: frozenset[str | None] = frozenset(key.kid for key in self._keys)
        self._by_name: dict[tuple[str | None, str], VerifyingKey] = {}
        for algorithm in {name for key in self._keys for name in key.algorithms}:
            fitting = [key for key in self._keys if algorithm in key.algorithms]
            # The first of several keys that share a kid; without a kid, the only key that fits.
            self._by_name |= {(key.kid, algorithm): key for key in reversed(fitting)}
            self._by_name.pop((None, algorithm), None)
            if len(fitting) == 1:
                self._by_name[None, algorithm] = fitting[0]

    def __len__(self) -> int:
        return len(self._keys)

    def knows(self, kid: str | None) -> bool:
        """Return whether there may be a key for a token with this `kid`, or with none."""
        return kid is None or kid in self.kids

    def get(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the first fitting key with this `kid`; for None, the only key that fits."""
        return self._by_name.get((kid, algorithm))


class GivenKeys:
    """Keys that an application gave. One without a `kid` may verify a token with any `kid`."""

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        self._keys = KeySet(keys)
        self._unnamed = KeySet(key for key in keys if key.kid is None)
        self.kids: frozenset[str | None] = self._keys.kids

    async def find(self, kid: str | None, algorithm: str) -> VerifyingKey:
        """Return the key for a token's `kid` and `alg`. Raises InvalidTokenError."""
        if self._keys.knows(kid):
            key = self._keys.get(kid, algorithm)
        elif self._unnamed:
            key = self._unnamed.get(None, algorithm)
        else:
            raise InvalidTokenError(Reason.UNKNOWN_KEY)
        if key is None:
            raise InvalidTokenError(Reason.UNFIT_KEY)
        return key

    async def find_newer(self, *_asked: object, than: VerifyingKey) -> None:
        """Return None: a given key is never replaced."""

    async def close(self) -> None:
        """Do nothing: no fetch is ever under way."""


def load_key_set(document: bytes) -> KeySet:
    """Read a JWK Set: good keys are kept, bad ones are skipped and logged.

    Raises ValueError if the document is not a JWK Set, or none of its keys can be used.
    """
    return KeySet(_import_set(load_object(document)))


def load_keys(given: Keys | Sequence[Keys]) -> list[SigningKey]:
    """Read one key or several that an application gives. Raises ValueError if one is unusable.

    A JWK Set counts as several. Bad keys in it are skipped and logged, as in a fetched one.
    """
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return [key for one in given for key in load_keys(one)]
    try:
        return _load(given)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"keys are public keys (PEM, a certificate in PEM, a JWK, a JWK Set): {error}"
        ) from error


def _load(given: Keys) -> list[SigningKey]:
    if isinstance(given, str | bytes):
        text = given.encode() if isinstance(given, str) else given
        if b"-----BEGIN" in text:
            return [SigningKey(_read_pem(text))]
        if not text.lstrip().startswith(b"{"):
            raise ValueError("neither PEM nor a JSON object. Give what is in a file, not its name")
        given = load_object(text)
    if not isinstance(given, Mapping):
        raise ValueError(f"{given!r} is none. Give what is in a file, not its name")  # noqa: TRY004 - one error for all bad input
    entries = given.get("keys", [given])
    if isinstance(entries, list) and any(
        isinstance(jwk, Mapping) and "d" in jwk for jwk in entries
    ):
        raise ValueError(_PRIVATE)
    return _import_set(given) if "keys" in given else [SigningKey(given)]


def _import_set(jwk_set: Mapping[str, Any]) -> list[SigningKey]:
    entries = jwk_set.get("keys")
    if not isinstance(entries, list):
        raise ValueError('it has no list of "keys"')  # noqa: TRY004 - one error for all bad input
    keys, problems = [], Counter[str]()
    for jwk in entries[:_MAX_KEYS]:
        try:
            if not isinstance(jwk, dict):
                raise ValueError("it is not a JSON object")  # noqa: TRY004, TRY301
            keys.append(SigningKey(jwk))
        except ValueError as error:
            problems[str(error)] += 1
    if len(entries) > _MAX_KEYS:
        problems[f"only the first {_MAX_KEYS} are used"] = len(entries) - _MAX_KEYS
    if problems:
        _logger.warning(
            "skipped %d of the issuer's %d keys: %s",
            len(entries) - len(keys),
            len(entries),
            "; ".join(f"{problem} ({count})" for problem, count in problems.most_common(5)),
        )
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
        key: Any = load_pem_x509_certificate(pem).public_key()
    else:
        key = load_pem_public_key(pem)
    kty = next((name for kind, name in _KTY.items() if isinstance(key, kind)), None)
    if kty is None:
        raise ValueError("it is neither an RSA, an EC nor an Ed25519 key")
    if isinstance(key, RSAPublicKey):
        check_rsa(key.key_size, key.public_numbers().e)  # joserfc would only warn
    spki = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return JWKRegistry.import_key(spki, kty).as_dict(private=False)
