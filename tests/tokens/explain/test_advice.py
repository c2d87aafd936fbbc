"""Is an operator told in plain words what to do about a token that is refused?"""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import Key

from hello import auth
from hello.auth import Reason, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE
from support.clock import FakeClock
from support.explaining import app_with, explained, the_text
from support.protecting import new_handler


@pytest.fixture
def validator(issuer: Issuer, clock: FakeClock) -> TokenValidator:
    issuer.clock = clock.time
    return TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)


# claims, header; what is wanted and found, and what to do about it
MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (
        {"aud": "https://b.example.com"},
        {},
        f'FAILED aud wants {AUDIENCE} has "https://b',
        "for another API: ask",
    ),
    ({"aud": f"{AUDIENCE}/"}, {}, f'has "{AUDIENCE}/"', "Only the slash at the end is different"),
    (
        {"aud": [7, None, AUDIENCE.upper()]},
        {},
        "FAILED aud",
        "Only upper and lower case is different, and the comparison is exact: set the audience",
    ),
    ({"aud": OMIT}, {}, f"FAILED aud wants {AUDIENCE} has (absent)", "for no API in particular"),
    ({"aud": "client", "token_use": "id"}, {}, 'has "client"', "This is an ID token"),
    ({"aud": "client", "typ": "ID"}, {}, 'has "client"', "This is an ID token"),
    ({"aud": "b", "token_use": "access", "typ": "Bearer"}, {}, 'has "b"', "for another API"),
    ({"aud": "client", "nonce": "n"}, {}, 'has "client"', "This is an ID token"),
    ({"aud": "client", "sid": "s"}, {}, 'has "client"', "This is an ID token"),
    ({"aud": "b", "sid": "s", "scope": "a"}, {}, 'has "b"', "for another API"),
    ({"aud": "b", "sid": "s", "scp": "a"}, {}, 'has "b"', "for another API"),
    (
        {"iss": "https://b.example.com/"},
        {},
        'has "https://b.example.com/"',
        "environment or custom domain",
    ),
    ({"iss": OMIT}, {}, "FAILED iss", "does not say who issued it"),
    (
        {"exp": 1_799_996_400},
        {},
        "has 2027-01-15 07:00:00 UTC, 3600 s ago",
        "60 minutes ago",
    ),
    ({"exp": 1_799_999_990}, {}, "10 s ago", "It expired 10 s ago"),
    ({"exp": 1}, {}, "1970-01-01 00:00:01 UTC", "It expired 20833 days ago"),
    ({"exp": -1e300}, {}, "has -1e+300, ", "It expired"),
    ({"exp": OMIT}, {}, "FAILED exp wants a time that is not past has (absent)", "It never ends"),
    ({"nbf": 1_800_000_300}, {}, "in 300 s", "It is from the future, by 5 minutes, and 5 s are"),
    ({"iat": 1_800_000_060}, {}, "in 60 s", "by 60 s"),
    ({"iat": 1_800_000_060, "nbf": 1_799_999_000}, {}, "in 60 s", "by 60 s"),
    ({"nbf": 1_800_000_300, "iat": 1_900_000_000}, {}, "in 300 s", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": "abc"}, {}, "FAILED iat", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": None}, {}, "FAILED iat", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": [1]}, {}, "FAILED iat", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": {}}, {}, "FAILED iat", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": 10**400}, {}, "FAILED iat", "by 5 minutes"),
    ({"nbf": 1_800_000_300, "iat": OMIT}, {}, "ok iat (absent)", "by 5 minutes"),
    ({"sub": 7}, {}, "FAILED sub wants absent, or a string has 7", "A claim is of the wrong type"),
    ({"cnf": {"jkt": "x"}}, {}, "FAILED cnf", "bound to a key"),
    ({"permissions": "a"}, {}, "FAILED permissions", "A claim is of the wrong type"),
    ({}, {"alg": "HSx"}, 'FAILED alg wants RS256 has "HSx"', "signs with a shared secret"),
    ({}, {"alg": "none"}, "not checked signature", "never accepted"),
    (
        {},
        {"typ": "dpop+jwt"},
        'FAILED typ wants absent, JWT or at+jwt has "dpop+jwt"',
        "no access token",
    ),
    (
        {},
        {"kid": "x"},
        'has "x"; the issuer\'s keys are',
        "older than a restart of the sandbox, a change of keys",
    ),
    ({}, {"kid": 7}, "FAILED kid wants absent, or a string has 7", "not as RFC 7515 has it"),
    ({}, {"crit": ["exp"]}, 'FAILED crit wants absent has ["exp"]', "an extension"),
    ({"sub": "\x7f\x1b[31m"}, {"crit": []}, 'ok sub "\\u007f\\u001b[31m" (', "an extension"),
    ({"sub": "x" * 500}, {"crit": []}, f'ok sub "{"x" * 159}... (', "an extension"),
]


