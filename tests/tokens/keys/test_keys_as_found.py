"""Key sets and keys as people really have them: which odd forms have one meaning and are read?"""

import base64
import codecs
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, base64url, sign
from hello.sandbox.issuer.signing import changed
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import JWKS, METADATA, FailingIssuer, rewritten, validating
from support.forger import certificate_pem, public_pem
from support.logs import faults
from support.naming import naming
from support.validators import presented, reason_for

Jwk = dict[str, Any]
Change = Callable[[Jwk], Jwk]

OURS = "https://ours.example.com/"


def members(**changes: Any) -> Change:
    return lambda jwk: changed(jwk, changes)


def raw(jwk: Jwk, name: str) -> bytes:
    return base64.urlsafe_b64decode(jwk[name] + "=" * (-len(jwk[name]) % 4))


def written(*names: str, by: Callable[[bytes], bytes]) -> Change:
    """The same octets, encoded in another way."""
    return lambda jwk: {**jwk, **{name: by(raw(jwk, name)).decode() for name in names}}


def padded_url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets)


def in_lines(octets: bytes) -> bytes:
    return base64.encodebytes(octets)


def with_zeros(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(b"\0\0" + octets).rstrip(b"=")


def without_zeros(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets.lstrip(b"\0")).rstrip(b"=")


ODD: Mapping[str, Change] = {
    "key_ops is an empty list": members(use="sig", key_ops=[], oth=[], x5c=[]),
    "key_ops is null": members(use="sig", key_ops=None),
    "key_ops is a string": members(key_ops="verify"),
    "use is null": members(use=None),
    "use is empty": members(use=""),
    "alg is null": members(alg=None),
    "alg is empty": members(alg=""),
    "the private members are null": members(d=None, p="", q=None, dp=None, dq=None, qi=None),
    "n is padded": written("n", by=padded_url),
    "n is plain base64": written("n", by=base64.b64encode),
    "n is plain base64, not padded": written("n", by=lambda o: base64.b64encode(o).rstrip(b"=")),
    "n is base64 in lines": written("n", by=in_lines),
    "n has leading zeros": written("n", by=with_zeros),
    "e is padded": lambda jwk: {**jwk, "e": "AQAB=="},
    "e has a leading zero": written("e", by=with_zeros),
    "x5c is no certificate": members(x5c=["\u00e9", 1]),
    "x5c holds a number": members(x5c=[1]),
    "x5t is a number": members(x5t=1),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD)
async def test_an_odd_key_is_read_wherever_it_is(
    issuer: FailingIssuer,
    validator: TokenValidator,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    change: Change,
) -> None:
    """In a set that is fetched and among keys that are given, and nothing is logged about it."""
    [jwk] = issuer.published
    issuer.published = [change(dict(jwk))]
    await validator.validate(presented(issuer.mint()))
    trusted = TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, keys=issuer.published[0])
    await TokenValidator(issuers=[trusted], clock=clock).validate(presented(issuer.mint()))
    assert not faults(caplog)


def short_coordinate(name: str) -> ECKey:
    """A key whose coordinate of that name begins with a zero."""
    while True:
        key = ECKey.generate_key("P-256")
        if raw(dict(key.as_dict(private=False)), name)[0] == 0:
            return key


@pytest.mark.parametrize("by", [padded_url, base64.b64encode, with_zeros, without_zeros])
@pytest.mark.parametrize("name", ["x", "y"])
async def test_an_odd_coordinate(by: Callable[[bytes], bytes], name: str) -> None:
    key = short_coordinate(name)
    jwk = written(name, by=by)(dict(key.as_dict(private=False)))
    await good_with(jwk, key, "ES256")


@pytest.mark.parametrize("by", [padded_url, base64.b64encode])
async def test_an_odd_ed25519_key(by: Callable[[bytes], bytes]) -> None:
    key = OKPKey.generate_key("Ed25519")
    await good_with(written("x", by=by)(dict(key.as_dict(private=False))), key, "EdDSA")


