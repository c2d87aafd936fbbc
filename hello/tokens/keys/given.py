"""Which keys did an application give, and in which form?

People paste keys from consoles, files and environment variables. Whatever has one meaning is read,
and everything else is refused with a sentence that says what to do.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from joserfc.jwk import JWKRegistry

from hello.tokens.errors import InvalidTokenError, Reason
from hello.tokens.jwt.compact import KeyName
from hello.tokens.jwt.strict_json import decoded, load_document

from .jwk import check_rsa
from .key_set import MAX_TRIED, KeySet, import_keys
from .signing_key import SigningKey, VerifyingKey

Keys = str | bytes | Mapping[str, Any]
"""Public keys: PEM (keys or certificates), a JWK or a JWK Set as JSON or already parsed, or a
mapping of names (`kid`) to PEM.
"""

_KTY = {RSAPublicKey: "RSA", EllipticCurvePublicKey: "EC", Ed25519PublicKey: "OKP"}
_PRIVATE = "it is a private key, which nobody but the issuer should have: give the public one"
_NOT_A_FILE = "Give what is in a file, not its name"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{100,}")
_LINE = 64  # characters (RFC 7468 §2)


class GivenKeys:
    """Keys that an application gave. One without a `kid` may verify a token with any `kid`."""

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        self._keys = KeySet(keys)
        self._unnamed = [key for key in keys if key.kid is None]
        self.kids: frozenset[str | None] = self._keys.kids

    async def find(self, name: KeyName, algorithm: str) -> Sequence[VerifyingKey]:
        """Return the keys that a token names and that fit its `alg`. Raises InvalidTokenError."""
        known = self._keys.knows(name)
        keys: Sequence[VerifyingKey] = self._keys.fitting(name, algorithm) if known else ()
        if not keys and (name.kid is None or not known):
            keys = [key for key in self._unnamed if algorithm in key.algorithms]
        if not keys:
            raise InvalidTokenError(
                Reason.UNFIT_KEY if known or self._unnamed else Reason.UNKNOWN_KEY
            )
        return keys

    async def find_newer(self, *_name: object, **_than: object) -> Sequence[VerifyingKey]:
        """Return nothing: a given key is never replaced."""
        return ()


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


def check_given(keys: Sequence[SigningKey], algorithms: frozenset[str]) -> None:
    """Raise ValueError if there is no key for an algorithm, or there are too many to try."""
    if not keys:
        raise ValueError("keys are empty: give at least one")
    for algorithm in sorted(algorithms):
        fitting = [key.kid for key in keys if algorithm in key.algorithms]
        if not fitting:
            raise ValueError(f"no key in keys fits {algorithm}, which algorithms has")
        for kid in set(fitting):
            if fitting.count(kid) > MAX_TRIED:
                name = "no kid" if kid is None else f"the kid {kid!r}"
                raise ValueError(
                    f"more than {MAX_TRIED} keys with {name} fit {algorithm}: give each a kid of "
                    "its own, as a JWK or as {kid: PEM}"
                )


def _load(given: Keys) -> list[SigningKey]:
    if isinstance(given, str | bytes):
        text = (decoded(given) if isinstance(given, bytes) else given).lstrip("\ufeff").strip()
        if "-----BEGIN" in text:
            return [SigningKey(jwk) for jwk in _read_pem(text)]
        if not text.startswith("{"):
            if _BASE64.fullmatch(text):
                raise ValueError(
                    "it is base64 alone. If it is PEM without its first and last line, put "
                    "-----BEGIN PUBLIC KEY----- before it and -----END PUBLIC KEY----- after it"
                )
            raise ValueError(f"neither PEM nor a JSON object. {_NOT_A_FILE}")
        given = load_document(text.encode())
    if not isinstance(given, Mapping):
        raise ValueError(f"{given!r} is none. {_NOT_A_FILE}")
    if given and all(isinstance(pem, str) and "-----BEGIN" in pem for pem in given.values()):
        return [SigningKey(jwk, kid=kid) for kid, pem in given.items() for jwk in _read_pem(pem)]
    entries = given.get("keys", [given])
    if isinstance(entries, list) and any(
        isinstance(jwk, Mapping) and jwk.get("d") for jwk in entries
    ):
        raise ValueError(_PRIVATE)
    return import_keys(given) if "keys" in given else [SigningKey(given)]


def _read_pem(text: str) -> list[Mapping[str, Any]]:
    """Return the JWKs of public keys and certificates. Raises ValueError for anything else."""
    if "PRIVATE KEY" in text:
        raise ValueError(_PRIVATE)
    # In environment variables, line breaks are often written out or replaced by spaces.
    text = text.replace("\\r", "").replace("\\n", "\n")
    blocks = _PEM.findall(text)
    if len(blocks) != text.count("-----BEGIN"):
        raise ValueError("its END line is missing or differs from its BEGIN line: copy all of it")
    keys: list[Any] = []
    certificates = []
    for label, body in blocks:
        letters = "".join(body.split())
        lines = [letters[start : start + _LINE] for start in range(0, len(letters), _LINE)]
        pem = "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----\n"]).encode()
        if label == "CERTIFICATE":
            certificates.append(x509.load_pem_x509_certificate(pem))
        elif label.endswith("PUBLIC KEY"):
            keys.append(load_pem_public_key(pem))
        else:
            raise ValueError(f"it is a {label}: give a PUBLIC KEY or a CERTIFICATE")
    _check_no_chain(certificates)
    return [_as_jwk(key) for key in (*keys, *(each.public_key() for each in certificates))]


def _check_no_chain(certificates: Sequence[x509.Certificate]) -> None:
    """Raise ValueError if one certificate issued another. Its key signs no tokens."""
    issuers = [each.issuer for each in certificates if each.issuer != each.subject]
    if any(each.subject in issuers for each in certificates):
        raise ValueError(
            "it is a chain of certificates: give the first one alone, whose key signs tokens"
        )


def _as_jwk(key: Any) -> Mapping[str, Any]:
    kty = next((name for kind, name in _KTY.items() if isinstance(key, kind)), None)
    if kty is None:
        raise ValueError("it is neither an RSA, an EC nor an Ed25519 key")
    if isinstance(key, RSAPublicKey):
        check_rsa(key.key_size, key.public_numbers().e)  # joserfc would only warn
    spki = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return JWKRegistry.import_key(spki, kty).as_dict(private=False)
