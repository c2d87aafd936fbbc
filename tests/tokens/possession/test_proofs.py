"""Which DPoP proofs are good? Each check of RFC 9449 §4.3, and what hostile clients send."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hello.auth import DPoP, InvalidProofError, Reason, TokenValidator
from hello.sandbox.issuer import OMIT, Issuer, base64url, sign
from hello.tokens.jwt.compact import parse
from hello.tokens.keys.jwk import ALGORITHMS
from hello.tokens.possession.addresses import normalized
from hello.tokens.possession.proof import (
    OtherKeyError,
    ProofError,
    Window,
    check_proof,
    thumbprint_of,
)
from support.clock import FakeClock
from support.proofs import CLIENT_KEY, URL, ath, bound_to, presenting, proof, public

NOW = 1_800_000_000.0
TOKEN = "the.access.token"
WINDOW = Window(past=300, future=30)
RSA = RSAKey.generate_key(2048)
OTHER = ECKey.generate_key("P-256")


def check(text: str, *, url: str = URL, method: str = "GET", now: float = NOW) -> str:
    """Return the thumbprint of the key that a proof was made with. Raises ProofError.

    The token is bound to the key that the proof shows.
    """
    try:
        shown = thumbprint_of(parse(text).header["jwk"])
    except (ValueError, KeyError, TypeError, AttributeError):
        shown = "none"
    return check_proof(
        text,
        method=method,
        url=url,
        token=TOKEN,
        bound_to=shown,
        algorithms=sorted(ALGORITHMS),
        now=now,
        window=WINDOW,
    ).thumbprint


def made(header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    return proof(TOKEN, now=NOW, header=header, **claims)


def test_the_example_of_rfc_9449_is_good() -> None:
    """§7.1, with the clock of that day, and the thumbprint of §6.1."""
    text = (
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0"
        "VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10"
        "NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjo"
        "iR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI"
        "6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2o"
        "W9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
    )
    found = check_proof(
        text,
        method="GET",
        url="https://resource.example.org/protectedresource",
        token="Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
        bound_to="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
        algorithms=["ES256"],
        now=1562262618,
        window=WINDOW,
    )
    assert found.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert (found.jti, found.nonce) == ("e1j3V_bKic8-LAEB", None)


def test_the_thumbprint_of_rfc_7638_is_right() -> None:
    """§3.1."""
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t"
        "Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"
        "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh"
        "AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint_of(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", CLIENT_KEY),
        ("ES384", ECKey.generate_key("P-384")),
        ("ES512", ECKey.generate_key("P-521")),
        ("RS256", RSA),
        ("PS256", RSA),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
def test_a_proof_may_have_each_kind_of_key(algorithm: str, key: Any) -> None:
    text = proof(TOKEN, now=NOW, key=key, header={"alg": algorithm})
    assert check(text) == thumbprint_of(public(key))


@pytest.mark.parametrize(
    "changes",
    [
        {"htu": f"{URL}?q=1#f"},
        {"iat": NOW - 300},
        {"iat": NOW + 30},
        {"iat": NOW - 0.5},
        {"jti": "x" * 1024},
        {"jti": "\ud800"},
        {"nonce": "x"},
        {"exp": 1, "nbf": 9_999_999_999, "aud": 7, "iss": None},  # nothing is said of these
        {"header": {"typ": "application/DPoP+jwt"}},
        {"header": {"kid": 5, "x5c": [], "unheard_of": {}}},
        {"header": {"jwk": {**public(CLIENT_KEY), "kid": "a", "use": "sig"}}},
    ],
)
def test_good_proofs(changes: dict[str, Any]) -> None:
    assert check(made(**changes)) == thumbprint_of(public(CLIENT_KEY))


def resigned(text: str, with_key: Any) -> str:
    """The same members, and another key's signature."""
    header, claims, _ = text.split(".")
    other = sign({"alg": "ES256"}, {}, with_key)
    return f"{header}.{claims}.{other.split('.')[2]}"


PRIVATE = CLIENT_KEY.as_dict(private=True)
SYMMETRIC = OctKey.generate_key(256)

