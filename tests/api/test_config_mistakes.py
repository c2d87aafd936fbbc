"""What does somebody hear whose environment makes no configuration?"""

import errno
import os
import re
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoints

import pytest

from hello.auth import ALGORITHMS
from hello.config import Config, ConfigError
from hello.tokens import possession
from support.environ import OTHER_ISSUER, TENANT, environ_with
from support.naming import naming


def problems_of(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.from_environ(environ)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


BAD_PORTS = ["0", "65536", "100000", "abc", "-1", "+1", "80.5", "8 0", "0x50", "٨٠٨٠"]
BAD_SECONDS = ["0", "-1", "-0.0", "nan", "inf", "-inf", "abc", "1e999", "5s", "1,5"]
NO_ORIGINS = [
    "*",
    "null",
    "localhost:4040",
    "ftp://app.example.com",
    "http://",
    "http://:4040",
    "https://user@app.example.com",
    "https://@app.example.com",
    "https://user:secret@app.example.com",
    "http://localhost:port",
    "http://localhost:65536",
    "http://[::1",
    "http://localhost:4040,http://localhost:4041",
]
MORE_THAN_ORIGINS = [
    "http://localhost:4040/",
    "http://localhost:4040/callback",
    "http://localhost:4040?a=b",
    "http://localhost:4040#top",
]
# What a browser sends for it looks different, so that it would never be found equal.
WRITTEN_OTHERWISE = [
    *("https://App.example.com", "HTTPS://app.example.com", "http://localhost:4040?"),
    *("http://localhost:4040#", "http://localhost:", "http://localhost:04040"),
    *("http://local host", "http://local\thost", "https://*.example.com", "https://bücher.example"),
]
NO_DOMAINS = [
    "t.eu.auth0.com/authorize",
    "https://t.eu.auth0.com//",
    "t.eu.auth0.com:443",
    "-t.eu.auth0.com",
    "t..auth0.com",
    "localhost",
    "t_1.eu.auth0.com",
    "t.eu.auth0.com evil.example.com",
    "t.eu.auth0.com\nevil.example.com",
    "тенант.eu.auth0.com",
]
UNSEEN = ["api\u200b", "my\xa0api", "my\tapi", "my\x1b[0mapi", "my\udcffapi"]
PLACEHOLDERS = [
    "AUTH0-DOMAIN",
    "AUTH0_DOMAIN",
    "YOUR_DOMAIN",
    "tenant.region.auth0.com",
    "https://tenant.region.auth0.com/",
    "<domain>",
    "{yourDomain}",
]
NO_ISSUERS = [
    "http://id.example.com/",
    "http://10.0.0.1/",
    "id.example.com",
    "https://",
    "https://:secret@id.example.com/",
    "https://id.example.com:port/",
    "https://id.example.com:65536/",
]


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        *(("PORT", value, "65535") for value in BAD_PORTS),
        *(("METRICS_PORT", value, "65535") for value in BAD_PORTS),
        ("METRICS_HOST", "local host", ""),
        ("HOST", "local host", ""),
        ("HOST", "[::1]", ""),
        ("HOST", "höst", ""),
        *(("CLIENT_ORIGIN_URL", value, "http://localhost:4040") for value in NO_ORIGINS),
        *(("CLIENT_ORIGIN_URL", value, "") for value in MORE_THAN_ORIGINS),
        *(("CLIENT_ORIGIN_URL", value, "http") for value in WRITTEN_OTHERWISE),
        ("CLIENT_ORIGIN_URL", "http://localhost:80", "80"),
        ("CLIENT_ORIGIN_URL", "https://example.com:443", "443"),
        ("AUTH0_DOMAIN", "http://t.eu.auth0.com", "https"),
        *(("AUTH0_DOMAIN", value, "ISSUER_BASE_URL") for value in NO_DOMAINS),
        *(("ISSUER_BASE_URL", value, "https") for value in NO_ISSUERS),
        ("ISSUER_BASE_URL", "https://id.example.com/?a=b", ""),
        ("ISSUER_BASE_URL", "https://id.example.com/?", ""),
        ("ISSUER_BASE_URL", "https://id.example.com/#a", ""),
        ("ISSUER_BASE_URL", "https://id.example.com/#", ""),
        ("JWKS_URI", "http://keycloak:8080/certs", "ALLOW_INSECURE_HTTP"),
        ("JWKS_URI", "keys.json", "https"),
        ("INTROSPECTION_ENDPOINT", "http://keycloak:8080/introspect", "https"),
        ("AUDIENCE_CLAIM", "client id", ""),
        *(
            (name, value, "")
            for name in ("AUDIENCE_CLAIM", "AUTH0_AUDIENCE", "AUTH0_CLIENT_ID")
            for value in UNSEEN
        ),
        ("PUBLIC_URL", "api.example.com", "https"),
        ("CLIENT_CERT_PROXIES", "localhost", "unix"),
        ("CLIENT_CERT_PROXIES", "10.0.0.1/8", "unix"),
        ("CLIENT_CERT_PROXIES", "127.0.0.1,", "unix"),
        ("DPOP", "yes", "allowed, required, off"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "console"),
        ("AUDIT_FILE", "/", os.strerror(errno.EISDIR)),
        ("AUDIT_FILE", "/nowhere/audit.jsonl", os.strerror(errno.ENOENT)),
        ("DPOP_FAIL_OPEN", "yes", "true"),
        ("ALLOW_INSECURE_HTTP", "yes", "true"),
        ("ALLOW_INSECURE_HTTP", "1", "true"),
        ("ADMIN_PERMISSION", "read:a read:b", ""),
        ("ADMIN_PERMISSION", "read:a,\tread:b", ""),
        ("ADMIN_PERMISSION", '"read:a"', ""),
        ("ADMIN_PERMISSION", "lire:é", ""),
        ("LOG_LEVEL", "verbose", "debug, info, warning, error, critical"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("FORWARDED_FROM", "*", "unix"),
        ("FORWARDED_HEADER", "X-Real-IP", "X-Real-IP"),
        *(("JWKS_MAX_AGE", value, "") for value in BAD_SECONDS),
        *(("JWKS_MAX_STALE", value, "") for value in BAD_SECONDS),
        *(("JWKS_COOLDOWN", value, "") for value in BAD_SECONDS),
        *(("JWKS_TIMEOUT", value, "") for value in BAD_SECONDS),
        *(("AUTH0_DOMAIN", value, "ISSUER_BASE_URL") for value in PLACEHOLDERS),
        ("AUTH0_AUDIENCE", "AUTH0_AUDIENCE", ""),
        ("AUTH0_AUDIENCE", "YOUR_API_IDENTIFIER", ""),
        ("AUTH0_AUDIENCE", "{yourApiIdentifier}", ""),
        ("AUTH0_AUDIENCE", "https://my_your_api", ""),
        ("ISSUER_BASE_URL", "https://{yourDomain}/oauth2/default", ""),
        ("ISSUER_BASE_URL", "https://tenant.region.auth0.com/", ""),
        ("CLIENT_ORIGIN_URL", "https://<your app>", ""),
        ("AUTH0_CLIENT_ID", "YOUR_CLIENT_ID", ""),
    ],
)
def test_a_bad_value_is_named_and_shown(name: str, value: str, named: str) -> None:
    (problem,) = problems_of(environ_with(name, value))
    assert problem.startswith(f"{name} ")
    assert re.search(naming(repr(value), named), problem.removeprefix(name))


