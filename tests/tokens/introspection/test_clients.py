"""As which client is an issuer asked, with which proof, and which options cannot work?"""

import re
from typing import Any, get_args

import pytest
from aiohttp import web
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hello.auth import Introspection, Reason, TokenValidator, TrustedIssuer, UnavailableError
from hello.sandbox.issuer import CLIENT_ID, CLIENT_SECRET
from hello.tokens.introspection.client import Method
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, hang_up
from support.introspecting import CLIENT, INTROSPECT, introspecting
from support.logs import codes
from support.naming import naming
from support.validators import presented, reason_for

RSA = RSAKey.generate_key(2048, {"kid": "ours", "alg": "RS256"})
EC = ECKey.generate_key("P-256")
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


@pytest.mark.parametrize(
    "introspection",
    [
        CLIENT,
        Introspection(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, method="client_secret_basic"
        ),
        Introspection(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, method="client_secret_post"
        ),
        Introspection(client_id=CLIENT_ID, private_key=RSA.as_dict(private=True)),
        Introspection(client_id=CLIENT_ID, private_key=RSA.as_pem(private=True)),
        Introspection(client_id=CLIENT_ID, private_key=EC.as_pem(private=True).decode()),
        Introspection(
            client_id=CLIENT_ID,
            private_key=EC.as_pem(private=True).decode().replace("\n", "\\n"),
            method="private_key_jwt",
        ),
        Introspection(client_id=CLIENT_ID, private_key=ED.as_dict(private=True)),
    ],
)
async def test_each_method_proves_who_asks(
    issuer: FailingIssuer, clock: FakeClock, introspection: Introspection
) -> None:
    for key in (RSA, EC, ED):
        issuer.register_client_key(key)
    async with introspecting(issuer, clock, introspection) as validator:
        for _ in range(2):  # a second proof is not the first one sent again
            await validator.validate(presented(issuer.opaque()))


@pytest.mark.parametrize(
    "introspection",
    [
        Introspection(client_id=CLIENT_ID, client_secret="wrong"),
        Introspection(client_id="another", client_secret=CLIENT_SECRET),
        Introspection(client_id=CLIENT_ID, client_secret="%6eot-a-secret"),
        Introspection(client_id=CLIENT_ID, private_key=RSA.as_dict(private=True)),
    ],
)
async def test_an_issuer_that_does_not_accept_the_proof_makes_no_token_bad(
    issuer: FailingIssuer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    introspection: Introspection,
) -> None:
    """The operator reads why, and the secret is not in the log."""
    async with introspecting(issuer, clock, introspection) as validator:
        text = issuer.opaque()
        assert await reason_for(validator, text) is Reason.INTROSPECTION_UNAVAILABLE
    assert codes(caplog) == ["introspection_unavailable"]
    assert re.search(naming(401, "client_id"), caplog.text)
    assert text not in caplog.text
    assert CLIENT_SECRET not in caplog.text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, ["client_secret", "private_key"]),
        ({"client_secret": "x", "private_key": RSA.as_dict(private=True)}, ["client_secret"]),
        ({"client_id": "", "client_secret": "x"}, ["client_id"]),
        ({"client_id": 1, "client_secret": "x"}, ["client_id", 1]),
        ({"client_secret": ""}, ["client_secret"]),
        ({"client_secret": b"x"}, ["client_secret"]),
        ({"client_secret": "x", "method": "none"}, ["method", "'none'", *get_args(Method)]),
        ({"client_secret": "x", "method": "private_key_jwt"}, ["method", "client_secret"]),
        (
            {"private_key": RSA.as_dict(private=True), "method": "client_secret_post"},
            ["method", "private_key"],
        ),
        ({"private_key": RSA.as_dict(private=False)}, ["private_key"]),
        ({"private_key": RSA.as_pem(private=False)}, ["private_key"]),
        ({"private_key": "nonsense"}, ["private_key"]),
        ({"private_key": {"kty": "RSA"}}, ["private_key"]),
        ({"private_key": OctKey.generate_key().as_dict(private=True)}, ["private_key", "RSA"]),
        ({"private_key": 7}, ["private_key"]),
        (
            {"private_key": ECKey.generate_key("secp256k1").as_dict(private=True)},
            ["private_key", "RSA"],
        ),
        ({"client_secret": "x", "endpoint": "introspect"}, ["endpoint", "'introspect'"]),
        ({"client_secret": "x", "endpoint": 7}, ["endpoint", 7]),
        ({"client_secret": "x", "only_access_tokens": "no"}, ["only_access_tokens", "'no'"]),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], named: list[object]) -> None:
    with pytest.raises(ValueError, match=naming(*named)):
        Introspection(**{"client_id": "us", **options})