@pytest.mark.parametrize(("claims", "header", "found", "advised"), MISTAKES)
async def test_a_mistake_is_explained_in_plain_words(
    issuer: Issuer,
    validator: TokenValidator,
    claims: dict[str, Any],
    header: dict[str, Any],
    found: str,
    advised: str,
) -> None:
    explanation = await explained(validator, issuer.mint(claims=claims, header=header))
    assert found in the_text(explanation)
    assert advised in explanation.advice


@pytest.mark.parametrize(
    ("token", "advised"),
    [
        ("", "There is no token"),
        ("kX7dq9Z0pQ", "This is an opaque token, which only the issuer can read"),
        ("a.b.c.d.e", "This is an encrypted token (JWE)"),
        ("eyJh.eyJ", "changed or cut off"),
        ("", "has nothing <- this is why"),
        ("a", "has 1 part <- this is why"),
        ("eyJh.eyJ", "has 2 parts <- this is why"),
        ("eyJh.eyJ.", "has 3 parts, not all of which can be read"),
        ("a b c", "There is a space, a quote or something else"),
        ("\x00.\x00.\x00", "There is a space, a quote or something else"),
        ("Bearer eyJh.eyJ.abc", "perhaps Bearer stands twice"),
    ],
)
async def test_what_is_no_jwt_is_explained(
    validator: TokenValidator, token: str, advised: str
) -> None:
    explanation = await explained(validator, token)
    assert [finding.rule for finding in explanation.findings] == ["size", "form"]
    assert advised in the_text(explanation)
    if "only the issuer" in advised:
        assert f"with audience={AUDIENCE}" in explanation.advice


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (str.upper, "Only upper and lower case is different"),
        (lambda url: url.rstrip("/"), "Only the slash at the end is different"),
        (
            lambda url: url.rstrip("/").upper(),
            "Only upper and lower case and the slash at the end is different",
        ),
    ],
)
async def test_an_issuer_that_is_nearly_right_is_told(
    issuer: Issuer, validator: TokenValidator, change: Callable[[str], str], told: str
) -> None:
    explanation = await explained(validator, issuer.mint(claims={"iss": change(issuer.url)}))
    assert told in explanation.advice


@pytest.mark.parametrize(
    ("trusted", "iss", "told"),
    [
        ("https://login.microsoftonline.com/t/v2.0", "https://sts.windows.net/t/", "to 2"),
        ("https://login.microsoftonline.com/t/v2.0", "https://b.example.com/", "another issuer"),
        ("https://b.example.com/", "https://sts.windows.net/t/", "another issuer"),
    ],
)
async def test_the_other_version_of_entra_is_told(
    issuer: Issuer, keys: list[Key], trusted: str, iss: str, told: str
) -> None:
    given = TrustedIssuer(issuer=trusted, audience=AUDIENCE, keys=keys[0].as_dict(private=False))
    explanation = await explained(TokenValidator(issuers=[given]), issuer.mint(claims={"iss": iss}))
    assert told in explanation.advice


async def test_strict_mode_is_explained(issuer: Issuer) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, strict=True)
    explanation = await explained(validator, issuer.mint())
    assert 'FAILED typ wants at+jwt has "JWT"' in the_text(explanation)
    assert "Access Token Profile" in explanation.advice
    explanation = await explained(validator, issuer.mint(header={"typ": "at+jwt"}))
    assert "FAILED client_id wants there, and not null" in the_text(explanation)
    assert f'ok aud "{AUDIENCE}" (wants there, and not null)' in the_text(explanation)
    assert "A required claim is not there" in explanation.advice


async def test_an_unnamed_key_among_several_is_explained(
    issuer: Issuer, validator: TokenValidator, keys: list[Key]
) -> None:
    issuer.publish(keys[1])
    explanation = await explained(validator, issuer.mint(header={"kid": OMIT}))
    assert "does not name its key" in explanation.advice
    issuer.published = [{**keys[2].as_dict(private=False), "alg": "PS256"}]


async def test_a_key_for_another_algorithm_is_explained(issuer: Issuer, keys: list[Key]) -> None:
    issuer.published.append({**keys[1].as_dict(private=False), "alg": "PS256"})
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    explanation = await explained(validator, issuer.mint(key=keys[1]))
    assert "publishes this key for another algorithm" in explanation.advice


async def test_a_key_that_was_not_given_is_explained(issuer: Issuer, keys: list[Key]) -> None:
    given = TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, keys=keys[0].as_dict(private=False))
    assert (await explained(TokenValidator(issuers=[given]), issuer.mint())).refusal is None
    explanation = await explained(TokenValidator(issuers=[given]), issuer.mint(key=keys[1]))
    assert f'the issuer\'s keys are "{keys[0].kid}"' in the_text(explanation)