@pytest.mark.parametrize(
    ("name", "placeholder", "mistake"),
    [
        *(("AUTH0_DOMAIN", value, "localhost") for value in PLACEHOLDERS),
        ("ISSUER_BASE_URL", "https://{yourDomain}/oauth2/default", "http://id.example.com"),
        ("ISSUER_BASE_URL", "https://tenant.region.auth0.com/", "http://id.example.com"),
        ("CLIENT_ORIGIN_URL", "https://<your app>", "https://app.example.com/"),
    ],
)
def test_a_guides_placeholder_left_in_place_is_told_from_a_mistake(
    name: str, placeholder: str, mistake: str
) -> None:
    told = {
        problem.replace(repr(value), "")
        for value in (placeholder, mistake)
        for problem in problems_of(environ_with(name, value))
    }
    assert len(told) == 2


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("HS256", "HS256"),
        ("none", "none"),
        ("rs256", "rs256"),
        ("RS256,", ""),
        ("RS256,,ES256", ""),
        ("RS256 ES256", "RS256 ES256"),
    ],
)
def test_an_algorithm_that_no_key_set_could_be_safe_with_is_refused(value: str, named: str) -> None:
    (problem,) = problems_of({**TENANT, "TOKEN_SIGNING_ALG": value})
    assert problem.startswith("TOKEN_SIGNING_ALG ")
    assert re.search(naming(repr(named), *ALGORITHMS), problem)


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, ["CLIENT_ORIGIN_URL", "AUTH0_DOMAIN", "AUTH0_AUDIENCE"]),
        ({"AUTH0_DOMAIN": "t.auth0.com"}, ["CLIENT_ORIGIN_URL", "AUTH0_AUDIENCE"]),
        ({"AUTH0_AUDIENCE": "hello"}, ["CLIENT_ORIGIN_URL", "AUTH0_DOMAIN"]),
        ({"ISSUER_BASE_URL": "https://id.example"}, ["CLIENT_ORIGIN_URL", "AUTH0_AUDIENCE"]),
        ({**TENANT, "CLIENT_ORIGIN_URL": ""}, ["CLIENT_ORIGIN_URL"]),
        ({**TENANT, "AUTH0_AUDIENCE": ""}, ["AUTH0_AUDIENCE"]),
        ({**TENANT, "AUTH0_AUDIENCE": " \t"}, ["AUTH0_AUDIENCE"]),
        ({**TENANT, "AUTH0_DOMAIN": ""}, ["AUTH0_DOMAIN"]),
        ({**OTHER_ISSUER, "ISSUER_BASE_URL": ""}, ["AUTH0_DOMAIN"]),
        ({**TENANT, "ISSUER_BASE_URL": ""}, []),
    ],
)
def test_half_a_configuration_names_the_other_half(
    environ: dict[str, str], missing: list[str]
) -> None:
    if not missing:
        assert Config.from_environ(environ).audience == environ["AUTH0_AUDIENCE"]
        return
    problems = problems_of(environ)
    assert [problem.split()[0] for problem in problems] == missing
    for problem in problems:
        assert not problem.startswith("AUTH0_DOMAIN") or "ISSUER_BASE_URL" in problem


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"INTROSPECTION_CLIENT_ID": "us"}, ["INTROSPECTION_CLIENT_SECRET"]),
        ({"INTROSPECTION_CLIENT_SECRET": "x"}, ["INTROSPECTION_CLIENT_ID"]),
        (
            {
                "INTROSPECTION_CLIENT_ID": "us",
                "INTROSPECTION_CLIENT_SECRET": "x",
                "ISSUER_BASE_URL": "http://keycloak:8080/",
                "ALLOW_INSECURE_HTTP": "true",
            },
            ["INTROSPECTION_CLIENT_ID"],
        ),
    ],
)
def test_an_issuer_can_be_asked_over_https_by_a_client_that_is_complete(
    changes: dict[str, str], mistakes: list[str]
) -> None:
    problems = problems_of({**OTHER_ISSUER, **changes})
    assert [problem.split()[0] for problem in problems] == mistakes
    assert not any(repr("x") in problem for problem in problems)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("REDIS_URL", "localhost:6379/unguessable", "redis://"),
        ("REDIS_URL", "https://:unguessable@redis.example.com", "redis://"),
        ("REDIS_URL", "redis://:unguess/able@localhost", "redis://"),
        ("REDIS_URL", "redis://:unguessable@localhost?unguessable=1", "redis-py"),
        ("DPOP_NONCE_SECRET", "unguessable" * 2, "32"),
        ("DPOP_NONCE_SECRET", "unguess\udcff", "32"),
    ],
)
def test_a_bad_value_that_may_hold_a_secret_is_named_and_not_shown(
    name: str, value: str, named: str
) -> None:
    (problem,) = problems_of({**TENANT, name: value})
    assert problem.startswith(f"{name} ")
    assert named in problem
    assert "unguess" not in problem