def test_no_secret_is_in_a_message() -> None:
    url = "https://user:unguessable@id.example.com/"
    for options in (
        {"introspection": {"client_secret": "unguessable"}},
        {"jwks_uri": url},
        {"issuer": url},
    ):
        with pytest.raises(ValueError, match=r"\w") as mistake:
            TrustedIssuer(**{"issuer": "https://a.example.com", "audience": "x", **options})  # type: ignore[arg-type]
        assert "unguessable" not in str(mistake.value)
    with pytest.raises(ValueError, match="endpoint") as mistake:
        Introspection(client_id="us", client_secret="x", endpoint=url)
    assert "unguessable" not in str(mistake.value)


def test_no_secret_is_in_a_repr() -> None:
    assert CLIENT_SECRET not in repr(CLIENT)
    private = Introspection(client_id="us", private_key=RSA.as_dict(private=True))
    assert str(RSA.as_dict(private=True)["d"])[:20] not in repr(private)


def test_an_opaque_token_can_be_of_one_issuer_only() -> None:
    both = [
        TrustedIssuer(issuer=f"https://{name}.example.com", audience="x", introspection=CLIENT)
        for name in ("one", "two")
    ]
    with pytest.raises(ValueError, match="introspection"):
        TokenValidator(issuers=both)
    TokenValidator(
        issuers=[both[0], TrustedIssuer(issuer="https://three.example.com", audience="x")]
    )
    with pytest.raises(ValueError, match="endpoint"):
        TrustedIssuer(issuer="us", audience="x", secret="x" * 32, introspection=CLIENT)
    with pytest.raises(ValueError, match="introspection"):
        TrustedIssuer(issuer="https://a.example.com", audience="x", introspection="x")  # type: ignore[arg-type]


async def test_a_resolver_cannot_say_who_is_asked(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def resolve(name: str, _host: str) -> TrustedIssuer:
        return TrustedIssuer(issuer=name, audience=AUDIENCE, introspection=CLIENT)

    validator = TokenValidator(issuers=resolve, clock=clock)
    with pytest.raises(UnavailableError):
        await validator.validate(presented(issuer.mint()))
    assert codes(caplog) == ["resolver_unavailable"]
    await validator.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": "RSA-OAEP"},
        {"use": "enc"},
        {"key_ops": ["verify"]},
    ],
)
def test_a_key_that_cannot_sign_is_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="private_key"):
        Introspection(client_id="x", private_key={**RSA.as_dict(private=True), **changes})


async def test_a_broken_answer_that_repeats_the_proof_is_not_logged(
    issuer: FailingIssuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def repeat(_: FailingIssuer, request: web.Request) -> web.StreamResponse:
        last_words = f"HTTP/1.1 200 OK\r\nBroken {request.headers['Authorization']}\r\n\r\n"
        return await hang_up(issuer, request, last_words.encode())

    issuer.answers[INTROSPECT] = repeat
    async with introspecting(issuer, clock) as validator:
        assert await reason_for(validator, "x") is Reason.INTROSPECTION_UNAVAILABLE
    assert codes(caplog) == ["introspection_unavailable"]
    assert "Basic" not in caplog.text
