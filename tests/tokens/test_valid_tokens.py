"""Which tokens are accepted, and what do they grant?"""

import dataclasses
import json
from typing import Any

import pytest
from joserfc.jwk import Key

from hello.auth import AccessToken, InvalidTokenError, Reason, TokenValidator
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE, Client, bearer
from support.forger import Forger as Signer
from support.forger import Part, adding, certificate, decoded, setting
from support.validators import presented

SUBJECT = "sandbox@clients"
YEAR_2100 = 4102444800
STRICT_CLAIMS = {"client_id": "sandbox", "jti": "one"}


@pytest.fixture
def signer(issuer: Issuer, keys: list[Key]) -> Signer:
    """Who changes the usual token. The issuer publishes one key, its own."""
    return Signer(issuer=issuer, other=keys[1], attacker=keys[2])


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"typ": OMIT},
        *({"typ": typ} for typ in ["JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "at+JWT"]),
        *({"typ": typ} for typ in ["application/at+jwt", "Application/AT+JWT"]),
        {"kid": OMIT},
        {"kid": OMIT, "typ": OMIT},
        {"alg ": "none", "ALG": "none", "": 1, "x": [{"y": None}]},
        {"x": "longer than joserfc's limit" * 100},
        {"cty": "json", "enc": "A256GCM", "epk": 1, "p2c": 10**9, "zip": "DEF"},
        {"iss": "https://attacker.example.com/", "exp": "x"},
        {"jku": "http://localhost:9/", "x5u": "file:///etc/passwd", "x5t": "x", "x5t#S256": None},
        {"jku": 1, "x5u": [], "jwk": "x", "x5c": {}},
        {"jwk": {"kty": "oct", "k": "AAAA"}, "x5c": "nonsense"},
        lambda usual: b"\r\n\t " + usual.replace(b",", b"\n,\t") + b" \n",
        lambda usual: json.dumps(dict(reversed(json.loads(usual).items()))).encode(),
        lambda usual: usual.replace(b"RS256", rb"\u0052S256"),
        adding('"x": "\u00e4\u3000\U0001f511"'.encode()),
    ],
)
async def test_a_header_like_this_is_accepted(
    signer: Signer, validator: TokenValidator, api: Client, header: Part
) -> None:
    token = signer.forge(header=header)
    accepted = await validator.validate(presented(token))
    assert accepted.subject == SUBJECT
    assert accepted.header == json.loads(decoded(token.split(".")[0]))
    async with api.get("/api/messages/protected", headers=bearer(token)) as response:
        assert response.status == 200


async def test_an_embedded_key_does_no_harm_to_a_good_signature(
    signer: Signer, validator: TokenValidator
) -> None:
    jwk = signer.attacker.as_dict(private=False)
    x5c = [certificate(signer.attacker)]
    token = signer.forge(header={"jwk": jwk, "x5c": x5c, "jku": signer.trap, "x5u": signer.trap})
    assert (await validator.validate(presented(token))).subject == SUBJECT


NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("payload", "subject", "scopes", "permissions"),
    [
        ({}, SUBJECT, NONE, NONE),
        ({"sub": OMIT}, None, NONE, NONE),
        ({"sub": ""}, "", NONE, NONE),
        ({"sub": "\u00e4\u3000\n"}, "\u00e4\u3000\n", NONE, NONE),
        ({"permissions": OMIT}, SUBJECT, NONE, NONE),
        ({"scope": ""}, SUBJECT, NONE, NONE),
        ({"scope": "a"}, SUBJECT, {"a"}, NONE),
        ({"scope": " a  b:c a "}, SUBJECT, {"a", "b:c"}, NONE),
        ({"scope": "a\tb\u00a0c\n"}, SUBJECT, {"a\tb\u00a0c\n"}, NONE),
        ({"scope": []}, SUBJECT, NONE, NONE),
        ({"scope": ["a", "b c", ""]}, SUBJECT, {"a", "b c"}, NONE),
        ({"permissions": ["a"]}, SUBJECT, NONE, {"a"}),
        ({"permissions": ["a b", "a b", "c", ""]}, SUBJECT, NONE, {"a b", "c"}),
        ({"permissions": ["a"], "scope": "b", "scp": "c"}, SUBJECT, {"b", "c"}, {"a"}),
        ({"aud": [AUDIENCE]}, SUBJECT, NONE, NONE),
        ({"aud": ["https://issuer.example.com/userinfo", AUDIENCE, ""]}, SUBJECT, NONE, NONE),
        ({"iat": OMIT}, SUBJECT, NONE, NONE),
        ({"iat": -1e308, "nbf": 0}, SUBJECT, NONE, NONE),
        ({"iat": 0.5, "nbf": 1.5}, SUBJECT, NONE, NONE),
        ({"jti": 1, "client_id": None, "azp": [], "Cnf": {}}, SUBJECT, NONE, NONE),
        ({"https://x.example.com/y": {"z": [{}, [1, None, {"w": "v"}]]}}, SUBJECT, NONE, NONE),
        ({"": "x", "x": 10**300, "y": -1.5e-300}, SUBJECT, NONE, NONE),
        (adding(b'"x": ' + b"[" * 63 + b"]" * 63), SUBJECT, NONE, NONE),
        (adding(b'"x": ' + b'{"x":' * 61 + b"[[], {}]" + b"}" * 61), SUBJECT, NONE, NONE),
        ({"x": [{"y": []}] * 100}, SUBJECT, NONE, NONE),
        (adding(b'"x": 1e400'), SUBJECT, NONE, NONE),
        (adding(b'"sub ": "y", "SUB": "z", "x": {"sub": "w"}'), SUBJECT, NONE, NONE),
        (lambda usual: b"\r\n\t " + usual.replace(b",", b"\n,\t") + b" \n", SUBJECT, NONE, NONE),
        (lambda usual: usual.replace(b'"sub"', rb'"\u0073ub"'), SUBJECT, NONE, NONE),
    ],
)
async def test_a_payload_like_this_is_accepted(
    signer: Signer,
    validator: TokenValidator,
    payload: Part,
    subject: str | None,
    scopes: frozenset[str],
    permissions: frozenset[str],
) -> None:
    text = signer.forge(payload=payload)
    claims = json.loads(decoded(text.split(".")[1]))
    token = await validator.validate(presented(text))
    assert token.token == text
    assert token.claims == claims
    assert token.expires_at == claims["exp"]
    assert (token.subject, token.scopes, token.permissions) == (subject, scopes, permissions)