@pytest.mark.parametrize(
    "change",
    [
        written("x", by=lambda octets: with_zeros(b"\1" + octets)),
        members(x="A"),
        members(x="\u00e9" * 43),
        members(x="A=AA"),
    ],
)
def test_a_coordinate_that_is_none(change: Change) -> None:
    jwk = change(dict(ECKey.generate_key("P-256").as_dict(private=False)))
    with pytest.raises(ValueError, match=naming("x")):
        TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=jwk, algorithms=["ES256"])


async def good_with(given: Any, key: Key, alg: str, **header: Any) -> None:
    """Validate a token of a key, with keys that were given."""
    trusted = TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=given, algorithms=[alg])
    await TokenValidator(issuers=[trusted]).validate(presented(token_of(key, alg, **header)))


def token_of(key: Key, alg: str = "RS256", **header: Any) -> str:
    claims = {"iss": OURS, "aud": AUDIENCE, "exp": 4_000_000_000}
    return sign({"alg": alg, **header}, claims, key)


ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: codecs.BOM_UTF8 + body,
    "UTF-16 with a mark": lambda body: body.decode().encode("utf-16"),
    "UTF-16, little": lambda body: body.decode().encode("utf-16-le"),
    "UTF-16, big": lambda body: body.decode().encode("utf-16-be"),
    "UTF-32": lambda body: body.decode().encode("utf-32"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("path", [METADATA, JWKS])
async def test_a_document_may_have_any_encoding_that_shows(
    issuer: FailingIssuer, validator: TokenValidator, path: str, encode: Callable[[bytes], bytes]
) -> None:
    issuer.answers[path] = rewritten(encode)
    await validator.validate(presented(issuer.mint()))


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
async def test_a_file_may_have_any_encoding_that_shows(
    keys: list[Key], encode: Callable[[bytes], bytes]
) -> None:
    jwk_set = json.dumps({"keys": [keys[0].as_dict(private=False)]}).encode()
    await good_with(encode(jwk_set), keys[0], "RS256")
    await good_with(encode(public_pem(keys[0]).encode()), keys[0], "RS256")
    await good_with(f"\ufeff{jwk_set.decode()}", keys[0], "RS256")


async def test_one_jwk_may_stand_where_a_set_is_expected(
    issuer: FailingIssuer, validator: TokenValidator
) -> None:
    issuer.answers[JWKS] = alone
    await validator.validate(presented(issuer.mint()))


async def alone(issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
    return web.json_response(issuer.published[0])


ENCRYPTION: Mapping[str, Change] = {
    "use enc": members(use="enc"),
    "use enc and no alg": members(use="enc", alg=OMIT),
    "use enc and an alg for signatures": members(use="enc", alg="RS256"),
    "an alg for encryption": members(alg="RSA-OAEP", use=OMIT),
    "another alg for encryption": members(alg="RSA-OAEP-256"),
    "key agreement": members(kty="EC", crv="P-256", alg="ECDH-ES+A256KW"),
    "key_ops for encryption": members(key_ops=["wrapKey", "encrypt"]),
    "a curve for key agreement": lambda _: dict(
        OKPKey.generate_key("X25519").as_dict(private=False)
    ),
}


@pytest.mark.parametrize("change", ENCRYPTION.values(), ids=ENCRYPTION)
async def test_a_key_for_encryption_is_passed_over_in_silence(
    issuer: FailingIssuer,
    validator: TokenValidator,
    caplog: pytest.LogCaptureFixture,
    change: Change,
) -> None:
    """It verifies nothing, although it has the name that the token names."""
    [jwk] = issuer.published
    issuer.published = [{**change(dict(jwk)), "kid": jwk["kid"]}, jwk]
    await validator.validate(presented(issuer.mint()))
    assert not faults(caplog)
    for given in (issuer.published[0], {"keys": issuer.published[:1]}):
        with pytest.raises(ValueError, match="encryption"):
            TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=given)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_keys_of_one_name_are_tried_up_to_four(
    issuer: FailingIssuer, validator: TokenValidator, place: int
) -> None:
    others = [RSAKey.generate_key(2048) for _ in range(4)]
    named = [{**key.as_dict(private=False), "kid": issuer.key.kid} for key in others]
    issuer.published = [*named[:place], *issuer.published, *named[place:]]
    await validator.validate(presented(issuer.mint()))
    await validator.validate(presented(issuer.mint(key=others[0], header={"kid": issuer.key.kid})))
    last = issuer.mint(key=others[3], header={"kid": issuer.key.kid})
    assert await reason_for(validator, last) is Reason.SIGNATURE  # the fifth


async def test_of_two_keys_with_one_name_the_one_of_the_right_kind_is_used(
    issuer: FailingIssuer, clock: FakeClock
) -> None:
    curve = ECKey.generate_key("P-256")
    kid = issuer.key.kid
    issuer.published.insert(0, {**curve.as_dict(private=False), "kid": kid})
    async with validating(issuer, clock, algorithms=["RS256", "ES256"]) as validator:
        await validator.validate(presented(issuer.mint()))
        token = issuer.mint(key=curve, header={"alg": "ES256", "kid": kid})
        await validator.validate(presented(token))


THUMBPRINT = base64url(hashlib.sha1(b"a certificate", usedforsecurity=False).digest())
THUMBPRINT_256 = base64url(hashlib.sha256(b"a certificate").digest())
CERTIFICATE = base64.b64encode(b"a certificate").decode()


@pytest.mark.parametrize(
    ("published", "header"),
    [
        ({"x5t": THUMBPRINT}, {"x5t": THUMBPRINT}),
        ({"x5t": f"{THUMBPRINT}="}, {"x5t": THUMBPRINT}),
        ({"x5t": THUMBPRINT}, {"x5t": f"{THUMBPRINT}="}),
        ({"x5t#S256": THUMBPRINT_256}, {"x5t#S256": THUMBPRINT_256}),
        ({"x5c": [CERTIFICATE]}, {"x5t": THUMBPRINT}),
        ({"x5c": [CERTIFICATE]}, {"x5t#S256": THUMBPRINT_256}),
        ({"x5t": THUMBPRINT, "kid": OMIT}, {"x5t": THUMBPRINT}),
        ({"x5t": THUMBPRINT}, {"x5t": THUMBPRINT, "kid": ""}),
        ({"x5t": "AAA"}, {"x5t": "AAA", "x5t#S256": "nobody's"}),
    ],
)
async def test_a_thumbprint_names_the_key_where_no_kid_does(
    issuer: FailingIssuer,
    validator: TokenValidator,
    keys: list[Key],
    published: Mapping[str, Any],
    header: Mapping[str, Any],
) -> None:
    [jwk] = issuer.published
    other = {**keys[1].as_dict(private=False), "x5t": "another"}
    issuer.published = [other, changed(jwk, published)]
    token = issuer.mint(header={"kid": OMIT, **header})
    await validator.validate(presented(token))
    forged = issuer.mint(key=keys[1], header={"kid": OMIT, **header})
    assert await reason_for(validator, forged) is Reason.SIGNATURE
    assert issuer.asked == (1, 1)


@pytest.mark.parametrize("tokens", [1, 5])
async def test_an_unknown_thumbprint_forces_a_fetch_as_an_unknown_kid_does(
    issuer: FailingIssuer, validator: TokenValidator, keys: list[Key], tokens: int
) -> None:
    [jwk] = issuer.published
    issuer.published = [{**jwk, "x5t": THUMBPRINT}]
    await validator.validate(presented(issuer.mint()))
    issuer.published.append({**keys[1].as_dict(private=False), "x5t": "new"})
    for _ in range(tokens):
        token = issuer.mint(key=keys[1], header={"kid": OMIT, "x5t": "new"})
        await validator.validate(presented(token))
    stranger = issuer.mint(header={"kid": OMIT, "x5t": "nobody's"})
    assert await reason_for(validator, stranger) is Reason.UNKNOWN_KEY
    assert issuer.asked == (2, 2)


@pytest.mark.parametrize("header", [{"x5t": "x"}, {"x5t": 1}, {"x5t": None}, {"x5t": ""}])
async def test_a_thumbprint_says_nothing_where_the_set_has_none(
    issuer: FailingIssuer, validator: TokenValidator, keys: list[Key], header: Mapping[str, Any]
) -> None:
    """Then it is the only key that fits, as for a token that does not name its key."""
    token = issuer.mint(header={"kid": OMIT, **header})
    await validator.validate(presented(token))
    issuer.publish(keys[1])
    await validator.validate(presented(issuer.mint(key=keys[1])))  # fetches both
    assert await reason_for(validator, token) is Reason.UNFIT_KEY


FORMS: Mapping[str, Callable[[str], Any]] = {
    "line breaks written out": lambda text: text.replace("\n", "\\n"),
    "line breaks of Windows written out": lambda text: text.replace("\n", "\\r\\n"),
    "no line breaks": lambda text: text.replace("\n", ""),
    "spaces in place of line breaks": lambda text: text.replace("\n", " "),
    "line breaks of Windows": lambda text: text.replace("\n", "\r\n"),
    "indented": lambda text: text.replace("\n", "\n    "),
    "text around it": lambda text: f"subject=CN = us\n\n{text}\nVerify return code: 0",
    "a byte order mark": lambda text: f"\ufeff{text}",
    "by name": lambda text: {"the-name": text},
    "by name, with line breaks written out": lambda text: {"x": text.replace("\n", "\\n")},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("make", [public_pem, certificate_pem])
async def test_pem_as_people_paste_it(
    keys: list[Key], make: Callable[[Key], str], form: Callable[[str], Any]
) -> None:
    given = form(make(keys[0]))
    header = {"kid": next(iter(given))} if isinstance(given, dict) else {}
    await good_with(given, keys[0], "RS256", **header)


@pytest.mark.parametrize("make", [public_pem, certificate_pem])
@pytest.mark.parametrize("as_list", [True, False])
async def test_several_blocks_of_pem_are_several_keys(
    keys: list[Key], make: Callable[[Key], str], *, as_list: bool
) -> None:
    """Those without a name are all tried: the operator gave them for this."""
    blocks = [make(key) for key in keys]
    validator = TokenValidator(
        issuers=[
            TrustedIssuer(
                issuer=OURS, audience=AUDIENCE, keys=blocks if as_list else "\n".join(blocks)
            )
        ]
    )
    for key in keys:
        await validator.validate(presented(token_of(key)))
        await validator.validate(presented(token_of(key, kid="any")))
    stranger = token_of(RSAKey.generate_key(2048))
    assert await reason_for(validator, stranger) is Reason.SIGNATURE


async def test_named_pem_verifies_the_tokens_that_name_it(keys: list[Key]) -> None:
    """As Firebase publishes its certificates: a mapping of names to PEM."""
    given = {"one": certificate_pem(keys[0]), "two": public_pem(keys[1])}
    validator = TokenValidator(issuers=[TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=given)])
    await validator.validate(presented(token_of(keys[0], kid="one")))
    await validator.validate(presented(token_of(keys[1], kid="two")))
    assert await reason_for(validator, token_of(keys[1], kid="one")) is Reason.SIGNATURE
    assert await reason_for(validator, token_of(keys[1], kid="x")) is Reason.UNKNOWN_KEY


def issued(subject: str, issuer: str, key: rsa.RSAPrivateKey) -> str:
    """A certificate in PEM."""
    now = datetime.now(UTC)
    name = {
        each: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in (subject, issuer)
    }
    made = (
        x509.CertificateBuilder()
        .subject_name(name[subject])
        .issuer_name(name[issuer])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


def test_a_chain_of_certificates_is_no_set_of_keys() -> None:
    """The key of an authority would verify tokens; but two with one subject are no chain."""
    key = rsa.generate_private_key(65537, 2048)
    chain = issued("leaf", "authority", key) + issued("authority", "root", key)
    with pytest.raises(ValueError, match="chain"):
        TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=chain)
    TrustedIssuer(issuer=OURS, audience=AUDIENCE, keys=issued("a", "a", key) * 2)