@pytest.mark.parametrize("name", ["INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"])
@pytest.mark.parametrize("unseen", UNSEEN)
def test_what_nobody_can_see_in_a_secret_is_not_shown(name: str, unseen: str) -> None:
    client = {"INTROSPECTION_CLIENT_ID": "us", "INTROSPECTION_CLIENT_SECRET": "unguessable"}
    (problem,) = problems_of({**TENANT, **client, name: unseen})
    assert problem.startswith(f"{name} ")
    assert "api" not in problem


def test_what_reads_no_proof_needs_nothing_for_proofs() -> None:
    needless = {
        "REDIS_URL": "redis://:unguessable@localhost",
        "DPOP_FAIL_OPEN": "true",
        "DPOP_NONCE_SECRET": "unguessable" * 3,
    }
    problems = problems_of({**TENANT, **needless, "DPOP": "off"})
    assert [problem.split()[0] for problem in problems] == list(needless)
    assert all("DPOP is off" in each and "unguess" not in each for each in problems)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"DPOP_FAIL_OPEN": "true"}, ["DPOP_FAIL_OPEN"]),
        ({"DPOP_FAIL_OPEN": "true", "REDIS_URL": " "}, ["DPOP_FAIL_OPEN"]),
        ({"DPOP_FAIL_OPEN": "true", "REDIS_URL": "http://localhost"}, ["REDIS_URL"]),
    ],
)
def test_what_is_for_an_outage_of_redis_needs_a_redis(
    environ: dict[str, str], named: list[str]
) -> None:
    problems = problems_of({**TENANT, **environ})
    assert [problem.split()[0] for problem in problems] == named