HOSTILE: Mapping[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", "form"),
    "a word": (lambda: "proof", "form"),
    "two parts": (lambda: "a.b", "form"),
    "two proofs in one header": (lambda: f"{made()}, {made()}", "form"),
    "a space behind it": (lambda: f"{made()} ", "form"),
    "padding": (lambda: f"{made()}=", "form"),
    "no JSON": (lambda: "AAAA.AAAA.AAAA", "form"),
    "bytes that are no ASCII": (lambda: "\udcff.a.b", "form"),
    "a thousand brackets": (lambda: f"{base64url(b'[' * 1000)}.e30.AA", "form"),
    "a member twice": (lambda: sign(b'{"typ":"dpop+jwt","typ":"dpop+jwt"}', {}, RSA), "form"),
    "no typ": (lambda: made({"typ": OMIT}), "typ"),
    "typ JWT": (lambda: made({"typ": "JWT"}), "typ"),
    "typ at+jwt": (lambda: made({"typ": "at+jwt"}), "typ"),
    "typ null": (lambda: made({"typ": None}), "typ"),
    "typ a list": (lambda: made({"typ": ["dpop+jwt"]}), "typ"),
    "crit": (lambda: made({"crit": ["exp"]}), "crit"),
    "b64": (lambda: made({"b64": False}), "crit"),
    "no alg": (lambda: made({"alg": OMIT}), "alg"),
    "alg none": (lambda: made({"alg": "none"}), "alg"),
    "alg None": (lambda: made({"alg": "None"}), "alg"),
    "alg HS256": (lambda: proof(TOKEN, now=NOW, key=SYMMETRIC, header={"alg": "HS256"}), "alg"),
    "alg in lower case": (lambda: made({"alg": "es256"}), "alg"),
    "alg a number": (lambda: made({"alg": 1}), "alg"),
    "alg a list": (lambda: made({"alg": ["ES256"]}), "alg"),
    "alg unknown": (lambda: made({"alg": "ES257"}), "alg"),
    "alg of encryption": (lambda: made({"alg": "RSA-OAEP"}), "alg"),
    "no jwk": (lambda: made({"jwk": OMIT}), "jwk"),
    "jwk null": (lambda: made({"jwk": None}), "jwk"),
    "jwk a text": (lambda: made({"jwk": json.dumps(public(CLIENT_KEY))}), "jwk"),
    "jwk a list": (lambda: made({"jwk": [public(CLIENT_KEY)]}), "jwk"),
    "jwk empty": (lambda: made({"jwk": {}}), "jwk"),
    "jwk private": (lambda: made({"jwk": PRIVATE}), "jwk"),
    "jwk with d alone": (lambda: made({"jwk": {**public(CLIENT_KEY), "d": "AA"}}), "jwk"),
    "jwk symmetric": (lambda: made({"jwk": SYMMETRIC.as_dict(private=True)}), "jwk"),
    "jwk of another kind": (lambda: made({"jwk": public(RSA)}), "signature"),
    "jwk of somebody else": (lambda: made({"jwk": public(OTHER)}), "signature"),
    "jwk for encryption": (lambda: made({"jwk": {**public(CLIENT_KEY), "use": "enc"}}), "jwk"),
    "jwk off the curve": (lambda: made({"jwk": {**public(CLIENT_KEY), "x": "AQ"}}), "jwk"),
    "jwk of 1024 bits": (lambda: made({"jwk": {"kty": "RSA", "e": "AQAB", "n": "_" * 171}}), "jwk"),
    "jwk of a huge modulus": (
        lambda: made({"jwk": {"kty": "RSA", "e": "AQAB", "n": "_" * 4000}}),
        "jwk",
    ),
    "a kid in place of jwk": (lambda: made({"jwk": OMIT, "kid": "a"}), "jwk"),
    "a jku in place of jwk": (lambda: made({"jwk": OMIT, "jku": "http://localhost:9/"}), "jwk"),
    "another's signature": (lambda: resigned(made(), OTHER), "signature"),
    "no signature": (lambda: made().rpartition(".")[0] + ".", "signature"),
    "no jti": (lambda: made(jti=OMIT), "jti"),
    "an empty jti": (lambda: made(jti=""), "jti"),
    "a number as jti": (lambda: made(jti=1), "jti"),
    "a list as jti": (lambda: made(jti=["a"]), "jti"),
    "a jti of 8 KB": (lambda: made(jti="j" * 8192), "jti"),
    "no htm": (lambda: made(htm=OMIT), "htm"),
    "another htm": (lambda: made(htm="POST"), "htm"),
    "htm in lower case": (lambda: made(htm="get"), "htm"),
    "htm with a space": (lambda: made(htm="GET "), "htm"),
    "htm a list": (lambda: made(htm=["GET"]), "htm"),
    "no htu": (lambda: made(htu=OMIT), "htu"),
    "htu a list": (lambda: made(htu=[URL]), "htu"),
    "no iat": (lambda: made(iat=OMIT), "iat"),
    "iat a text": (lambda: made(iat=str(int(NOW))), "iat"),
    "iat true": (lambda: made(iat=True), "iat"),
    "iat too large for a float": (lambda: made(iat=10**400), "iat"),
    "an old iat": (lambda: made(iat=NOW - 301), "iat"),
    "an iat in the future": (lambda: made(iat=NOW + 31), "iat"),
    "iat in milliseconds": (lambda: made(iat=int(NOW * 1000)), "iat"),
    "no ath": (lambda: made(ath=OMIT), "ath"),
    "an empty ath": (lambda: made(ath=""), "ath"),
    "the ath of another token": (lambda: made(ath=ath("another")), "ath"),
    "ath with padding": (lambda: made(ath=f"{ath(TOKEN)}="), "ath"),
    "ath a list": (lambda: made(ath=[ath(TOKEN)]), "ath"),
    "ath with a lone surrogate": (lambda: made(ath="\ud800"), "ath"),
    "nonce a number": (lambda: made(nonce=1), "nonce"),
}


