"""Which of the keys that an issuer publishes are used, and for which tokens?"""

import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import JWKRegistry, Key

from hello.auth import Reason, TokenValidator
from hello.sandbox.issuer import OMIT, base64url
from hello.sandbox.issuer.signing import changed
from hello.tokens.keys.key_set import load_key_set
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, at_once, validating
from support.logs import faults
from support.naming import naming
from support.validators import presented, reason_for

Jwk = dict[str, Any]
SECRET = base64url(b"a published secret is none")


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


# Each has the issuer's own kid if it can have one, so as to be in the way of the good key. With it:
# what the log names, if it names a member or a number.
BAD_KEYS: Mapping[str, tuple[Callable[[Jwk], Any], str]] = {
    "null": (lambda _: None, ""),
    "a string": (lambda jwk: jwk["n"], ""),
    "a list": (lambda jwk: [jwk], ""),
    "an empty object": (lambda _: {}, "kty"),
    "a symmetric key": (rsa(kty="oct", k=SECRET), "kty"),
    "a symmetric key that says RS256": (rsa(kty="oct", k=SECRET, alg="RS256"), "kty"),
    "an unknown kty": (rsa(kty="AKP"), "kty"),
    "a kty in lower case": (rsa(kty="rsa"), "kty"),
    "a number as kty": (rsa(kty=1), "kty"),
    "a list as kty": (rsa(kty=["RSA"]), "kty"),
    "a number as kid": (rsa(kid=1), "kid"),
    "a list as kid": (rsa(kid=["a"]), "kid"),
    "a list as use": (rsa(use=["sig"]), ""),
    "key_ops without verify": (rsa(key_ops=["sign", "encrypt"]), ""),
    "a number as key_ops": (rsa(key_ops=1), ""),
    "no n": (rsa(n=OMIT), "n"),
    "a number as n": (rsa(n=65537), "n"),
    "no e": (rsa(e=OMIT), "e"),
    "an empty n": (rsa(n=""), "n"),
    "an n that is not base64": (rsa(n="A" * 345), ""),
    "an n that is not ASCII": (rsa(n="é" * 342), ""),
    "an n of 1024 bits": (rsa(n=number(1 << 1023 | 1)), "2048"),
    "an n of 2047 bits": (rsa(n=number(1 << 2046 | 1)), "2048"),
    "an n of 2048 bits, most of them zero": (rsa(n=base64url(bytes(255) + b"\1")), "2048"),
    "an e of 0": (rsa(e=number(0)), ""),
    "an e of 1": (rsa(e=number(1)), ""),
    "an e of 2": (rsa(e=number(2)), ""),
    "an e that is not base64": (rsa(e="A"), ""),
    "alg of MACs": (rsa(alg="HS256"), ""),
    "alg none": (rsa(alg="none"), ""),
    "alg of another kty": (rsa(alg="ES256"), ""),
    "a list as alg": (rsa(alg=["RS256"]), ""),
    "alg of another curve": (elliptic(alg="ES384"), ""),
    "no x": (elliptic(x=OMIT), "x"),
    "a number as y": (elliptic(y=1), "y"),
    "no crv": (elliptic(crv=OMIT), "crv"),
    "a number as crv": (elliptic(crv=256), "crv"),
    "a point off the curve": (elliptic(x=number(1), y=number(1)), ""),
    "a point of another curve": (elliptic(crv="P-384"), ""),
    "a curve that nobody asked for": (elliptic("Ed448"), ""),
    "a short x": (elliptic("Ed25519", x=base64url(bytes(31))), ""),
}


@pytest.fixture
def jwk(keys: list[Key]) -> Jwk:
    """A good key."""
    return dict(keys[0].as_dict(private=False))


def load(*entries: Any) -> int:
    return len(load_key_set(json.dumps({"keys": entries}).encode()))


def skipped(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int, str]]:
    """What the log says of each set: how many keys were skipped, of how many, and why."""
    found = []
    for record in faults(caplog):
        assert record.levelno == logging.WARNING
        assert isinstance(record.args, tuple)
        bad, whole, why = record.args
        assert isinstance(bad, int)
        assert isinstance(whole, int)
        found.append((bad, whole, str(why)))
    return found


