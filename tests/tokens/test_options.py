"""Which options of a validator could not work, and is that told by name when they are given?"""

import math
from typing import Any

import pytest

from hello.auth import DPoP, MemoryReplayStore, TokenValidator, TrustedIssuer
from support.api import AUDIENCE
from support.naming import naming

OURS = "https://ours.example.com/"


async def resolver(_issuer: str, _host: str) -> TrustedIssuer | None:
    return None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("issuer", ""),
        ("issuer", "tenant.eu.auth0.com"),
        ("issuer", "http://tenant.eu.auth0.com/"),
        ("issuer", "ftp://tenant.eu.auth0.com/"),
        ("audience", ""),
        ("audience", []),
        ("audience", [""]),
        ("audience", [7]),
        ("leeway", -1),
        ("leeway", math.nan),
        ("leeway", math.inf),
        ("max_age", 0),
        ("max_age", math.nan),
        ("jwks_max_age", math.nan),
        ("jwks_max_stale", math.inf),
        ("jwks_cooldown", 0),
        ("jwks_cooldown", -1),
        ("jwks_timeout", 0),
        ("jwks_timeout", math.nan),
        ("algorithms", "RS256"),
        ("algorithms", ()),
        ("algorithms", ["none"]),
        ("algorithms", ["HS256"]),
        ("algorithms", ["rs256"]),
        ("algorithms", {"RS256", "HS256"}),
        ("algorithms", ["HS384"]),
        ("algorithms", ["HS512"]),
        ("algorithms", ["RS256 "]),
        ("algorithms", [""]),
        ("algorithms", ["Ed448"]),
        ("algorithms", 7),
        ("algorithms", [7]),
        ("required_claims", "jti"),
        ("required_claims", 7),
        ("required_claims", [7]),
        ("revoked", True),
        ("fetch", "https://tenant.eu.auth0.com/jwks"),
        ("token_cache_size", -1),
        ("token_cache_size", True),
        ("strict", "false"),
        ("strict", 1),
        ("token_cache_size", 1.5),
        ("token_cache_size", "4096"),
        ("jwks_max_age", 3600.5),
        ("jwks_max_stale", 599),
    ],
)
def test_options_that_could_not_work_are_refused_by_name(option: str, value: Any) -> None:
    options = {"issuer": "https://tenant.eu.auth0.com/", "audience": AUDIENCE}
    TokenValidator(**options)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=naming(option)):
        TokenValidator(**{**options, option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("jwks_uri", 7),
        ("jwks_uri", ["https://tenant.eu.auth0.com/jwks"]),
        ("types", 7),
        ("types", "token+jwt"),
        ("types", [""]),
    ],
)
def test_options_of_an_issuer_of_a_wrong_type_are_refused_by_name(option: str, value: Any) -> None:
    options = {"issuer": "https://tenant.eu.auth0.com/", "audience": AUDIENCE, option: value}
    with pytest.raises(ValueError, match=naming(option)):
        TrustedIssuer(**options)


@pytest.mark.parametrize(
    "options",
    [{"leeway": 0}, {"max_age": 0.5}, {"jwks_max_age": 3600}, {"algorithms": {"ES256", "RS256"}}],
)
def test_options_at_their_limits_are_accepted(options: dict[str, Any]) -> None:
    TokenValidator(issuer="https://tenant.eu.auth0.com/", audience=AUDIENCE, **options)


ONE = TrustedIssuer(issuer=OURS, audience=AUDIENCE)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, ["issuer"]),
        ({"issuer": OURS}, ["audience"]),
        ({"audience": AUDIENCE}, ["issuer"]),
        ({"issuers": []}, ["issuers"]),
        ({"issuers": [ONE, ONE]}, [OURS]),
        ({"issuers": ONE}, ["issuers", "TrustedIssuer"]),
        ({"issuers": 7}, ["issuers"]),
        ({"issuers": [OURS]}, ["issuers", f"'{OURS}'"]),
        ({"issuers": [ONE], "issuer": OURS}, ["issuers"]),
        ({"issuers": [ONE], "audience": AUDIENCE}, ["issuers", "audience"]),
        (
            {"issuers": [ONE], "issuer": OURS, "algorithms": ["RS256"]},
            ["issuers", "algorithms"],
        ),
        ({"issuers": resolver, "algorithms": []}, ["issuers", "algorithms"]),
        ({"issuers": resolver, "max_issuers": 0}, ["max_issuers"]),
        ({"issuers": resolver, "max_issuers": True}, ["max_issuers"]),
    ],
)
def test_contradictory_issuers_are_told_when_they_are_given(
    options: dict[str, Any], named: list[object]
) -> None:
    with pytest.raises(ValueError, match=naming(*named)):
        TokenValidator(**options)


@pytest.mark.parametrize(
    ("option", "value", "instead"),
    [
        ("replay", "redis://:password@localhost:6379", "RedisReplayStore"),
        ("replay", MemoryReplayStore, "RedisReplayStore"),
        ("replay", 7, "RedisReplayStore"),
        ("replay", "", "RedisReplayStore"),
        ("nonces", "password" * 5, "Nonces"),
        ("nonces", True, "Nonces"),
        ("nonces", "", "Nonces"),
        ("algorithms", 7, "strings"),
        ("algorithms", [["ES256"]], "strings"),
    ],
)
def test_options_of_a_wrong_type_are_told_where_they_are_given(
    option: str, value: Any, instead: str
) -> None:
    """And what may hold a password is not shown."""
    with pytest.raises(ValueError, match=rf"^{option} is .*{instead}") as told:
        DPoP(**{option: value})
    assert "password" not in str(told.value)