@pytest.mark.parametrize(("make", "named"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_proof_is_refused_for_its_reason(make: Callable[[], str], named: str) -> None:
    with pytest.raises(ProofError, match=named):
        check(make())


SAME = [
    "https://api.example.com/messages",
    "HTTPS://API.Example.COM/messages",
    "https://api.example.com:443/messages",
    "https://api.example.com:/messages",
    "https://api.example.com./messages",
    "https://api.example.com/messages?a=b",
    "https://api.example.com/messages#a",
    "https://api.example.com/m%65ssages",
    "https://api.example.com/./messages",
    "https://api.example.com/x/../messages",
    "https://api.example.com/x/%2e%2E/messages",
    "https://api.example.com/../messages",
]
DIFFERENT = [
    "",
    "messages",
    "/messages",
    "api.example.com/messages",
    "http://api.example.com/messages",
    "https://api.example.com",
    "https://api.example.com/",
    "https://api.example.com/messages/",
    "https://api.example.com//messages",
    "https://api.example.com/Messages",
    "https://api.example.com/messages%2F",
    "https://api.example.com/messages;a",
    "https://api.example.com:8443/messages",
    "https://api.example.com:444/messages",
    "https://api.example.com.evil.example/messages",
    "https://evil.example/messages",
    "https://api.example.com@evil.example/messages",
    "https://user@api.example.com/messages",
    "https://api.example.com\\@evil.example/messages",
    "https://api.example.com/messages/..",
    "https://[/messages",
    "https://api.example.com:port/messages",
    "https://api.example.com/mess ages",
    "https://api.example.com/m\u00e9ssages",
    "ftp://api.example.com/messages",
    "data:https://api.example.com/messages",
    "https://api.example.com/" + "a" * 9000,
    "https://api.example.com/%",
    "https://api.example.com/%zz/../messages",
]


@pytest.mark.parametrize("htu", SAME)
def test_a_proof_may_write_its_address_in_another_way(htu: str) -> None:
    check(made(htu=htu))


@pytest.mark.parametrize("htu", DIFFERENT)
def test_a_proof_for_another_address_is_refused(htu: str) -> None:
    with pytest.raises(ProofError, match="htu"):
        check(made(htu=htu))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://LOCALHOST:80", "http://localhost/"),
        ("http://localhost:6060/a%2fb", "http://localhost:6060/a%2Fb"),
        ("https://[::0001]:443/.", "https://[::1]/"),
        ("https://bücher.example/", None),
        ("https://a.example/a/b/../..", "https://a.example/"),
        ("https://a.example/a/./b/../c/", "https://a.example/a/c/"),
        ("https://a.example/%7Euser", "https://a.example/~user"),
        ("https://a.example/a%2fb", "https://a.example/a%2Fb"),
        ("https://a.example/a%%32Fb", None),  # or its normal form would be the one above
    ],
)
def test_one_spelling_of_an_address(url: str, expected: str | None) -> None:
    assert normalized(url) == expected


async def test_the_request_counts_and_not_what_the_proof_says_of_it(
    issuer: Issuer, clock: FakeClock
) -> None:
    clock.epoch = issuer.clock()
    validator = TokenValidator(issuer=issuer.url, audience=issuer.audience, clock=clock)
    token = issuer.mint(claims=bound_to())
    for changes in ({"url": f"{URL}/other"}, {"method": "POST"}):
        text = proof(token, now=clock.time())
        with pytest.raises(InvalidProofError) as refusal:
            await validator.validate(presenting(token, text, **changes))
        assert refusal.value.reason is Reason.PROOF
    await validator.validate(presenting(token, proof(token, now=clock.time())))


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": "ES256"},
        {"algorithms": []},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"required": "false"},
        {"fail_open": "false"},
        {"fail_open": 1},
        {"max_age": 0},
        {"max_age": float("nan")},
        {"future": -1},
    ],
)
def test_options_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        DPoP(**options)


def test_the_key_is_compared_before_the_signature_is_verified() -> None:
    """A large key that is not the token's costs nothing, and its signature is not looked at."""
    text = made(header={"jwk": public(RSA), "alg": "RS256"}).rpartition(".")[0] + ".AAAA"
    asked: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "algorithms": ["RS256"],
        "now": NOW,
        "window": WINDOW,
    }
    with pytest.raises(OtherKeyError):
        check_proof(text, token=TOKEN, bound_to="x", **asked)
    with pytest.raises(OtherKeyError):
        check_proof(text, token=TOKEN, **asked)  # bound to nothing is bound to no key
    with pytest.raises(ProofError, match="signature"):
        check_proof(text, token=TOKEN, bound_to=thumbprint_of(public(RSA)), **asked)


def test_a_request_for_tokens_has_no_token_yet() -> None:
    """RFC 9449 §5: there is no ath, and the key may be any."""
    text = made(ath=OMIT)
    asked: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "algorithms": ["ES256"],
        "now": NOW,
        "window": WINDOW,
    }
    assert check_proof(text, token=None, **asked).thumbprint == thumbprint_of(public(CLIENT_KEY))
    with pytest.raises(ProofError, match="ath"):
        check_proof(text, token=TOKEN, bound_to=thumbprint_of(public(CLIENT_KEY)), **asked)
