"""What does the environment decide, and what does it hear that decides nothing?"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from dotenv import dotenv_values

from hello.app import token_validator
from hello.auth import MemoryReplayStore, Nonces, RedisReplayStore
from hello.config import Config, names_issuer
from support.environ import OTHER_ISSUER, TENANT, environ_with
from support.pages import PROJECT

EXAMPLE = PROJECT / ".env.example"

DEFAULTS = {
    "host": "localhost",
    "port": 6060,
    "client_origin": "http://localhost:4040",
    "issuer": "https://dev-abc123.eu.auth0.com/",
    "audience": "https://hello-world.example.com",
    "audience_claim": "aud",
    "jwks_uri": None,
    "allow_insecure_http": False,
    "introspection_client": None,
    "introspection_endpoint": None,
    "algorithms": ("RS256",),
    "admin_permission": None,
    "client_id": None,
    "resource_url": None,
    "public_url": None,
    "client_cert_proxies": (),
    "dpop": "allowed",
    "redis_url": None,
    "dpop_fail_open": False,
    "dpop_nonce_secret": None,
    "log_level": "info",
    "log_format": "text",
    "forwarded_from": (),
    "forwarded_header": None,
    "audit_file": None,
    "traces_exporter": None,
    "metrics_host": "127.0.0.1",
    "metrics_port": None,
    "jwks_max_age": 600.0,
    "jwks_max_stale": 3600.0,
    "jwks_cooldown": 10.0,
    "jwks_timeout": 5.0,
}
VARIABLES = {
    "PORT",
    "HOST",
    "CLIENT_ORIGIN_URL",
    "AUTH0_DOMAIN",
    "AUTH0_AUDIENCE",
    "ISSUER_BASE_URL",
    "AUDIENCE_CLAIM",
    "JWKS_URI",
    "ALLOW_INSECURE_HTTP",
    "INTROSPECTION_CLIENT_ID",
    "INTROSPECTION_CLIENT_SECRET",
    "INTROSPECTION_ENDPOINT",
    "TOKEN_SIGNING_ALG",
    "ADMIN_PERMISSION",
    "AUTH0_CLIENT_ID",
    "RESOURCE_URL",
    "PUBLIC_URL",
    "CLIENT_CERT_PROXIES",
    "DPOP",
    "REDIS_URL",
    "DPOP_FAIL_OPEN",
    "DPOP_NONCE_SECRET",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "FORWARDED_FROM",
    "FORWARDED_HEADER",
    "AUDIT_FILE",
    "OTEL_TRACES_EXPORTER",
    "METRICS_HOST",
    "METRICS_PORT",
    "JWKS_MAX_AGE",
    "JWKS_MAX_STALE",
    "JWKS_COOLDOWN",
    "JWKS_TIMEOUT",
}


class Recorder(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.asked: set[str] = set()
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("nobody needs to read the whole environment")

    def __len__(self) -> int:
        raise AssertionError("nobody needs to read the whole environment")


def test_a_tenant_an_audience_and_an_origin_are_enough() -> None:
    config = Config.from_environ(TENANT)
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert set(Config.__slots__) == set(DEFAULTS)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65535),
        ("PORT", " 6060 ", "port", 6060),
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("HOST", "::1", "host", "::1"),
        ("HOST", "api.example.com", "host", "api.example.com"),
        ("CLIENT_ORIGIN_URL", "https://app.example.com", "client_origin", None),
        ("CLIENT_ORIGIN_URL", "https://app.example.com:8443", "client_origin", None),
        ("CLIENT_ORIGIN_URL", "https://app.example.com:80", "client_origin", None),
        ("CLIENT_ORIGIN_URL", "http://[::1]:4040", "client_origin", None),
        ("AUTH0_DOMAIN", "t.eu.auth0.com", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "https://t.eu.auth0.com/", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "https://t.eu.auth0.com", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "t.eu.auth0.com/", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "T.EU.Auth0.COM", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "\tt.eu.auth0.com\n", "issuer", "https://t.eu.auth0.com/"),
        ("AUTH0_DOMAIN", "login.example.com", "issuer", "https://login.example.com/"),
        ("AUTH0_AUDIENCE", "hello", "audience", None),
        ("AUTH0_AUDIENCE", "https://api.yourself.example.com/v1", "audience", None),
        # Kept exactly: a slash more or less is another issuer.
        ("ISSUER_BASE_URL", "https://id.example.com", "issuer", None),
        ("ISSUER_BASE_URL", "https://id.example.com/", "issuer", None),
        ("ISSUER_BASE_URL", "https://ID.example.com/Realms/A/", "issuer", None),
        ("ISSUER_BASE_URL", "https://id.example.com:8443/realms/a", "issuer", None),
        ("ISSUER_BASE_URL", "http://localhost:6061/", "issuer", None),
        ("ISSUER_BASE_URL", "http://[::1]:6061/", "issuer", None),
        ("AUDIENCE_CLAIM", "client_id", "audience_claim", None),
        ("JWKS_URI", "https://id.example.com/keys", "jwks_uri", None),
        ("JWKS_URI", "http://localhost:8080/keys", "jwks_uri", None),
        ("INTROSPECTION_ENDPOINT", "https://id.example.com/ask", "introspection_endpoint", None),
        ("ALLOW_INSECURE_HTTP", "true", "allow_insecure_http", True),
        ("ALLOW_INSECURE_HTTP", "False", "allow_insecure_http", False),
        ("TOKEN_SIGNING_ALG", "RS256,PS256", "algorithms", ("RS256", "PS256")),
        ("TOKEN_SIGNING_ALG", " RS256 , EdDSA ", "algorithms", ("RS256", "EdDSA")),
        ("ADMIN_PERMISSION", "read:admin-messages", "admin_permission", None),
        ("ADMIN_PERMISSION", "https://example.com/admin", "admin_permission", None),
        ("PUBLIC_URL", "https://api.example.com/v1", "public_url", None),
        ("CLIENT_CERT_PROXIES", "127.0.0.1", "client_cert_proxies", ("127.0.0.1",)),
        ("CLIENT_CERT_PROXIES", "::1, unix", "client_cert_proxies", ("::1", "unix")),
        ("DPOP", "Required", "dpop", "required"),
        ("DPOP", "off", "dpop", "off"),
        ("REDIS_URL", "rediss://me:pw@10.0.0.7:6380/2", "redis_url", None),
        ("REDIS_URL", "unix:///run/redis.sock", "redis_url", None),
        ("DPOP_FAIL_OPEN", "False", "dpop_fail_open", False),
        ("DPOP_NONCE_SECRET", "x" * 32, "dpop_nonce_secret", b"x" * 32),
        (
            "DPOP_NONCE_SECRET",
            "ü" * 15 + "\udcff" * 2,
            "dpop_nonce_secret",
            b"\xc3\xbc" * 15 + b"\xff\xff",
        ),
        ("AUTH0_CLIENT_ID", "aBc123", "client_id", None),
        ("AUDIT_FILE", os.devnull, "audit_file", None),
        ("OTEL_TRACES_EXPORTER", "otlp, Console", "traces_exporter", "otlp,console"),
        ("LOG_LEVEL", "debug", "log_level", None),
        ("METRICS_PORT", "9100", "metrics_port", 9100),
        ("METRICS_HOST", "10.0.0.7", "metrics_host", None),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("LOG_FORMAT", "JSON", "log_format", "json"),
        ("FORWARDED_HEADER", "X-Forwarded-For", "forwarded_header", "x-forwarded-for"),
        ("FORWARDED_HEADER", "forwarded", "forwarded_header", "forwarded"),
        ("FORWARDED_FROM", "10.0.0.0/8, unix", "forwarded_from", ("10.0.0.0/8", "unix")),
        ("JWKS_MAX_AGE", "1e3", "jwks_max_age", 1000.0),
        ("JWKS_MAX_STALE", "600", "jwks_max_stale", 600.0),
        ("JWKS_COOLDOWN", "0.5", "jwks_cooldown", 0.5),
        ("JWKS_TIMEOUT", " 2 ", "jwks_timeout", 2.0),
    ],
)
def test_good_values(name: str, value: str, field: str, expected: Any) -> None:
    config = Config.from_environ(environ_with(name, value))
    assert getattr(config, field) == (value if expected is None else expected)


@pytest.mark.parametrize("value", ["", "none", " None "])
def test_no_traces_are_sent_unless_an_exporter_is_named(value: str) -> None:
    assert Config.from_environ({**TENANT, "OTEL_TRACES_EXPORTER": value}).traces_exporter is None


KEYCLOAK = "http://keycloak:8080/realms/hello"


@pytest.mark.parametrize(
    "changes",
    [
        {"ISSUER_BASE_URL": KEYCLOAK, "ALLOW_INSECURE_HTTP": "true"},
        {"ISSUER_BASE_URL": "http://adfs.example.com/trust", "JWKS_URI": "https://a.example.com/"},
        {"ISSUER_BASE_URL": "a-name", "JWKS_URI": KEYCLOAK, "ALLOW_INSECURE_HTTP": "true"},
    ],
)
def test_the_issuer_may_be_a_name_or_at_another_address(changes: dict[str, str]) -> None:
    config = Config.from_environ({**OTHER_ISSUER, **changes})
    assert config.issuer == changes["ISSUER_BASE_URL"]
    [trusted] = token_validator(config).issuers.listed
    assert (trusted.issuer, trusted.jwks_uri) == (config.issuer, changes.get("JWKS_URI"))


def test_the_issuer_can_be_asked_about_opaque_tokens() -> None:
    client = {"INTROSPECTION_CLIENT_ID": "api", "INTROSPECTION_CLIENT_SECRET": "unguessable"}
    config = Config.from_environ({**TENANT, **client, "AUDIENCE_CLAIM": "client_id"})
    [trusted] = token_validator(config).issuers.listed
    assert trusted.introspection is not None
    assert trusted.introspection.client_id == "api"
    assert trusted.audience_claim == "client_id"
    assert "unguessable" not in repr(config)


@pytest.mark.parametrize("mode", ["allowed", "required"])
def test_where_proofs_are_remembered_and_whether_they_need_a_nonce(mode: str) -> None:
    environ = {
        "DPOP": mode,
        "REDIS_URL": "redis://:unguessable@localhost",
        "DPOP_FAIL_OPEN": "true",
        "DPOP_NONCE_SECRET": "unguessable" * 3,
    }
    plain = token_validator(Config.from_environ({**TENANT, "DPOP": mode})).dpop
    config = Config.from_environ({**TENANT, **environ})
    dpop = token_validator(config).dpop
    assert plain is not None
    assert isinstance(plain.replay, MemoryReplayStore)
    assert (plain.required, plain.fail_open, plain.nonces) == (mode == "required", False, None)
    assert dpop is not None
    assert isinstance(dpop.replay, RedisReplayStore)
    assert (dpop.required, dpop.fail_open) == (mode == "required", True)
    assert dpop.nonces is not None
    assert dpop.nonces.accepts(Nonces(environ["DPOP_NONCE_SECRET"]).current(1e9), 1e9)
    assert "unguessable" not in repr(config)


def test_dpop_can_be_switched_off() -> None:
    example = {"DPOP": "off", "DPOP_FAIL_OPEN": "false", "REDIS_URL": "", "DPOP_NONCE_SECRET": ""}
    assert token_validator(Config.from_environ({**TENANT, **example})).dpop is None


def test_an_empty_variable_counts_as_not_set() -> None:
    optional = dict.fromkeys(VARIABLES - TENANT.keys(), "")
    blank = dict.fromkeys(VARIABLES - TENANT.keys(), " \t ")
    assert Config.from_environ({**optional, **TENANT}) == Config.from_environ(TENANT)
    assert Config.from_environ({**blank, **TENANT}) == Config.from_environ(TENANT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH0_AUDIENCE", "https://api.knowyourclient.com"),
        ("CLIENT_ORIGIN_URL", "https://app.knowyourclient.com"),
        ("AUTH0_DOMAIN", "askyourdomain.eu.auth0.com"),
    ],
)
def test_a_name_is_no_placeholder_because_it_has_one_in_it(name: str, value: str) -> None:
    assert Config.from_environ(environ_with(name, value))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
        ("0.0.0.0", "http://localhost:80"),
        ("::", "http://localhost:80"),
    ],
)
def test_the_apis_address_can_be_typed(host: str, url: str) -> None:
    assert Config.from_environ({**TENANT, "HOST": host, "PORT": "80"}).base_url == url


def test_a_configuration_does_not_change() -> None:
    config = Config.from_environ(TENANT)
    with pytest.raises(FrozenInstanceError):
        config.issuer = "https://evil.example.com/"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, False),
        ({"AUTH0_DOMAIN": ""}, False),
        ({"AUTH0_DOMAIN": " ", "ISSUER_BASE_URL": "\t"}, False),
        ({"CLIENT_ORIGIN_URL": "http://localhost:4040", "PORT": "80"}, False),
        ({"AUTH0_DOMAIN": "t.auth0.com"}, True),
        ({"AUTH0_AUDIENCE": "hello", "ADMIN_PERMISSION": "read:all"}, False),
        ({"ISSUER_BASE_URL": "nonsense"}, True),
    ],
)
def test_only_an_issuer_ends_the_sandbox(environ: dict[str, str], *, named: bool) -> None:
    assert names_issuer(environ) is named


@pytest.mark.parametrize("required", [TENANT, OTHER_ISSUER])
def test_the_example_lists_what_is_read_and_the_real_defaults(required: dict[str, str]) -> None:
    environ = Recorder(required)
    config = Config.from_environ(environ)
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    assert environ.asked == VARIABLES
    assert set(example) == VARIABLES
    assert not names_issuer(example), "copied as it is, it should start the sandbox"
    assert Config.from_environ({**example, **required}) == config
    for name in set(example) - required.keys():
        assert Config.from_environ({**required, name: example[name]}) == config, name


def test_the_example_has_every_variable_once() -> None:
    names = re.findall(r"^([A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(VARIABLES)
