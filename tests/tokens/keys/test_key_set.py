"""Which of the keys that an issuer publishes are used, and for which tokens?"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import JWKRegistry, Key

from hello.auth import InvalidTokenError, Reason, TokenValidator
from hello.auth.keys import load_key_set
from hello.sandbox.issuer import OMIT, base64url
from hello.sandbox.signing import changed
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, at_once, validating

Jwk = dict[str, Any]
SECRET = base64url(b"a published secret is none")


@pytest.fixture
async def issuer(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


@pytest.fixture
async def validator(issuer: FailingIssuer, clock: FakeClock) -> AsyncIterator[TokenValidator]:
    async with validating(issuer, clock, algorithms=["RS256", "ES256"]) as validator:
        yield validator


def rsa(**changes: Any) -> Callable[[Jwk], Any]:
    """The issuer's own key, with other members."""
    return lambda jwk: changed(jwk, changes)


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def elliptic(curve: str = "P-256", **changes: Any) -> Callable[[Jwk], Any]:
    """A good key on a curve, with other members and the kid of the issuer's own."""

    def make(jwk: Jwk) -> Jwk:
        key = JWKRegistry.generate_key("EC" if curve.startswith("P-") else "OKP", curve)
        return changed(key.as_dict(private=False), {"kid": jwk["kid"], **changes})

    return make


NOT_AN_OBJECT = "is not a JSON object"
NOT_FOR_SIGNATURES = "is not for signatures"
KTY = "its kty is not RSA, EC or OKP"
UNREADABLE = "it cannot be read"
UNFIT = "no supported algorithm fits it"
CURVE = "its curve is not one for signatures"
# Each has the issuer's own kid if it can have one, so as to be in the way of the good key.
BAD_KEYS: Mapping[str, tuple[Callable[[Jwk], Any], str]] = {
    "null": (lambda _: None, NOT_AN_OBJECT),
    "a string": (lambda jwk: jwk["n"], NOT_AN_OBJECT),
    "a list": (lambda jwk: [jwk], NOT_AN_OBJECT),
    "an empty object": (lambda _: {}, KTY),
    "a symmetric key": (rsa(kty="oct", k=SECRET), KTY),
    "a symmetric key that says RS256": (rsa(kty="oct", k=SECRET, alg="RS256"), KTY),
    "an unknown kty": (rsa(kty="AKP"), KTY),
    "a kty in lower case": (rsa(kty="rsa"), KTY),
    "a number as kty": (rsa(kty=1), KTY),
    "a list as kty": (rsa(kty=["RSA"]), KTY),
    "a number as kid": (rsa(kid=1), "its kid is not a string"),
    "a list as kid": (rsa(kid=["a"]), "its kid is not a string"),
    "a key for encryption": (rsa(use="enc"), NOT_FOR_SIGNATURES),
    "a list as use": (rsa(use=["sig"]), NOT_FOR_SIGNATURES),
    "key_ops without verify": (rsa(key_ops=["sign", "encrypt"]), NOT_FOR_SIGNATURES),
    "empty key_ops": (rsa(key_ops=[]), NOT_FOR_SIGNATURES),
    "a number as key_ops": (rsa(key_ops=1), NOT_FOR_SIGNATURES),
    "a string as key_ops": (rsa(key_ops="verify"), NOT_FOR_SIGNATURES),
    "no n": (rsa(n=OMIT), "its n is missing or not a string"),
    "a number as n": (rsa(n=65537), "its n is missing or not a string"),
    "no e": (rsa(e=OMIT), "its e is missing or not a string"),
    "an empty n": (rsa(n=""), "fewer than 2048 bits"),
    "an n that is not base64": (rsa(n="A" * 345), "base64"),
    "an n that is not ASCII": (rsa(n="é" * 342), "ASCII"),
    "an n of 1024 bits": (rsa(n=number(1 << 1023 | 1)), "fewer than 2048 bits"),
    "an n of 2047 bits": (rsa(n=number(1 << 2046 | 1)), "fewer than 2048 bits"),
    "an n of 2048 bits, most of them zero": (rsa(n=base64url(bytes(255) + b"\1")), "fewer than"),
    "an e of 0": (rsa(e=number(0)), UNREADABLE),
    "an e of 1": (rsa(e=number(1)), UNREADABLE),
    "an e of 2": (rsa(e=number(2)), UNREADABLE),
    "an e that is not base64": (rsa(e="A"), UNREADABLE),
    "alg of encryption": (rsa(alg="RSA-OAEP"), UNFIT),
    "alg of MACs": (rsa(alg="HS256"), UNFIT),
    "alg none": (rsa(alg="none"), UNFIT),
    "alg of another kty": (rsa(alg="ES256"), UNFIT),
    "a list as alg": (rsa(alg=["RS256"]), UNFIT),
    "alg of another curve": (elliptic(alg="ES384"), UNFIT),
    "no x": (elliptic(x=OMIT), "its x is missing or not a string"),
    "a number as y": (elliptic(y=1), "its y is missing or not a string"),
    "no crv": (elliptic(crv=OMIT), "its crv is missing or not a string"),
    "a number as crv": (elliptic(crv=256), "its crv is missing or not a string"),
    "a point off the curve": (elliptic(x=number(1), y=number(1)), UNREADABLE),
    "a point of another curve": (elliptic(crv="P-384"), UNREADABLE),
    "a curve for key agreement": (elliptic("X25519"), CURVE),
    "a curve that nobody asked for": (elliptic("Ed448"), CURVE),
    "a short x": (elliptic("Ed25519", x=base64url(bytes(31))), UNREADABLE),
}


