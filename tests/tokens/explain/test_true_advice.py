"""Is what an operator is told about a token true, whichever provider or person made it?"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from joserfc.jwk import Key

from hello import auth
from hello.auth import FetchError, TokenValidator, TrustedIssuer
from hello.sandbox.issuer import sign
from hello.sandbox.issuer.signing import changed
from hello.tokens.explain.sentences import _SENTENCES
from support.clock import FakeClock
from support.explaining import app_with, explained
from support.naming import naming
from support.protecting import new_handler
from support.real_shapes import API, GUID, ISSUER, NOW, Shape
from support.shapes_of_claims import CLAIMS, TIMES
from support.shapes_of_headers import EC, ED, HEADERS
from support.shapes_of_origins import AUDIENCES, ISSUERS
from support.shapes_of_routes import LACKING, Lacking
from support.shapes_of_signatures import IN_COMPOSE, SIGNATURES
from support.shapes_of_texts import TEXTS

SHAPES = [*TEXTS, *HEADERS, *SIGNATURES, *ISSUERS, *AUDIENCES, *TIMES, *CLAIMS]


def provider(url: str, keys: list[Key]) -> Callable[[str], Any]:
    """An issuer with several keys, which are fetched without a network."""
    first = {**keys[0].as_dict(private=False), "kid": "first"}
    second = {**keys[1].as_dict(private=False), "kid": "second"}
    published = [first, second, *(key.as_dict(private=False) for key in (EC, ED))]

    async def fetch(asked: str) -> bytes:
        if asked.endswith("/keys"):
            return json.dumps({"keys": published}).encode()
        return json.dumps({"issuer": url, "jwks_uri": "https://id.example.com/keys"}).encode()

    return fetch


def token_of(shape: Shape, keys: list[Key]) -> str:
    usual = {"iss": shape.trusted, "iat": NOW, "exp": NOW + 3600, "aud": API}
    claims = changed(usual, shape.claims)
    header = changed({"alg": "RS256", "typ": "JWT", "kid": "first"}, shape.header)
    key = keys[0] if shape.key is None else shape.key(keys)
    # A header in bytes is signed with RS256, whatever its alg is.
    by_alg = header if key.key_type != "RSA" else json.dumps(header).encode()
    return shape.text(sign(by_alg, claims, key))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.advice} {shape.name}")
async def test_the_advice_fits_the_token(keys: list[Key], shape: Shape) -> None:
    options: dict[str, Any] = {"audience": API, **shape.options}
    validator = TokenValidator(
        issuers=[TrustedIssuer(issuer=shape.trusted, **options)],
        fetch=provider(shape.trusted, keys),
        clock=FakeClock(epoch=NOW),
        **shape.settings,
    )
    explanation = await explained(validator, token_of(shape, keys))
    await validator.close()
    assert explanation.advice_ids == (shape.advice,)
    assert explanation.refusal is not None
    assert explanation.refusal.reason == shape.advice.partition(".")[0]
    assert re.search(naming(*shape.named), explanation.advice)


@pytest.mark.parametrize("lacking", LACKING, ids=lambda each: f"{each.advice} {each.name}")
async def test_the_advice_fits_what_a_route_requires(keys: list[Key], lacking: Lacking) -> None:
    validator = TokenValidator(
        issuer=ISSUER, audience=API, fetch=provider(ISSUER, keys), clock=FakeClock(epoch=NOW)
    )
    app = app_with(validator)
    app.router.add_get("/r", auth.protected(**lacking.required)(new_handler()))
    explanation = await auth.explain(app, token_of(Shape("", "", lacking.claims), keys))
    assert explanation.refusal is None
    [(*_, told)] = explanation.routes
    known, _, within = lacking.advice.partition(".")
    # What comes before the first value that is filled in.
    said = _SENTENCES[known][within].partition("{")[0]
    assert said.strip() in told
    assert re.search(naming(*lacking.named), told)


class Asked(NamedTuple):
    """What a resolver does that is asked with a host, and the advice about that."""

    advice: str
    host: str = ""
    iss: str = ISSUER


RESOLVED = [
    *(Asked("issuer.no_host", host) for host in ("", "/", "a b", "a/b", "http://a.example.com")),
    *(Asked("issuer.resolver", host) for host in ("b", "b.example.com", "A.b", "a:80", "[::1]")),
    *(
        Asked("issuer.unaskable", "b", iss)
        for iss in ("https://id.example.com/ ", "a b", "\u00e9", "x" * 2049, "\n")
    ),
    *(Asked("resolver_unavailable.no_host", host) for host in ("", "/", "a b", "?", "a/b")),
    *(Asked("resolver_unavailable.failed", host) for host in ("b", "a.b", "b:1", "[::1]", "B")),
]


@pytest.mark.parametrize("asked", RESOLVED, ids=str)
async def test_the_advice_fits_what_a_resolver_does(keys: list[Key], asked: Asked) -> None:
    async def resolver(_iss: str, _host: str) -> TrustedIssuer | None:
        if asked.advice.startswith("issuer"):
            return None
        raise OSError

    validator = TokenValidator(issuers=resolver)
    token = token_of(Shape("", "", {"iss": asked.iss}), keys)
    explanation = await auth.explain(app_with(validator), token, host=asked.host)
    assert explanation.advice_ids == (asked.advice,)


UNASKABLE = ["V1StGXR8Z5jdHi6BmyT8Nq0aXkLpWc3e", "ory_at_8ZkG.Xb7n", GUID, "a-b_c", "dXNlcjpw=="]


@pytest.mark.parametrize("text", UNASKABLE)
async def test_where_nobody_can_be_asked_nobody_is_told_to_ask(text: str) -> None:
    """A resolver's issuers cannot be asked about opaque tokens, because these name no issuer."""

    async def resolver(_iss: str, _host: str) -> None:
        return None

    explanation = await explained(TokenValidator(issuers=resolver), text)
    assert explanation.advice_ids == ("malformed.opaque_unaskable",)