def test_redis_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hello.tokens.possession.redis_client", raising=False)
    monkeypatch.delattr(possession, "redis_client", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    (problem,) = problems_of({**TENANT, "REDIS_URL": "redis://:unguessable@localhost"})
    assert problem.startswith("REDIS_URL ")
    assert "python -m pip install -e '.[redis]'" in problem
    assert "unguess" not in problem


def test_two_issuers_are_both_named() -> None:
    (problem,) = problems_of({**TENANT, **OTHER_ISSUER})
    assert re.search(naming("AUTH0_DOMAIN", "ISSUER_BASE_URL"), problem)


def test_all_mistakes_are_told_at_once() -> None:
    mistakes = {
        "HOST": "no host",
        "PORT": "0",
        "CLIENT_ORIGIN_URL": "*",
        "AUTH0_DOMAIN": "YOUR_DOMAIN",
        "AUTH0_AUDIENCE": "",
        "TOKEN_SIGNING_ALG": "HS256",
        "ADMIN_PERMISSION": "a b",
        "LOG_LEVEL": "loud",
        "LOG_FORMAT": "xml",
        "FORWARDED_FROM": "proxy",
        "JWKS_MAX_AGE": "nan",
        "JWKS_MAX_STALE": "0",
        "JWKS_COOLDOWN": "soon",
        "JWKS_TIMEOUT": "-1",
    }
    assert [problem.split()[0] for problem in problems_of(mistakes)] == list(mistakes)


def test_what_does_not_fit_together_is_told_beside_other_mistakes() -> None:
    mistakes = {"PORT": "0", "JWKS_MAX_STALE": "5"}
    problems = problems_of({**TENANT, **mistakes})
    assert [problem.split()[0] for problem in problems] == list(mistakes)


@pytest.mark.parametrize(
    ("max_age", "max_stale", "good"),
    [("600", "600", True), ("600", "599.9", False), ("3601", "", False), ("", "10", False)],
)
def test_stale_keys_are_kept_no_shorter_than_fresh_ones(
    max_age: str, max_stale: str, *, good: bool
) -> None:
    environ = {**TENANT, "JWKS_MAX_AGE": max_age, "JWKS_MAX_STALE": max_stale}
    if good:
        assert Config.from_environ(environ).jwks_max_stale == float(max_stale)
    else:
        (problem,) = problems_of(environ)
        assert problem.startswith("JWKS_MAX_STALE ")
        assert re.search(naming("JWKS_MAX_AGE"), problem)


def test_traces_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hello.values.entry_points", lambda **group: EntryPoints())
    [problem] = problems_of({**TENANT, "OTEL_TRACES_EXPORTER": "otlp"})
    assert "[tracing]" in problem