@pytest.mark.parametrize(("make", "named"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_bad_key_costs_only_itself(
    jwk: Jwk, caplog: pytest.LogCaptureFixture, make: Callable[[Jwk], Any], named: str
) -> None:
    bad = make(jwk)
    assert load(bad, jwk) == 1
    assert load(jwk, bad) == 1
    assert [(bad, whole) for bad, whole, _ in skipped(caplog)] == [(1, 2), (1, 2)]
    for _, _, why in skipped(caplog):
        assert re.search(naming(named), why)
    with pytest.raises(ValueError, match=r"\w"):
        load(bad)
    assert SECRET not in caplog.text


async def test_a_set_with_every_bad_key_is_as_good_as_its_good_one(
    issuer: FailingIssuer, validator: TokenValidator, caplog: pytest.LogCaptureFixture
) -> None:
    (good,) = issuer.published
    bad = [make(dict(good)) for make, _ in BAD_KEYS.values()]
    bad = bad[:49]  # a hundred keys are looked at
    issuer.published = [*bad, good, *bad]
    await validator.validate(presented(issuer.mint()))
    for _ in range(10):
        at_once(validator.validate(presented(issuer.mint())))
    [(count, whole, why)] = skipped(caplog)
    assert whole == 2 * len(bad) + 1
    assert count == whole - 1
    assert len(why) < 1000


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


def test_a_key_that_was_published_with_its_private_part_is_not_used(keys: list[Key]) -> None:
    """Whoever has seen the set can sign with it."""
    private = keys[0].as_dict(private=True)
    with pytest.raises(ValueError, match="usable"):
        load(private)
    assert load(private, keys[1].as_dict(private=False)) == 1
    for member in ("d", "p", "q", "dp", "dq", "qi"):
        public = {**keys[0].as_dict(private=False), member: private[member]}
        with pytest.raises(ValueError, match="usable"):
            load(public)


def test_a_hundred_keys_of_a_set_are_looked_at(jwk: Jwk, caplog: pytest.LogCaptureFixture) -> None:
    assert load(*[{"kty": "none"}] * 99, jwk) == 1
    with pytest.raises(ValueError, match="usable"):
        load(*[{"kty": "none"}] * 100, jwk)
    with pytest.raises(ValueError, match="usable"):
        load(*[{"kty": f"{number}"} for number in range(20_000)])
    assert [(bad, whole) for bad, whole, _ in skipped(caplog)] == [
        (99, 100),
        (101, 101),
        (20_000, 20_000),
    ]
    assert sum(map(len, caplog.messages)) < 1000


def rsa_of(modulus: int, exponent: int = 65537) -> dict[str, Any]:
    def encoded(number: int) -> str:
        return base64url(number.to_bytes((number.bit_length() + 7) // 8))

    return {"kty": "RSA", "n": encoded(modulus), "e": encoded(exponent)}


@pytest.mark.parametrize(
    ("bits", "exponent", "usable"),
    [
        (2047, 65537, False),
        (2048, 65537, True),
        (8192, 65537, True),
        (8193, 65537, False),
        (16_384, 65537, False),
        (1_500_000, 65537, False),
        (2048, 1, False),
        (2048, 2, False),
        (2048, 3, True),
        (2048, 65536, False),
        (2048, (1 << 32) - 1, True),
        (2048, (1 << 32) + 1, False),
        (2048, (1 << 2000) + 1, False),
    ],
)
def test_an_rsa_key_is_neither_weak_nor_slow(bits: int, exponent: int, *, usable: bool) -> None:
    jwk = rsa_of((1 << (bits - 1)) + 1, exponent)
    if usable:
        assert load(jwk) == 1
    else:
        with pytest.raises(ValueError, match="usable"):
            load(jwk)


async def test_a_kid_names_the_key(
    issuer: FailingIssuer, validator: TokenValidator, keys: list[Key]
) -> None:
    issuer.publish(keys[1])
    issuer.publish(keys[2])
    for key in keys:
        await validator.validate(presented(issuer.mint(key=key)))
        for other in keys:
            token = issuer.mint(key=key, header={"kid": other.kid})
            if other is not key:
                assert await reason_for(validator, token) is Reason.SIGNATURE
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
        await validator.validate(presented(token))
    else:
        assert await reason_for(validator, token) is reason
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
    assert await reason_for(validator, issuer.mint()) is reason


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
    await validator.validate(presented(issuer.mint()))
    assert issuer.asked == (1, 1)
