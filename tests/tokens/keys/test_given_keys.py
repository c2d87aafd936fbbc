"""Keys that an application gives directly: what do they verify, and which options contradict?"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from hello.auth import TokenValidator, TrustedIssuer
from hello.sandbox.issuer import sign
from hello.tokens.keys.signing_key import SecretKey
from support.api import AUDIENCE
from support.forger import certificate_pem, public_pem
from support.naming import naming
from support.validators import presented, reason_for

OURS = "https://ours.example.com/"
SECRET = b"0123456789abcdef" * 4


def given(**options: Any) -> TokenValidator:
    return TokenValidator(issuers=[TrustedIssuer(issuer=OURS, audience=AUDIENCE, **options)])


def signed(key: Key, alg: str, *, kid: str | None = None, **claims: Any) -> str:
    """A token of OURS."""
    names = {} if kid is None else {"kid": kid}
    payload = {"iss": OURS, "aud": AUDIENCE, "exp": 4_000_000_000, "sub": "alice", **claims}
    return sign({"alg": alg, **names}, payload, key)


@pytest.mark.parametrize(
    "form",
    [
        public_pem,
        lambda key: public_pem(key).encode(),
        certificate_pem,
        lambda key: key.as_dict(private=False),
        lambda key: json.dumps(key.as_dict(private=False)),
        lambda key: f"\n {json.dumps(key.as_dict(private=False))}\n",
        lambda key: {"keys": [5, key.as_dict(private=False)]},
        lambda key: {"keys": [key.as_dict(private=False), {"kty": "oct", "k": "AAAA"}]},
        lambda key: json.dumps({"keys": [key.as_dict(private=False)]}).encode(),
        lambda key: [key.as_dict(private=False)],
        lambda key: [public_pem(key)],
        lambda key: (public_pem(key),),
    ],
)
async def test_keys_can_be_given_directly(keys: list[Key], form: Callable[[Key], Any]) -> None:
    """In each of these forms; and then nothing is fetched, wherever the issuer is."""
    validator = given(keys=form(keys[0]))
    for token in (signed(keys[0], "RS256"), signed(keys[0], "RS256", kid=keys[0].kid)):
        assert (await validator.validate(presented(token))).subject == "alice"
    assert await reason_for(validator, signed(keys[1], "RS256")) == "signature"
    assert await reason_for(validator, signed(keys[0], "RS384")) == "algorithm"
    confused = OctKey.import_key(public_pem(keys[0]).replace("-----", "+++++"))
    assert await reason_for(validator, signed(confused, "HS256")) == "algorithm"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("ES256K", ECKey.generate_key("secp256k1")),
        ("ES384", ECKey.generate_key("P-384")),
        ("ES512", ECKey.generate_key("P-521")),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_a_curves_key_in_pem(algorithm: str, key: ECKey | OKPKey) -> None:
    validator = given(keys=key.as_pem(private=False), algorithms=[algorithm])
    assert (await validator.validate(presented(signed(key, algorithm)))).subject == "alice"


async def test_a_given_key_with_a_kid_is_for_tokens_that_name_it(keys: list[Key]) -> None:
    one, two = (key.as_dict(private=False) for key in keys[:2])
    validator = given(keys=[one, two])
    for key in keys[:2]:
        await validator.validate(presented(signed(key, "RS256", kid=key.kid)))
    assert await reason_for(validator, signed(keys[0], "RS256", kid=keys[1].kid)) == "signature"
    assert await reason_for(validator, signed(keys[0], "RS256", kid="x")) == "unknown_key"
    assert await reason_for(validator, signed(keys[0], "RS256")) == "unfit_key"


async def test_a_given_key_without_a_kid_stands_in_for_names_that_nobody_has(
    keys: list[Key],
) -> None:
    validator = given(keys=[public_pem(keys[0]), keys[1].as_dict(private=False)])
    await validator.validate(presented(signed(keys[0], "RS256", kid="x")))
    assert await reason_for(validator, signed(keys[0], "RS256", kid=keys[1].kid)) == "signature"


@pytest.mark.parametrize("bits", [256, 384, 512])
@pytest.mark.parametrize("text", [True, False])
async def test_a_secret(bits: int, *, text: bool) -> None:
    algorithm, secret = f"HS{bits}", SECRET[: bits // 8]
    validator = given(secret=secret.decode() if text else secret, algorithms=[algorithm])
    key = OctKey.import_key(secret)
    for kid in (None, "x"):
        token = await validator.validate(presented(signed(key, algorithm, kid=kid)))
        assert (token.subject, token.issuer) == ("alice", OURS)
    assert not SecretKey(secret, [algorithm]).verifies(b"", b"", "HS1")
    wrong = OctKey.import_key(secret[:-1] + b"!")
    assert await reason_for(validator, signed(wrong, algorithm)) == "signature"
    other = {"HS256": "HS384", "HS384": "HS512", "HS512": "HS256"}[algorithm]
    assert await reason_for(validator, signed(key, other)) == "algorithm"
    short = signed(key, algorithm).rpartition(".")[0] + "."
    assert await reason_for(validator, short) == "signature"


async def test_a_secret_is_for_hs256_where_nothing_else_is_said(keys: list[Key]) -> None:
    validator = given(secret=SECRET)
    await validator.validate(presented(signed(OctKey.import_key(SECRET), "HS256")))
    assert await reason_for(validator, signed(keys[0], "RS256")) == "algorithm"


def test_a_secret_is_in_no_repr() -> None:
    assert "0123" not in repr(TrustedIssuer(issuer=OURS, audience=AUDIENCE, secret=SECRET))


def pem(key: dsa.DSAPrivateKey | rsa.RSAPrivateKey) -> bytes:
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form)


EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"issuer": ""}, ["issuer"]),
        ({"issuer": None}, ["issuer"]),
        ({"issuer": "a name"}, ["issuer", "'a name'"]),
        ({"issuer": "http://ours.example.com"}, ["issuer", "'http://ours.example.com'"]),
        ({"issuer": "https://a.example.com/?q"}, ["issuer", "'https://a.example.com/?q'"]),
        ({"issuer": "https://a.example.com/#f"}, ["issuer", "'https://a.example.com/#f'"]),
        ({"jwks_uri": "http://a.example.com/jwks"}, ["jwks_uri", "'http://a.example.com/jwks'"]),
        ({"audience": ()}, ["audience", ()]),
        ({"audience": None}, ["audience", None]),
        ({"audience": 7}, ["audience", 7]),
        ({"keys": EC.as_dict(private=False), "jwks_uri": OURS}, ["keys", "jwks_uri"]),
        ({"secret": SECRET[:31]}, ["secret", 32]),
        ({"secret": SECRET[:47], "algorithms": ["HS256", "HS384"]}, ["secret", 48]),
        ({"secret": SECRET[:63], "algorithms": ["HS512"]}, ["secret", 64]),
        ({"secret": 7}, ["secret", 32]),
        ({"secret": RSA.as_pem(private=False)}, ["secret", "keys"]),
        ({"secret": EC.as_pem(private=False).decode()}, ["secret", "keys"]),
        ({"secret": "-----BEGIN CERTIFICATE-----\nMIIC8DCCAdig\n-----END…"}, ["secret", "keys"]),
        ({"secret": "-----BEGIN RSA PUBLIC KEY-----\nMIIC8DCCAdig"}, ["secret", "keys"]),
        ({"secret": SECRET, "algorithms": ["RS256"]}, ["algorithms", "HS256"]),
        (
            {"secret": SECRET, "algorithms": ["HS256"], "jwks_uri": OURS},
            ["jwks_uri", "algorithms"],
        ),
        ({"secret": SECRET, "algorithms": ["HS256"], "keys": RSA.as_pem(private=False)}, ["keys"]),
        ({"secret": SECRET, "algorithms": []}, ["algorithms", "HS256"]),
        ({"algorithms": ["HS256"]}, ["algorithms", "HS256", "secret"]),
        ({"algorithms": ["RS256", "HS256"]}, ["algorithms", "HS256", "secret"]),
        ({"algorithms": [["RS256"]]}, ["algorithms"]),
        ({"algorithms": "RS256"}, ["algorithms", ["RS256"]]),
        ({"keys": "partner.pem"}, ["keys"]),
        ({"keys": "[]"}, ["keys"]),
        ({"keys": "{nonsense"}, ["keys"]),
        ({"keys": "{}"}, ["kty"]),
        ({"keys": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, ["keys"]),
        ({"keys": pem(dsa.generate_private_key(2048))}, ["keys", "RSA", "EC", "Ed25519"]),
        ({"keys": RSA.as_pem(private=True)}, ["keys", "private"]),
        ({"keys": RSA.as_dict(private=True)}, ["keys", "private"]),
        ({"keys": {"keys": [None, RSA.as_dict(private=True)]}}, ["keys", "private"]),
        ({"keys": pem(rsa.generate_private_key(65537, 1024))}, ["keys", 2048]),
        ({"keys": []}, ["keys"]),
        ({"keys": [RSA.as_dict(private=False, kid="x")] * 5}, ["keys", 4, "'x'", "RS256"]),
        ({"keys": RSA.as_pem(private=False) * 5}, ["keys", 4, "RS256"]),
        ({"keys": RSA.as_pem(private=False)[:-30]}, ["keys", "END"]),
        ({"keys": "-----BEGIN DH PARAMETERS-----\nAA==\n-----END DH PARAMETERS-----"}, ["DH"]),
        ({"keys": public_pem(RSA).split("-----")[2]}, ["BEGIN PUBLIC KEY"]),
        ({"keys": {"a": "partner.pem"}}, ["keys", "kty"]),
        ({"keys": b"\xff\xff"}, ["keys"]),
        ({"audience_claim": ""}, ["audience_claim"]),
        ({"audience_claim": None}, ["audience_claim"]),
        ({"allow_insecure_http": "false"}, ["allow_insecure_http", "'false'"]),
        ({"types": "JOSE"}, ["types", "'JOSE'"]),
        ({"types": [1]}, ["types"]),
        ({"types": [""]}, ["types"]),
        ({"types": ["application/DPoP+jwt"]}, ["types", "dpop+jwt"]),
        ({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}, ["issuer", "iss"]),
        ({"keys": Path("p.pem")}, ["keys", "'p.pem'"]),
        ({"keys": 7}, ["keys", 7]),
        ({"keys": [None]}, ["keys", None]),
        ({"keys": [[]]}, ["keys"]),
        ({"keys": {"kty": "oct", "k": "AAAA"}}, ["keys", "kty"]),
        ({"keys": {"keys": []}}, ["keys"]),
        ({"keys": {"keys": "x"}}, ['"keys"']),
        ({"keys": {"keys": None}}, ['"keys"']),
        ({"keys": '{"keys": 5}'}, ['"keys"']),
        ({"keys": EC.as_pem(private=False)}, ["keys", "RS256"]),
        ({"keys": EC.as_pem(private=False), "algorithms": ["ES256", "ES384"]}, ["keys", "ES384"]),
    ],
)
def test_contradictory_options_are_told_when_they_are_given(
    options: dict[str, Any], named: list[object]
) -> None:
    with pytest.raises(ValueError, match=naming(*named)):
        TrustedIssuer(**{"issuer": OURS, "audience": AUDIENCE, **options})