@pytest.mark.parametrize("exp", ["4102444800", "4102444800.5", "4.1024448E9", "1e308", "9" * 300])
async def test_an_expiry_is_any_number(signer: Signer, validator: TokenValidator, exp: str) -> None:
    token = await validator.validate(presented(signer.forge(payload=setting("exp", exp.encode()))))
    assert token.expires_at == json.loads(exp)


@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({"typ": "at+jwt"}, {}, None),
        ({"typ": "AT+jwt"}, {}, None),
        ({"typ": "application/at+jwt"}, {}, None),
        ({"typ": "APPLICATION/at+JWT"}, {"aud": [AUDIENCE]}, None),
        ({}, {}, Reason.TYPE),
        ({"typ": "JWT"}, {}, Reason.TYPE),
        ({"typ": "jwt+at"}, {}, Reason.TYPE),
        ({"typ": None}, {}, Reason.TYPE),
        ({"typ": OMIT}, {}, Reason.TYPE),
        ({"typ": "at+jwt"}, {"iss": OMIT}, Reason.ISSUER),
        ({"typ": "at+jwt"}, {"aud": OMIT}, Reason.AUDIENCE),
        ({"typ": "at+jwt"}, {"exp": OMIT}, Reason.EXPIRY),
        ({"typ": "at+jwt"}, {"sub": OMIT}, Reason.MISSING_CLAIM),
        ({"typ": "at+jwt"}, {"client_id": OMIT}, Reason.MISSING_CLAIM),
        ({"typ": "at+jwt"}, {"iat": OMIT}, Reason.MISSING_CLAIM),
        ({"typ": "at+jwt"}, {"jti": OMIT}, Reason.MISSING_CLAIM),
        ({"typ": "at+jwt"}, {"client_id": None}, Reason.CLAIM_TYPE),
        ({"typ": "at+jwt"}, {"client_id": ["sandbox"]}, Reason.CLAIM_TYPE),
        ({"typ": "at+jwt"}, {"jti": 1}, Reason.CLAIM_TYPE),
        ({"typ": "at+jwt"}, {"scope": "read write"}, None),
        ({"typ": "at+jwt"}, {"scope": ["read", "write"]}, Reason.CLAIM_TYPE),
    ],
)
async def test_strict_mode_asks_for_the_profile_of_rfc_9068(
    issuer: Issuer, header: dict[str, Any], claims: dict[str, Any], reason: Reason | None
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, strict=True)
    token = issuer.mint(header=header, claims=STRICT_CLAIMS | claims)
    if reason is None:
        assert (await validator.validate(presented(token))).subject == SUBJECT
    else:
        with pytest.raises(InvalidTokenError) as refusal:
            await validator.validate(presented(token))
        assert refusal.value.reason is reason


@pytest.fixture
async def token(issuer: Issuer, validator: TokenValidator) -> AccessToken:
    """A validated token."""
    claims = {"email": "ada@example.com", "permissions": ["read"], "exp": YEAR_2100}
    return await validator.validate(presented(issuer.mint(claims=claims)))


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(AccessToken)])
def test_an_access_token_cannot_be_changed(token: AccessToken, name: str) -> None:
    value = getattr(token, name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(token, name, value)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(token, name)


@pytest.mark.parametrize("name", ["header", "claims"])
def test_what_a_token_says_cannot_be_changed(token: AccessToken, name: str) -> None:
    members: Any = getattr(token, name)
    with pytest.raises(TypeError):
        members["sub"] = "somebody else"
    with pytest.raises(TypeError):
        del members["alg" if name == "header" else "sub"]
    assert not hasattr(members, "update")
    assert not hasattr(token.permissions | token.scopes, "add")


def test_a_token_is_made_in_full_or_not_at_all(token: AccessToken) -> None:
    """By name only: nobody mistakes scopes for permissions."""
    with pytest.raises(TypeError):
        AccessToken("x", {}, {}, "x", "x", NONE, NONE, 1)  # type: ignore[call-arg]


def test_a_token_in_a_log_is_of_no_use_to_its_reader(token: AccessToken) -> None:
    for written in (repr(token), str(token), f"{token}", repr([token])):
        assert "AccessToken(" in written
        assert "sandbox@clients" in written
        for secret in (*token.token.split("."), "ada@example.com", "client-credentials", "RS256"):
            assert secret not in written
