"""What is an operator told about a bound token, the way it was sent, and its proof?"""

from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import ECKey, Key

from hello import auth
from hello.auth import DPoP, Explanation, Nonces, Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from hello.tokens.possession.proof import thumbprint_of
from support.api import AUDIENCE
from support.clock import FakeClock
from support.explaining import app_with, check_that_nothing_leaks, decisive, found, statuses
from support.proofs import CLIENT_KEY, bound_to, proof, public
from support.protecting import new_handler

OTHER = ECKey.generate_key("P-256")
JKT = thumbprint_of(public(CLIENT_KEY))
NONCES = Nonces("0123456789abcdef" * 2)
CERTIFICATE = {"x5t#S256": "A" * 43}


class Bench:
    """An issuer whose keys are given, and a validator with a clock of its own."""

    def __init__(self, key: Key, clock: FakeClock) -> None:
        self.clock = clock
        self.issuer = Issuer(audience=AUDIENCE, key=key, clock=clock.time)

    def validator(self, dpop: Any = "allowed", **options: Any) -> TokenValidator:
        keys = self.issuer.key_set()
        trusted = TrustedIssuer(issuer=self.issuer.url, audience=AUDIENCE, keys=keys)
        return TokenValidator(issuers=[trusted], clock=self.clock, dpop=dpop, **options)

    def proof(self, token: str, **changes: Any) -> str:
        return proof(token, now=self.clock.time(), **changes)

    async def explain(
        self,
        token: str,
        *proofs: str,
        scheme: str | None = None,
        dpop: Any = "allowed",
        **more: Any,
    ) -> Explanation:
        app = app_with(self.validator(dpop, **more))
        explanation = await auth.explain(app, token, scheme=scheme, proofs=proofs)
        for text in (token, *proofs):
            check_that_nothing_leaks(explanation, text)
        return explanation


@pytest.fixture
def bench(keys: list[Key], clock: FakeClock) -> Bench:
    return Bench(keys[0], clock)


@pytest.mark.parametrize(
    ("dpop", "scheme", "claims", "advice"),
    [
        ("allowed", None, {}, ()),
        ("allowed", "Bearer", {}, ()),
        ("allowed", None, bound_to(), ("bound.dpop",)),
        ("allowed", "Bearer", bound_to(), ("bound.dpop",)),
        ("required", None, bound_to(), ("bound.dpop",)),
        ("off", None, bound_to(), ("bound.dpop_off",)),
        ("allowed", None, {"cnf": CERTIFICATE}, ("bound.mtls",)),
        ("allowed", None, {"cnf": {"kid": "x"}}, ("bound.other",)),
        ("required", None, {}, ("bearer",)),
        ("required", "Bearer", {}, ("bearer",)),
        ("required", None, {"cnf": CERTIFICATE}, ("bearer",)),
        ("off", "DPoP", bound_to(), ("no_credentials.dpop_off",)),
        ("off", "DPoP", {}, ("no_credentials.dpop_off",)),
        ("allowed", "DPoP", {}, ("unbound.allowed",)),
        ("allowed", "DPoP", {"cnf": CERTIFICATE}, ("unbound.allowed",)),
        ("required", "DPoP", {}, ("unbound.required",)),
        ("allowed", "DPoP", bound_to(), ("proof.none",)),
    ],
)
async def test_without_a_proof(
    bench: Bench, dpop: str, scheme: str | None, claims: Any, advice: tuple[str, ...]
) -> None:
    explanation = await bench.explain(bench.issuer.mint(claims=claims), scheme=scheme, dpop=dpop)
    assert explanation.advice_ids == advice
    if not advice:
        assert explanation.refusal is None
        return
    assert explanation.refusal is not None
    assert explanation.refusal.reason == advice[0].partition(".")[0]
    # Everything else about the token is good, and that is told.
    failed = [rule for rule, status in statuses(explanation).items() if status == "FAILED"]
    assert failed[-1] == decisive(explanation)
    assert set(failed) <= {"cnf", "scheme", "proof"}


async def test_the_key_and_the_certificate_are_named(bench: Bench) -> None:
    assert JKT in (await bench.explain(bench.issuer.mint(claims=bound_to()))).advice
    token = bench.issuer.mint(claims={"cnf": CERTIFICATE})
    assert CERTIFICATE["x5t#S256"] in (await bench.explain(token)).advice


def changed_at_its_end(text: str) -> str:
    return text[:-10] + ("A" if text[-10] != "A" else "B") + text[-9:]