@pytest.fixture
def jwk(keys: list[Key]) -> Jwk:
    """A good key."""
    return dict(keys[0].as_dict(private=False))


def load(*entries: Any) -> int:
    return len(load_key_set(json.dumps({"keys": entries}).encode()))


@pytest.mark.parametrize(("make", "logged"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_bad_key_costs_only_itself(
    jwk: Jwk, caplog: pytest.LogCaptureFixture, make: Callable[[Jwk], Any], logged: str
) -> None:
    bad = make(jwk)
    assert load(bad, jwk) == 1
    assert load(jwk, bad) == 1
    first, second = caplog.messages
    assert first.startswith("skipped key 0 of the issuer's set: ")
    assert second.startswith("skipped key 1 of the issuer's set: ")
    assert logged in first
    with pytest.raises(ValueError, match="no usable key"):
        load(bad)
    assert SECRET not in caplog.text


async def test_a_set_with_every_bad_key_is_as_good_as_its_good_one(
    issuer: FailingIssuer, validator: TokenValidator, caplog: pytest.LogCaptureFixture
) -> None:
    (good,) = issuer.published
    bad = [make(dict(good)) for make, _ in BAD_KEYS.values()]
    issuer.published = [*bad, good, *bad]
    await validator.validate(issuer.mint())
    for _ in range(10):
        at_once(validator.validate(issuer.mint()))
    skipped = [record for record in caplog.records if "skipped key" in record.getMessage()]
    assert len(skipped) == 2 * len(bad)
    assert {record.levelno for record in skipped} == {logging.WARNING}


@pytest.mark.parametrize(
    "make",
    [
        rsa(use=OMIT, alg=OMIT, kid=OMIT),
        rsa(use="sig", alg="RS256", key_ops=["verify"]),
        rsa(key_ops=["sign", "verify"], x5c=1, unheard_of=None),
        rsa(alg="PS512"),
        elliptic("P-256"),
        elliptic("P-384", alg="ES384"),
        elliptic("P-521"),
        elliptic("Ed25519"),
        elliptic("Ed25519", alg="EdDSA"),
        elliptic("Ed25519", alg="Ed25519"),
    ],
)
def test_good_keys(jwk: Jwk, caplog: pytest.LogCaptureFixture, make: Callable[[Jwk], Any]) -> None:
    assert load(make(jwk)) == 1
    assert not caplog.messages


def test_of_a_private_key_only_the_public_half_is_kept(keys: list[Key]) -> None:
    """Whatever an issuer publishes by mistake."""
    private = keys[0].as_dict(private=True)
    key_set = load_key_set(json.dumps({"keys": [private]}).encode())
    key: Any = key_set.find(keys[0].kid, "RS256")
    assert key._key.is_private is False
    assert "d" not in key._key.as_dict()


async def reason_for(token: str, validator: TokenValidator) -> Reason:
    with pytest.raises(InvalidTokenError) as refusal:
        await validator.validate(token)
    return refusal.value.reason


async def test_a_kid_names_the_key(
    issuer: FailingIssuer, validator: TokenValidator, keys: list[Key]
) -> None:
    issuer.publish(keys[1])
    issuer.publish(keys[2])
    for key in keys:
        await validator.validate(issuer.mint(key=key))
        for other in keys:
            token = issuer.mint(key=key, header={"kid": other.kid})
            if other is not key:
                assert await reason_for(token, validator) is Reason.SIGNATURE
    assert issuer.asked == (1, 1)


ES256 = elliptic(kid="curve")
FITS_RS256 = rsa(kid="another", alg=OMIT)


@pytest.mark.parametrize(
    ("own", "others", "reason"),
    [
        (rsa(), [], None),
        (rsa(kid=OMIT), [], None),
        (rsa(alg=OMIT), [ES256, rsa(alg="RS512"), rsa(alg="PS256")], None),
        (rsa(), [rsa(use="enc"), rsa(kty="oct", k=SECRET)], None),
        (rsa(), [FITS_RS256], Reason.UNFIT_KEY),
        (rsa(), [rsa(kid=OMIT)], Reason.UNFIT_KEY),
        (rsa(alg="RS512"), [ES256], Reason.UNFIT_KEY),
        (rsa(alg="PS256"), [], Reason.UNFIT_KEY),
    ],
)
async def test_without_a_kid_it_is_the_only_key_that_fits(
    issuer: FailingIssuer,
    validator: TokenValidator,
    own: Callable[[Jwk], Jwk],
    others: list[Callable[[Jwk], Jwk]],
    reason: Reason | None,
) -> None:
    """Nor does such a token force a fetch: the keys are all known already."""
    (jwk,) = issuer.published
    issuer.published = [make(dict(jwk)) for make in (*others, own)]
    token = issuer.mint(header={"kid": OMIT})
    if reason is None:
        await validator.validate(token)
    else:
        assert await reason_for(token, validator) is reason
    assert issuer.asked == (1, 1)


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        ([rsa(alg="RS512")], Reason.UNFIT_KEY),
        ([rsa(alg="PS256")], Reason.UNFIT_KEY),
        ([elliptic()], Reason.UNFIT_KEY),
        ([rsa(use="enc"), ES256], Reason.UNKNOWN_KEY),
        ([rsa(kty="oct", k=SECRET), ES256], Reason.UNKNOWN_KEY),
        ([rsa(kid=OMIT)], Reason.UNKNOWN_KEY),
        ([FITS_RS256], Reason.UNKNOWN_KEY),
        ([rsa(kid="")], Reason.UNKNOWN_KEY),
    ],
)
async def test_a_key_of_that_name_has_to_fit(
    issuer: FailingIssuer,
    validator: TokenValidator,
    published: list[Callable[[Jwk], Jwk]],
    reason: Reason,
) -> None:
    (jwk,) = issuer.published
    issuer.published = [make(dict(jwk)) for make in published]
    assert await reason_for(issuer.mint(), validator) is reason


@pytest.mark.parametrize(
    "other",
    [elliptic(), rsa(alg="RS512"), rsa(alg="PS256"), rsa(use="enc"), rsa(), rsa(alg=OMIT)],
)
@pytest.mark.parametrize("first", [True, False])
async def test_of_two_keys_of_one_name_one_that_fits_is_used(
    issuer: FailingIssuer,
    validator: TokenValidator,
    other: Callable[[Jwk], Jwk],
    *,
    first: bool,
) -> None:
    """RFC 7517 §4.5: keys of different types may share a kid. One may also be listed twice."""
    (jwk,) = issuer.published
    others = [other(dict(jwk))]
    issuer.published = [*others, jwk] if first else [jwk, *others]
    await validator.validate(issuer.mint())
    assert issuer.asked == (1, 1)
