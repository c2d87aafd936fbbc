"""What does a JWK say, however an issuer writes it (RFC 7517 §4, RFC 7518 §6)?

Many issuers write keys in a way that the RFCs do not allow, but that has only one meaning: members
that are null or empty, padding, plain base64, leading zeros. They are read. That is harmless: a key
that was read wrongly verifies no token.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from joserfc.jwk import JWKRegistry

from hello.tokens.jwt.base64url import decode_leniently, encode

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

# The members that are read. None of them is private (RFC 7518 §6): an issuer may publish a private
# key by mistake.
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66, "secp256k1": 32}
_RSA_MIN_BITS, _RSA_MAX_BITS = 2048, 8192  # RFC 7518 §3.3, and what an event loop has time for

# What says that a key is for encryption (RFC 7517 §4.2 and §4.3, RFC 7518 §4.1, RFC 8037 §3.2).
_ENCRYPTION_OPERATIONS = ("encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits")
_ENCRYPTION_ALGORITHMS = ("RSA-OAEP", "RSA1_5", "ECDH-ES", "A128", "A192", "A256", "PBES2-", "dir")
_ENCRYPTION_CURVES = ("X25519", "X448")

_TO_BASE64URL = str.maketrans("+/", "-_")


class EncryptionKeyError(ValueError):
    """The key is for encryption. Issuers publish such keys beside the others."""


class JWK(NamedTuple):
    """A public key of OpenSSL, the algorithms that it may be used with, and its names.

    `members` are the public ones, each in the one spelling that RFC 7518 §6 allows. `thumbprints`
    are its certificate's: `x5t` and `x5t#S256` (RFC 7517 §4.8 and §4.9).
    """

    public: Any
    members: Mapping[str, str]
    algorithms: frozenset[str]
    kid: str | None
    thumbprints: frozenset[str]


def read_jwk(jwk: Mapping[str, Any]) -> JWK:
    """Read a JWK. Raises EncryptionKeyError, or another ValueError that says what is wrong."""
    said = {name: value for name, value in jwk.items() if value not in (None, "", [], {})}
    kid, alg, kty = said.get("kid"), said.get("alg"), said.get("kty")
    if not isinstance(kid, str | None):
        raise ValueError("its kid is not a string")
    _check_use(said)
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        # Symmetric keys are refused too: a secret that is published is no secret.
        raise ValueError("its kty is not RSA, EC or OKP")
    fitting = _ALGORITHMS_OF.get((kty, None if kty == "RSA" else _text(said, "crv")))
    if fitting is None:
        raise ValueError("its curve is not one for signatures")
    if not _PRIVATE_MEMBERS.isdisjoint(said):
        raise ValueError("it was published with its private part, so anybody may have it")
    public: dict[str, Any] = {"kty": kty}
    for name in _PUBLIC_MEMBERS[kty]:
        public[name] = said[name] if name == "crv" else _canonical(said, name)
    try:
        imported = JWKRegistry.import_key(public).public_key
    except Exception as error:
        # joserfc and OpenSSL raise errors of many types for a broken key.
        raise ValueError(f"it cannot be read ({type(error).__name__})") from error
    algorithms = frozenset(name for name in fitting if alg in (None, name))
    if not algorithms:
        raise ValueError("no supported algorithm fits it")
    return JWK(imported, public, algorithms, kid, _thumbprints(said))


def check_rsa(bits: int, exponent: int) -> None:
    """Raise ValueError for an RSA key that is too weak, or that takes too long to verify with."""
    if not _RSA_MIN_BITS <= bits <= _RSA_MAX_BITS:
        raise ValueError(f"it has {bits} bits, not {_RSA_MIN_BITS} to {_RSA_MAX_BITS}")
    if exponent % 2 == 0 or not 1 < exponent < 1 << 32:
        raise ValueError("its exponent is not odd, above 1 and within 32 bits")


def _check_use(said: Mapping[str, Any]) -> None:
    use, alg, operations = said.get("use", "sig"), said.get("alg"), said.get("key_ops", "verify")
    if not isinstance(operations, list):
        operations = [operations]
    if (
        use == "enc"
        or said.get("crv") in _ENCRYPTION_CURVES
        or (isinstance(alg, str) and alg.startswith(_ENCRYPTION_ALGORITHMS))
        or all(name in _ENCRYPTION_OPERATIONS for name in operations)
    ):
        raise EncryptionKeyError("it is for encryption")
    if use != "sig" or "verify" not in operations:
        raise ValueError("it is not for signatures")


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise ValueError(f"its {name} is missing or not a string")
    return value


def _canonical(said: Mapping[str, Any], name: str) -> str:
    """Return a member as RFC 7518 §6 requires it: base64url without padding, of the right size."""
    octets = _octets(_text(said, name), name)
    number = int.from_bytes(octets, "big")
    if name == "n":
        # The exponent is checked here, too, before anything is calculated with either.
        check_rsa(number.bit_length(), int.from_bytes(_octets(_text(said, "e"), "e"), "big"))
    if name in ("n", "e"):
        return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
    if said["kty"] == "OKP":  # a text of bytes, and not a number
        return encode(octets)
    size = _COORDINATE_BYTES[said["crv"]]
    if number.bit_length() > 8 * size:
        raise ValueError(f"its {name} is too large for its curve")
    return encode(number.to_bytes(size, "big"))


def _octets(text: str, name: str) -> bytes:
    try:
        return decode_leniently(text)
    except ValueError as error:
        raise ValueError(f"its {name} is not base64url") from error


def _thumbprints(said: Mapping[str, Any]) -> frozenset[str]:
    """Return the thumbprints of a key's certificate. A few issuers publish only the certificate."""
    found = {
        value.translate(_TO_BASE64URL).rstrip("=")
        for value in (said.get("x5t"), said.get("x5t#S256"))
        if isinstance(value, str)
    }
    chain = said.get("x5c")
    if isinstance(chain, list) and chain and isinstance(chain[0], str):
        try:
            certificate = base64.b64decode(chain[0])
        except ValueError:
            return frozenset(found)
        # RFC 7517 §4.8: SHA-1 is the name of a certificate here, and no proof of anything.
        found.add(encode(hashlib.sha1(certificate, usedforsecurity=False).digest()))
        found.add(encode(hashlib.sha256(certificate).digest()))
    return frozenset(found)