PROOFS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another key": ({"key": OTHER}, "bound.other_key", "key"),
    "cut off": ({"text": lambda text: text[:-61]}, "proof.form", "form"),
    "changed": ({"text": changed_at_its_end}, "proof.signature", "signature"),
    "no JWT": ({"text": lambda _text: "abc"}, "proof.form", "form"),
    "no JSON": ({"text": lambda _text: "AAAA.AAAA.AAAA"}, "proof.form", "form"),
    "bytes": ({"text": lambda _text: "\x1b[31m\udcff"}, "proof.form", "form"),
    "crit": ({"header": {"crit": ["b64"]}}, "proof.crit", "crit"),
    "b64": ({"header": {"b64": False}}, "proof.crit", "crit"),
    "typ JWT": ({"header": {"typ": "JWT"}}, "proof.typ", "typ"),
    "no typ": ({"header": {"typ": OMIT}}, "proof.typ", "typ"),
    "alg none": ({"header": {"alg": "none"}}, "proof.alg", "alg"),
    "alg in small letters": ({"header": {"alg": "rs256"}}, "proof.alg", "alg"),
    "no jwk": ({"header": {"jwk": OMIT}}, "proof.jwk", "jwk"),
    "a private jwk": (
        {"header": {"jwk": CLIENT_KEY.as_dict(private=True)}},
        "proof.jwk",
        "jwk",
    ),
    "jwk is a text": ({"header": {"jwk": "x"}}, "proof.jwk", "jwk"),
    "no jti": ({"jti": OMIT}, "proof.jti", "jti"),
    "a long jti": ({"jti": "x" * 8192}, "proof.jti", "jti"),
    "no htm": ({"htm": OMIT}, "proof.htm", "htm"),
    "htm is a number": ({"htm": 1}, "proof.htm", "htm"),
    "an empty htm": ({"htm": ""}, "proof.htm", "htm"),
    "no htu": ({"htu": OMIT}, "proof.htu", "htu"),
    "htu is a path": ({"htu": "/messages"}, "proof.htu", "htu"),
    "no iat": ({"iat": OMIT}, "proof.iat", "iat"),
    "iat is a text": ({"iat": "1"}, "proof.iat", "iat"),
    "an old one": ({"iat": 1}, "proof.iat", "iat"),
    "of the future": ({"iat": 4_000_000_000}, "proof.iat", "iat"),
    "no ath": ({"ath": OMIT}, "proof.ath", "ath"),
    "another token's": ({"ath": "x" * 43}, "proof.ath", "ath"),
    "nonce is a number": ({"nonce": 1}, "proof.nonce", "nonce"),
}


@pytest.mark.parametrize("name", PROOFS)
async def test_what_is_wrong_with_a_proof(bench: Bench, name: str) -> None:
    changes, advice, rule = PROOFS[name]
    changes = dict(changes)
    text = changes.pop("text", str)
    token = bench.issuer.mint(claims=bound_to())
    explanation = await bench.explain(token, text(bench.proof(token, **changes)))
    assert explanation.advice_ids == (advice,)
    marked = [line for line in str(explanation).splitlines() if "<-" in line]
    assert len(marked) == 1
    failed = [each.rule for each in explanation.findings if each.status == "FAILED"]
    assert failed == [f"proof.{rule}"]
    assert "\x1b" not in str(explanation)


async def test_a_good_proof_is_good_as_far_as_one_can_tell(bench: Bench) -> None:
    """Whether it fits the request, and whether it was sent before, is said to be unknown."""
    token = bench.issuer.mint(claims=bound_to())
    for scheme in ("DPoP", None):
        explanation = await bench.explain(token, bench.proof(token), scheme=scheme)
        assert explanation.refusal is None
        told = statuses(explanation)
        unknown = {rule for rule, status in told.items() if status != "ok"}
        assert unknown == {"proof.jti", "proof.htm", "proof.htu"}
        assert told["cnf"] == "ok"


