"""Is an operator told what to do about a token that is refused, case by case?"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.explaining import app_with, decisive, explained, found, in_one_line, statuses
from support.naming import naming
from support.protecting import new_handler


@pytest.fixture
def validator(issuer: Issuer, clock: FakeClock) -> TokenValidator:
    issuer.clock = clock.time
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)


class Mistake(NamedTuple):
    """What is wrong with a token, and what its operator sees of it.

    `advice` is its id. `has` is what is shown of the token, and `named` are the values that the
    advice names.
    """

    advice: str
    rule: str
    has: str
    claims: Mapping[str, Any]
    header: Mapping[str, Any] = {}
    named: tuple[object, ...] = ()


FAR, SOON = 1_800_000_300, 1_800_000_060
MISTAKES = [
    Mistake(
        "audience.other", "aud", '"https://b', {"aud": "https://b.example.com"}, {}, (AUDIENCE,)
    ),
    Mistake("audience.keycloak", "aud", '"b"', {"aud": "b", "typ": "Bearer"}),
    Mistake("audience.other", "aud", '"b"', {"aud": "b", "sid": "s", "scope": "a"}),
    Mistake("audience.other", "aud", '"b"', {"aud": "b", "sid": "s", "scp": "a"}),
    Mistake("audience.nearly", "aud", f'"{AUDIENCE}/"', {"aud": f"{AUDIENCE}/"}, {}, (AUDIENCE,)),
    Mistake("audience.no_text", "aud", "[7, null, ", {"aud": [7, None, AUDIENCE]}, {}, (AUDIENCE,)),
    Mistake("audience.absent_client", "aud", "", {"aud": OMIT}, {}, (AUDIENCE,)),
    Mistake("audience.id_token", "aud", '"c"', {"aud": "c", "token_use": "id"}, {}, (AUDIENCE,)),
    Mistake("audience.id_token", "aud", '"c"', {"aud": "c", "typ": "ID"}),
    Mistake("audience.id_token", "aud", '"c"', {"aud": "c", "at_hash": "h"}),
    Mistake("issuer.other", "iss", '"https://b.example.com/"', {"iss": "https://b.example.com/"}),
    Mistake("issuer.absent", "iss", "", {"iss": OMIT}),
    Mistake("expired.ago", "exp", "2027-01-15 07:00:00", {"exp": 1_799_996_400}, {}, (60,)),
    Mistake("expired.ago", "exp", "10 s", {"exp": 1_799_999_990}, {}, (10,)),
    Mistake("expired.duration", "exp", "1970-01-01 00:00:01", {"exp": 1}),
    Mistake("expired.never", "exp", "-1e+300", {"exp": -1e300}),
    Mistake("expiry.absent", "exp", "", {"exp": OMIT}, {}, ("exp",)),
    Mistake("not_yet_valid.ahead", "nbf", "300 s", {"nbf": FAR}, {}, (5, "5 s")),
    Mistake("issued_at.ahead", "iat", "60 s", {"iat": SOON}, {}, (60, "5 s")),
    Mistake("issued_at.ahead", "iat", "60 s", {"iat": SOON, "nbf": 1_799_999_000}, {}, (60,)),
    Mistake("not_yet_valid.ahead", "nbf", "300 s", {"nbf": FAR, "iat": 1_900_000_000}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "iat", '"abc"', {"nbf": FAR, "iat": "abc"}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "iat", "null", {"nbf": FAR, "iat": None}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "iat", "[1]", {"nbf": FAR, "iat": [1]}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "iat", "{}", {"nbf": FAR, "iat": {}}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "iat", "1000", {"nbf": FAR, "iat": 10**400}, {}, (5,)),
    Mistake("not_yet_valid.ahead", "nbf", "300 s", {"nbf": FAR, "iat": OMIT}, {}, (5,)),
    Mistake("claim_type.wrong", "sub", "7", {"sub": 7}),
    Mistake("claim_type.wrong", "permissions", '"a"', {"permissions": "a"}),
    Mistake("bound.dpop", "cnf", '{"jkt": "x"}', {"cnf": {"jkt": "x"}}, {}, ("DPoP",)),
    Mistake("algorithm.unsupported", "alg", '"HSx"', {}, {"alg": "HSx"}, ("RS256",)),
    Mistake("algorithm.unsigned", "alg", '"none"', {}, {"alg": "none"}, ("RS256",)),
    Mistake("type.proof", "typ", '"dpop+jwt"', {}, {"typ": "dpop+jwt"}),
    Mistake("unknown_key.sandbox", "key", '"x"; ', {}, {"kid": "x"}),
    Mistake("header.kid", "kid", "7", {}, {"kid": 7}, ("RFC 7515",)),
    Mistake("critical.crit", "crit", '["exp"]', {}, {"crit": ["exp"]}),
    Mistake("critical.crit", "crit", "[]", {"sub": "x" * 500}, {"crit": []}),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
async def test_a_mistake_is_found_and_its_advice_names_what_is_needed(
    issuer: Issuer, validator: TokenValidator, mistake: Mistake
) -> None:
    token = issuer.mint(claims=mistake.claims, header=mistake.header)
    explanation = await explained(validator, token)
    finding = found(explanation, mistake.rule)
    assert (finding.status, finding.reason is not None) == ("FAILED", True)
    assert mistake.has in finding.has
    assert explanation.advice_ids == (mistake.advice,)
    assert re.search(naming(*mistake.named), explanation.advice)


async def test_what_is_wanted_is_named(issuer: Issuer, validator: TokenValidator) -> None:
    claims = {"aud": "b", "iss": "https://b.example.com/"}
    explanation = await explained(validator, issuer.mint(claims=claims, header={"alg": "none"}))
    for rule, wanted in (("aud", AUDIENCE), ("iss", issuer.url)):
        assert found(explanation, rule).wants == wanted
    explanation = await explained(validator, issuer.mint(header={"alg": "none", "typ": "x"}))
    assert found(explanation, "alg").wants == "RS256"
    assert re.search(naming("JWT", "at+jwt"), found(explanation, "typ").wants)


@pytest.mark.parametrize(
    ("sub", "shown"),
    [("\x7f\x1b[31m", '"\\u007f\\u001b[31m"'), ("x" * 500, f'"{"x" * 159}...')],
)
async def test_a_value_is_shown_on_one_line_and_not_at_any_length(
    issuer: Issuer, validator: TokenValidator, sub: str, shown: str
) -> None:
    explanation = await explained(validator, issuer.mint(claims={"sub": sub}))
    assert found(explanation, "sub").has == shown


@pytest.mark.parametrize("name", ["iat", "nbf"])
async def test_a_claim_that_may_be_absent_is_ok_without_one(
    issuer: Issuer, validator: TokenValidator, name: str
) -> None:
    explanation = await explained(validator, issuer.mint(claims={name: OMIT, "exp": 1}))
    assert found(explanation, name).status == "ok"


@pytest.mark.parametrize(
    ("token", "parts", "advice", "named"),
    [
        ("", 0, "no_credentials.nothing", ()),
        ("kX7dq9Z0pQ", 1, "malformed.opaque", (AUDIENCE,)),
        ("eyJlbmMiOiJhIn0.b.c.d.e", 5, "malformed.encrypted", (AUDIENCE, "JWE")),
        ("eyJh.eyJ", 2, "malformed.damaged", ()),
        ("eyJh.eyJ.", 3, "malformed.damaged", ()),
        ("a b c", 1, "malformed.spaces", ("Bearer",)),
        ("\x00.\x00.\x00", 3, "malformed.invisible", ()),
        ("Bearer eyJh.eyJ.abc", 3, "malformed.scheme", ("Bearer",)),
    ],
)
async def test_what_is_no_jwt_is_explained(
    validator: TokenValidator, token: str, parts: int, advice: str, named: tuple[object, ...]
) -> None:
    explanation = await explained(validator, token)
    assert statuses(explanation) == {"size": "ok", "form": "FAILED"}
    assert decisive(explanation) == "form"
    assert re.search(naming(*[parts] if parts else []), found(explanation, "form").has)
    assert explanation.advice_ids == (advice,)
    assert re.search(naming(*named), explanation.advice)


async def test_an_issuer_that_is_nearly_right_is_told(
    issuer: Issuer, validator: TokenValidator
) -> None:
    """What is different: the letters, the slash at the end, or both."""

    async def told(change: Callable[[str], str]) -> str:
        token = issuer.mint(claims={"iss": change(issuer.url)})
        explanation = await explained(validator, token)
        assert explanation.advice_ids == ("issuer.nearly",)
        return explanation.advice

    changes: list[Callable[[str], str]] = [
        str.upper,
        lambda url: url.rstrip("/"),
        lambda url: url.rstrip("/").upper(),
    ]
    assert len({await told(change) for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("trusted", "iss", "advice"),
    [
        ("https://login.microsoftonline.com/t/v2.0", "https://sts.windows.net/t/", "entra_version"),
        ("https://login.microsoftonline.com/t/v2.0", "https://b.example.com/", "other"),
        ("https://b.example.com/", "https://sts.windows.net/t/", "other"),
        ("https://login.microsoftonline.com/t/v2.0", "https://sts.windows.net", "other"),
        ("https://login.microsoftonline.com/t/v2.0", "https://sts.windows.net?t", "other"),
    ],
)
async def test_the_other_version_of_entra_is_told(
    issuer: Issuer, keys: list[Key], trusted: str, iss: str, advice: str
) -> None:
    given = TrustedIssuer(issuer=trusted, audience=AUDIENCE, keys=keys[0].as_dict(private=False))
    explanation = await explained(TokenValidator(issuers=[given]), issuer.mint(claims={"iss": iss}))
    assert explanation.advice_ids == (f"issuer.{advice}",)


async def test_strict_mode_is_explained(issuer: Issuer) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, strict=True)
    explanation = await explained(validator, issuer.mint())
    typ = found(explanation, "typ")
    assert (typ.status, typ.wants, typ.has) == ("FAILED", "at+jwt", '"JWT"')
    assert explanation.advice_ids == ("type.strict",)
    explanation = await explained(validator, issuer.mint(header={"typ": "at+jwt"}))
    assert statuses(explanation)["client_id"] == "FAILED"
    assert statuses(explanation)["aud"] == "ok"
    assert explanation.advice_ids == ("missing_claim.strict",)


async def test_why_no_key_fits_is_told(
    issuer: Issuer, validator: TokenValidator, keys: list[Key]
) -> None:
    """The token does not name one of several, or names one that is for another algorithm."""
    issuer.published.append({**keys[1].as_dict(private=False), "alg": "PS256"})
    issuer.publish(keys[2])
    unnamed = await explained(validator, issuer.mint(header={"kid": OMIT}))
    assert unnamed.advice_ids == ("unfit_key.unnamed",)
    other = await explained(validator, issuer.mint(key=keys[1]))
    assert other.advice_ids == ("unfit_key.other",)


async def test_a_key_that_was_not_given_is_explained(issuer: Issuer, keys: list[Key]) -> None:
    given = TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, keys=keys[0].as_dict(private=False))
    assert (await explained(TokenValidator(issuers=[given]), issuer.mint())).refusal is None
    explanation = await explained(TokenValidator(issuers=[given]), issuer.mint(key=keys[1]))
    key = found(explanation, "key")
    assert key.reason is Reason.UNKNOWN_KEY
    assert re.search(naming(f'"{keys[1].kid}"', f'"{keys[0].kid}"'), key.has)


async def test_an_issuer_that_is_down_is_explained(issuer: Issuer, clock: FakeClock) -> None:
    issuer.clock = clock.time
    issuer.url = "http://localhost:9/"
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    explanation = await explained(validator, issuer.mint())
    assert found(explanation, "key").reason is Reason.KEYS_UNAVAILABLE
    assert statuses(explanation)["signature"] == "not checked"
    assert decisive(explanation) == "key"
    assert explanation.refusal is not None
    assert explanation.refusal.status == 503
    assert explanation.advice_ids == ("keys_unavailable.sandbox",)
    assert issuer.url in explanation.advice
    explanation = await explained(validator, issuer.mint(claims={"exp": 1, "sub": 7}))
    failed = [rule for rule, status in statuses(explanation).items() if status == "FAILED"]
    assert failed == ["key", "exp", "sub"]
    assert decisive(explanation) == "exp"


@pytest.mark.parametrize(
    ("revoked", "reason"),
    [(lambda _: True, Reason.REVOKED), (lambda _: None, Reason.REVOCATION_UNAVAILABLE)],
)
async def test_revocation_is_explained(
    issuer: Issuer, revoked: auth.Revoked, reason: Reason
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=revoked)
    explanation = await explained(validator, issuer.mint())
    last = explanation.findings[-1]
    assert (last.rule, last.status, last.reason) == ("revoked", "FAILED", reason)
    assert explanation.advice_ids == (reason.value,)


@pytest.mark.parametrize(
    ("asked", "claims", "named"),
    [
        ({"permissions": {"p"}}, {"permissions": ["p"]}, []),
        ({"permissions": {"p"}}, {}, [403, "permissions", "p"]),
        ({"permissions": {"p"}}, {"permissions": OMIT}, [403, "permissions"]),
        ({"scopes": {"b", "a"}}, {}, [403, "scope", "a", "b"]),
        ({"claims": {"org": "x"}}, {}, [403, "claim", "org='x'"]),
        ({"acr_values": ["mfa"]}, {}, [401, "authentication", "acr_values"]),
    ],
)
async def test_what_a_route_asks_for_is_explained_too(
    issuer: Issuer,
    validator: TokenValidator,
    asked: dict[str, Any],
    claims: dict[str, Any],
    named: list[object],
) -> None:
    app = app_with(validator)
    app.router.add_get("/r", auth.protected(**asked)(new_handler()))
    app.router.add_get("/any", new_handler())
    app.router.add_get("/open", auth.public(new_handler()))
    explanation = await auth.explain(app, issuer.mint(claims=claims))
    assert explanation.refusal is None
    [(method, path, lacking)] = explanation.routes
    assert (method, path) == ("GET", "/r")
    assert bool(lacking) is bool(named)
    assert re.search(naming(*named), lacking)
    assert f"GET /r: {lacking}" in in_one_line(explanation)


async def test_a_token_without_the_permissions_claim_is_told_something_else(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = app_with(validator)
    app.router.add_get("/r", auth.protected(permissions={"p"})(new_handler()))
    without = await auth.explain(app, issuer.mint(claims={"permissions": OMIT}))
    empty = await auth.explain(app, issuer.mint(claims={"permissions": []}))
    assert without.routes[0][2] != empty.routes[0][2]


async def test_what_is_asked_of_an_optional_token_is_explained_too(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = auth.protected(claims={"token_use": "access"})(web.Application())
    auth.setup(app, validator)
    app.router.add_get("/greeting", auth.optional(new_handler()))
    explanation = await auth.explain(app, issuer.mint())
    [(_, path, lacking)] = explanation.routes
    assert path == "/greeting"
    assert re.search(naming(403, "claim", "token_use='access'"), lacking)


async def test_what_another_validator_protects_is_not_judged(
    issuer: Issuer, validator: TokenValidator
) -> None:
    outer, plain = app_with(validator), web.Application()
    inner = app_with(TokenValidator(issuer="https://b.example.com", audience="b"))
    asked = auth.protected(permissions={"p"})(new_handler())
    for app in (outer, plain, inner):
        app.router.add_get("/r", asked)
        app.router.add_get("/any", new_handler())
        app.router.add_get("/open", auth.public(new_handler()))
    outer.add_subapp("/plain", plain)
    outer.add_subapp("/inner", inner)
    explanation = await auth.explain(outer, issuer.mint(claims={"permissions": ["p"]}))
    told = {path: lacking for _, path, lacking in explanation.routes}
    assert told.keys() == {"/r", "/plain/r", "/inner/r", "/inner/any"}
    assert told["/r"] == told["/plain/r"] == ""
    assert told["/inner/r"] == told["/inner/any"] != ""