OUTAGES = [
    *(
        ("keys_unavailable.other", url, {})
        for url in (
            ISSUER,
            "https://keycloak.example.com/realms/hello",
            "https://192.0.2.1",
            "https://localhost:8443",
            "https://login.microsoftonline.com/common/v2.0",
        )
    ),
    *(
        ("keys_unavailable.sandbox", url, {})
        for url in (
            "http://localhost:6061/",
            "http://localhost:9",
            "http://127.0.0.1:8080/realms/a",
            "http://[::1]:4444/",
            "http://localhost/",
        )
    ),
    ("keys_unavailable.other", "http://localhost:8080/realms/a", IN_COMPOSE),
    ("keys_unavailable.other", "http://localhost:8080", {"jwks_uri": "https://k.example.com/keys"}),
    ("keys_unavailable.sandbox", "keycloak", {"jwks_uri": "http://localhost:8080/keys"}),
]


@pytest.mark.parametrize(("advice", "url", "options"), OUTAGES)
async def test_the_advice_names_the_issuer_whose_keys_are_missing(
    keys: list[Key], advice: str, url: str, options: Mapping[str, Any]
) -> None:
    """And the address that they are fetched from, whose host decides what is advised."""

    async def unreachable(_url: str) -> bytes:
        raise FetchError("no answer")

    trusted = [
        TrustedIssuer(issuer=url, audience=API, **options),
        TrustedIssuer(issuer="https://b.example.com", audience=API),
    ]
    validator = TokenValidator(issuers=trusted, fetch=unreachable, clock=FakeClock(epoch=NOW))
    explanation = await explained(validator, token_of(Shape("", "", trusted=url), keys))
    assert explanation.advice_ids == (advice,)
    assert url in explanation.advice
    assert options.get("jwks_uri", url) in explanation.advice
    assert "https://b.example.com" not in explanation.advice


def raises(_token: auth.AccessToken) -> bool:
    raise OSError


def returning(value: Any) -> Callable[[auth.AccessToken], Any]:
    return lambda _token: value


@pytest.mark.parametrize("hook", [raises, *map(returning, (None, 1, "no", []))])
async def test_a_hook_that_does_not_answer_is_told(keys: list[Key], hook: Any) -> None:
    validator = TokenValidator(
        issuer=ISSUER,
        audience=API,
        fetch=provider(ISSUER, keys),
        clock=FakeClock(epoch=NOW),
        revoked=hook,
    )
    explanation = await explained(validator, token_of(Shape("", ""), keys))
    assert explanation.advice_ids == ("revocation_unavailable",)


EVERY_ADVICE = [
    *((shape.advice, shape.name) for shape in SHAPES),
    *((each.advice, each.name) for each in LACKING),
    *((asked.advice, f"{asked.host} {asked.iss}") for asked in RESOLVED),
    *(("malformed.opaque_unaskable", text) for text in UNASKABLE),
    *((advice, f"{url} {options}") for advice, url, options in OUTAGES),
]
NOT_A_TOKENS = {
    "no_credentials",
    "too_long",
    "revocation_unavailable",
    "inactive",  # test_advice_about_answers.py and tests/tokens/introspection have these
    "introspection_unavailable",
    "type.no_token_type",
    "type.answer_for_client",
    # A request's: test_bound_tokens_explained.py has these.
    *("bound.other_key", "unbound", "bearer", "proof", "nonce", "replayed", "replay_unavailable"),
}


def test_every_advice_is_given_for_five_shapes_at_least() -> None:
    assert len(set(EVERY_ADVICE)) == len(EVERY_ADVICE)
    counted = Counter(advice for advice, _ in EVERY_ADVICE)
    ids = {
        f"{reason}.{within}" if within else reason
        for reason, said in _SENTENCES.items()
        for within in (said if isinstance(said, dict) else [""])
        if {reason, f"{reason}.{within}"}.isdisjoint(NOT_A_TOKENS)
    }
    assert set(counted) == ids
    assert {advice: count for advice, count in counted.items() if count < 5} == {}