async def test_the_address_that_clients_see_is_told(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    app = web.Application()
    auth.setup(app, bench.validator(), public_url="https://api.example.com/v1")
    explanation = await auth.explain(app, token, proofs=[bench.proof(token)])
    assert "https://api.example.com/v1" in found(explanation, "proof.htu").wants
    assert explanation.advice_ids == ("proof.htu",)  # it is for another address
    for url in ("https://api.example.com/v1/messages", "https://API.example.com:443/v1/a?b"):
        explanation = await auth.explain(app, token, proofs=[bench.proof(token, url=url)])
        assert explanation.refusal is None
    for url in ("https://api.example.com/v2/a", "https://api.example.com/v1x", "http://x/v1/a"):
        explanation = await auth.explain(app, token, proofs=[bench.proof(token, url=url)])
        assert explanation.advice_ids == ("proof.htu",)


@pytest.mark.parametrize("public_url", [None, "https://api.example.com/v1"])
@pytest.mark.parametrize(
    ("path", "method", "there"),
    [
        ("/reports", "GET", True),
        ("/reports", "POST", True),  # the path is there, and the method is another question
        ("/part/reports", "GET", True),
        ("/reports/7", "GET", True),
        ("/v1/reports", "GET", False),
        ("/", "GET", False),
        ("/report", "GET", False),
        ("/reports", "get lost", True),  # no method: nobody can say
    ],
)
async def test_a_path_that_no_route_has_is_told(
    bench: Bench, public_url: str | None, path: str, method: str, *, there: bool
) -> None:
    """As where PUBLIC_URL is missing or wrong."""
    app, part = web.Application(), web.Application()
    for each in (app, part):
        each.router.add_get("/reports", new_handler())
    app.router.add_get("/reports/{number}", new_handler())
    app.add_subapp("/part", part)
    auth.setup(app, bench.validator(), public_url=public_url)
    token = bench.issuer.mint(claims=bound_to())
    url = f"{public_url or 'https://api.example.com'}{path}"
    made = bench.proof(token, url=url, htm=method)
    finding = found(await auth.explain(app, token, proofs=[made]), "proof.htu")
    assert ("no route" in finding.has) is not there


async def test_a_proof_alone_is_known_as_one(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    for made in (bench.proof(token), bench.proof(token, htm="POST", ath=OMIT)):
        assert (await bench.explain(made)).advice_ids == ("type.proof",)


@pytest.mark.parametrize(
    ("nonce", "reason"), [({}, Reason.NONCE), ({"nonce": "x"}, Reason.NONCE), (None, None)]
)
async def test_a_nonce_is_looked_at_where_it_is_needed(
    bench: Bench, nonce: dict[str, str] | None, reason: Reason | None
) -> None:
    token = bench.issuer.mint(claims=bound_to())
    more = {"nonce": NONCES.current(bench.clock.time())} if nonce is None else nonce
    explanation = await bench.explain(token, bench.proof(token, **more), dpop=DPoP(nonces=NONCES))
    assert (explanation.refusal and explanation.refusal.reason) is reason


async def test_a_proof_does_not_help_a_token_that_is_sent_as_bearer(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    explanation = await bench.explain(token, bench.proof(token), scheme="Bearer")
    assert explanation.advice_ids == ("bound.dpop",)


async def test_several_proofs_are_one_too_many(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    explanation = await bench.explain(token, bench.proof(token), bench.proof(token))
    assert explanation.advice_ids == ("proof.several",)


@pytest.mark.parametrize(
    ("more", "advice"), [(CERTIFICATE, "bound.mtls"), ({"kid": "x"}, "bound.other")]
)
async def test_a_good_proof_is_not_all_that_such_a_token_needs(
    bench: Bench, more: dict[str, str], advice: str
) -> None:
    token = bench.issuer.mint(claims={"cnf": {**bound_to()["cnf"], **more}})
    explanation = await bench.explain(token, bench.proof(token))
    assert explanation.advice_ids == (advice,)
    assert decisive(explanation) == "cnf"


async def test_a_token_that_is_bad_itself_is_told_first(bench: Bench) -> None:
    token = bench.issuer.mint(claims={**bound_to(), "exp": 1})
    for proofs in ((), (bench.proof(token),)):
        assert (await bench.explain(token, *proofs)).advice_ids == ("expired.duration",)


async def test_a_revoked_token_is_told_after_its_proof(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    for made, reason in ((bench.proof(token), "revoked"), ("abc", "proof.form")):
        explanation = await bench.explain(token, made, revoked=lambda _token: True)
        assert explanation.advice_ids == (reason,)


async def test_to_explain_a_proof_does_not_use_it_up(bench: Bench) -> None:
    token = bench.issuer.mint(claims=bound_to())
    validator, made = bench.validator(), bench.proof(token)
    for _ in range(2):
        explanation = await auth.explain(app_with(validator), token, proofs=[made])
        assert explanation.refusal is None