async def test_an_issuer_that_is_down_is_explained(issuer: Issuer, clock: FakeClock) -> None:
    issuer.clock = clock.time
    issuer.url = "http://localhost:9/"
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, clock=clock)
    explanation = await explained(validator, issuer.mint())
    assert "; the issuer's keys cannot be had <- this is why" in the_text(explanation)
    assert "not checked signature (there is no key)" in the_text(explanation)
    assert explanation.refusal is not None
    assert explanation.refusal.status == 503
    assert "can this machine reach it?" in explanation.advice
    explanation = await explained(validator, issuer.mint(claims={"exp": 1, "sub": 7}))
    failed = [finding.rule for finding in explanation.findings if finding.status == "FAILED"]
    assert failed == ["key", "exp", "sub"]
    marked = [line for line in str(explanation).splitlines() if "<-" in line]
    assert len(marked) == 1
    assert "1970-01-01 00:00:01 UTC, 1799999999 s ago  <- this is why" in marked[0]


@pytest.mark.parametrize(
    ("revoked", "has", "advised"),
    [
        (lambda _: True, "yes", "it was revoked"),
        (lambda _: None, "(not answered)", "hook did not answer"),
    ],
)
async def test_revocation_is_explained(
    issuer: Issuer, revoked: auth.Revoked, has: str, advised: str
) -> None:
    validator = TokenValidator(issuer=issuer.url, audience=AUDIENCE, revoked=revoked)
    explanation = await explained(validator, issuer.mint())
    assert explanation.findings[-1][:4] == ("revoked", "no", has, "FAILED")
    assert advised in explanation.advice


def says_no(_token: auth.AccessToken) -> bool:
    return False


def refuses(reason: Reason) -> auth.Check:
    """A check that raises a refusal of its own."""

    def refuse(_token: auth.AccessToken) -> bool:
        raise auth.InsufficientScopeError(reason)

    return refuse


@pytest.mark.parametrize(
    ("asked", "claims", "told"),
    [
        ({"permissions": {"p"}}, {"permissions": ["p"]}, "GET /r: it has what is asked for"),
        (
            {"permissions": {"p"}},
            {},
            'GET /r: 403 "Permission denied", reason permissions. The permission p is missing',
        ),
        ({"permissions": {"p"}}, {"permissions": OMIT}, "no permissions claim. With Auth0"),
        ({"scopes": {"b", "a"}}, {}, "Ask for scope a and b when you get the token"),
        ({"any_scope": ["b", "a"]}, {}, "Ask for scope b when"),
        ({"claims": {"org": "x"}}, {}, "It asks for claim org='x': look at"),
        ({"acr_values": ["mfa"]}, {}, "Log in again as the challenge says"),
        ({"check": says_no}, {}, "The route's check says_no does not let"),
        ({"check": refuses(Reason.SCOPE)}, {}, "reason scope. The route's check refuse does not"),
        ({"check": refuses(Reason.PERMISSIONS)}, {}, "The route's check refuse does not let"),
        (
            {"check": refuses(Reason.PERMISSIONS)},
            {"permissions": OMIT},
            "reason permissions. The route's check refuse does not",
        ),
        (
            {"check": refuses(Reason.PERMISSIONS), "permissions": {"p"}},
            {"permissions": ["p"]},
            "The route's check refuse does not let",
        ),
        (
            {"check": refuses(Reason.SCOPE), "scopes": {"a"}, "any_scope": ["b", "c"]},
            {"scope": "a c"},
            "The route's check refuse does not let",
        ),
        ({"check": refuses(Reason.CLAIM)}, {}, "The route's check refuse does not let"),
    ],
)
async def test_what_a_route_asks_for_is_explained_too(
    issuer: Issuer,
    validator: TokenValidator,
    asked: dict[str, Any],
    claims: dict[str, Any],
    told: str,
) -> None:
    app = app_with(validator)
    app.router.add_get("/r", auth.protected(**asked)(new_handler()))
    app.router.add_get("/any", new_handler())
    app.router.add_get("/open", auth.public(new_handler()))
    explanation = await auth.explain(app, issuer.mint(claims=claims))
    assert explanation.refusal is None
    assert told in the_text(explanation)
    assert [path for _, path, _ in explanation.routes] == ["/r"]


async def test_what_is_asked_of_an_optional_token_is_explained_too(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = auth.protected(claims={"token_use": "access"})(web.Application())
    auth.setup(app, validator)
    app.router.add_get("/greeting", auth.optional(new_handler()))
    explanation = await auth.explain(app, issuer.mint())
    assert "GET /greeting: 403" in the_text(explanation)


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
    assert {path: lacking for _, path, lacking in explanation.routes} == {
        "/r": "",
        "/plain/r": "",
        "/inner/r": "protected by another validator",
        "/inner/any": "protected by another validator",
    }
    assert "GET /inner/r: protected by another validator" in str(explanation)
