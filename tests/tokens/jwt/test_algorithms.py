"""Which algorithm goes with which key, and who decides?"""

import json
from collections.abc import Callable, Mapping
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import JWKRegistry, Key, RSAKey
from joserfc.jws import JWSRegistry

from hello.auth import ALGORITHMS, Reason, TokenValidator
from hello.sandbox.issuer import OMIT, Issuer, base64url
from hello.tokens.keys.signing_key import SigningKey
from support.api import AUDIENCE
from support.validators import presented, reason_for

# RFC 7518 §3.1, RFC 8037 §3.1, RFC 8812 §3.2, RFC 9864 §2.2: what fits a key. Where nothing that a
# token names does, the key signs with the first of these.
FITTING = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "secp256k1": ("ES256K",),
    "Ed25519": ("EdDSA", "Ed25519"),
}
KIND_FOR = {algorithm: kind for kind, fitting in FITTING.items() for algorithm in fitting}


@pytest.fixture(scope="module")
def kinds(keys: list[Key]) -> Mapping[str, Key]:
    """A key of each kind, named after it, and bound to no algorithm."""
    rsa = {**keys[1].as_dict(private=True), "kid": "RSA"}
    rsa.pop("alg")
    kinds = {
        kind: JWKRegistry.generate_key("OKP" if kind == "Ed25519" else "EC", kind, {"kid": kind})
        for kind in FITTING
        if kind != "RSA"
    }
    return {**kinds, "RSA": JWKRegistry.import_key(rsa)}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_rsa_key_is_of_any_size_from_2048_bits(algorithm: str) -> None:
    """And a signature is as long as the modulus, to the last byte."""
    key = RSAKey.import_key(
        rsa.generate_private_key(65537, 2050).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    signature = JWSRegistry.algorithms[algorithm].sign(b"input", key)
    verifies = SigningKey(key.as_dict(private=False)).verifies
    assert verifies(signature, b"input", algorithm)
    assert not verifies(b"\0" + signature, b"input", algorithm)
    assert not verifies(signature[1:], b"input", algorithm)


@pytest.fixture
def issuer(issuer: Issuer, kinds: Mapping[str, Key]) -> Issuer:
    """An issuer that publishes these keys, and its own."""
    for key in kinds.values():
        issuer.publish(key)
    return issuer


def signed(
    issuer: Issuer,
    key: Key,
    algorithm: str,
    *,
    named: str | None = None,
    change: Callable[[bytes], bytes] = bytes,
) -> str:
    """Sign with a key and an algorithm, and name this or another one in the header."""
    header = {"alg": named or algorithm, "kid": key.kid}
    payload = issuer.mint().split(".")[1]
    signing_input = f"{base64url(json.dumps(header).encode())}.{payload}"
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), key)
    return f"{signing_input}.{base64url(change(signature))}"


def validator_for(issuer: Issuer, *algorithms: str) -> TokenValidator:
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, algorithms=algorithms)


def test_every_algorithm_has_its_rows_below() -> None:
    assert set(KIND_FOR) == ALGORITHMS


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
async def test_an_algorithm_is_good_where_it_is_allowed(
    issuer: Issuer, kinds: Mapping[str, Key], algorithm: str
) -> None:
    token = signed(issuer, kinds[KIND_FOR[algorithm]], algorithm)
    others = ALGORITHMS - {algorithm}
    assert await reason_for(validator_for(issuer, *others), token) is Reason.ALGORITHM
    assert not issuer.requests
    accepted = await validator_for(issuer, algorithm).validate(presented(token))
    assert accepted.header["alg"] == algorithm


@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
async def test_an_algorithm_goes_with_the_keys_that_fit_it(
    issuer: Issuer, kinds: Mapping[str, Key], algorithm: str, kind: str
) -> None:
    """Each token's signature is one that its key really made, as the key's own kind does it."""
    validator = validator_for(issuer, *ALGORITHMS)
    fits = algorithm in FITTING[kind]
    token = signed(issuer, kinds[kind], algorithm if fits else FITTING[kind][0], named=algorithm)
    if fits:
        assert (await validator.validate(presented(token))).token == token
    else:
        assert await reason_for(validator, token) is Reason.UNFIT_KEY


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS - {"RS256"}))
async def test_a_key_that_is_bound_to_an_algorithm_fits_no_other(
    issuer: Issuer, algorithm: str
) -> None:
    """RFC 7517 §4.4; the issuer's own key says RS256."""
    used = algorithm if algorithm in FITTING["RSA"] else "RS256"
    token = signed(issuer, issuer.key, used, named=algorithm)
    assert await reason_for(validator_for(issuer, *ALGORITHMS), token) is Reason.UNFIT_KEY


def halves_swapped(signature: bytes) -> bytes:
    half = len(signature) // 2
    return signature[half:] + signature[:half]


def as_der(signature: bytes) -> bytes:
    """What TLS and most tools write for a curve's signature, and JWS does not."""
    half = len(signature) // 2
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"\x00",
        lambda s: bytes(len(s)),  # r = s = 0: "psychic signatures", CVE-2022-21449
        lambda s: b"\xff" * len(s),
        lambda s: b"\x00" + s,
        lambda s: s + b"\x00",
        lambda s: s[:-1],
        lambda s: s + s,
        lambda s: s[:-1] + bytes([s[-1] ^ 1]),
        halves_swapped,
        as_der,
    ],
)
async def test_a_signature_has_one_form(
    issuer: Issuer,
    kinds: Mapping[str, Key],
    algorithm: str,
    change: Callable[[bytes], bytes],
) -> None:
    token = signed(issuer, kinds[KIND_FOR[algorithm]], algorithm, change=change)
    assert await reason_for(validator_for(issuer, algorithm), token) is Reason.SIGNATURE


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "PS384", "PS512"])
def test_a_signature_is_as_long_as_its_key(keys: list[Key], algorithm: str) -> None:
    """RFC 8017 §8.1.2 and §8.2.2, step 1: else one signature could be written in two ways."""
    jwk = keys[1].as_dict(private=False) | {"alg": algorithm}
    public = SigningKey(jwk)
    model = JWSRegistry.algorithms[algorithm]
    tries = ((b"%d" % number, model.sign(b"%d" % number, keys[1])) for number in count())
    signing_input, signature = next(pair for pair in tries if pair[1][0] == 0)
    assert public.verifies(signature, signing_input, algorithm)
    assert not public.verifies(signature[1:], signing_input, algorithm)
    assert not public.verifies(b"\x00" + signature, signing_input, algorithm)


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        ("ES256", None),
        ("ES512", None),
        ("Ed25519", None),
        ("RS384", None),
        ("RS256", Reason.UNFIT_KEY),  # the issuer's own key fits too
    ],
)
async def test_without_a_kid_one_key_may_fit(
    issuer: Issuer, kinds: Mapping[str, Key], algorithm: str, reason: Reason | None
) -> None:
    key = kinds[KIND_FOR[algorithm]]
    token = issuer.mint(header={"alg": algorithm, "kid": OMIT}, key=key)
    validator = validator_for(issuer, *ALGORITHMS)
    if reason is None:
        assert (await validator.validate(presented(token))).token == token
    else:
        assert await reason_for(validator, token) is reason
