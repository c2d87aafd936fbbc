"""What does the environment decide, and what does it hear that decides nothing?"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from dotenv import dotenv_values

from hello.config import Config, ConfigError, names_issuer
from support.pages import PROJECT

EXAMPLE = PROJECT / ".env.example"

TENANT = {
    "AUTH0_DOMAIN": "dev-abc123.eu.auth0.com",
    "AUTH0_AUDIENCE": "https://hello-world.example.com",
    "CLIENT_ORIGIN_URL": "http://localhost:4040",
}
OTHER_ISSUER = {
    "ISSUER_BASE_URL": "https://keycloak.example.com/realms/hello",
    "AUTH0_AUDIENCE": TENANT["AUTH0_AUDIENCE"],
    "CLIENT_ORIGIN_URL": TENANT["CLIENT_ORIGIN_URL"],
}
DEFAULTS = {
    "host": "localhost",
    "port": 6060,
    "client_origin": "http://localhost:4040",
    "issuer": "https://dev-abc123.eu.auth0.com/",
    "audience": "https://hello-world.example.com",
    "algorithms": ("RS256",),
    "admin_permission": None,
    "client_id": None,
    "resource_url": None,
    "log_level": "info",
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
    "TOKEN_SIGNING_ALG",
    "ADMIN_PERMISSION",
    "AUTH0_CLIENT_ID",
    "RESOURCE_URL",
    "LOG_LEVEL",
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


def environ_with(name: str, value: str) -> dict[str, str]:
    """An environment that is right but for one variable."""
    return {**(OTHER_ISSUER if name == "ISSUER_BASE_URL" else TENANT), name: value}


def problems_of(environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        Config.from_environ(environ)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return raised.value.problems


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
        ("ISSUER_BASE_URL", "http://id.localhost:6061", "issuer", None),
        ("ISSUER_BASE_URL", "http://[::1]:6061/", "issuer", None),
        ("TOKEN_SIGNING_ALG", "RS256,PS256", "algorithms", ("RS256", "PS256")),
        ("TOKEN_SIGNING_ALG", " RS256 , EdDSA ", "algorithms", ("RS256", "EdDSA")),
        ("ADMIN_PERMISSION", "read:admin-messages", "admin_permission", None),
        ("ADMIN_PERMISSION", "https://example.com/admin", "admin_permission", None),
        ("AUTH0_CLIENT_ID", "aBc123", "client_id", None),
        ("LOG_LEVEL", "debug", "log_level", None),
        ("LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("JWKS_MAX_AGE", "1e3", "jwks_max_age", 1000.0),
        ("JWKS_MAX_STALE", "600", "jwks_max_stale", 600.0),
        ("JWKS_COOLDOWN", "0.5", "jwks_cooldown", 0.5),
        ("JWKS_TIMEOUT", " 2 ", "jwks_timeout", 2.0),
    ],
)
def test_good_values(name: str, value: str, field: str, expected: Any) -> None:
    config = Config.from_environ(environ_with(name, value))
    assert getattr(config, field) == (value if expected is None else expected)


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
    ("name", "value", "says"),
    [
        *(("PORT", value, "not a port from 1 to 65535") for value in BAD_PORTS),
        ("HOST", "local host", "which is neither a host name nor an address"),
        ("HOST", "[::1]", "which is neither a host name nor an address"),
        ("HOST", "höst", "which is neither a host name nor an address"),
        *(("CLIENT_ORIGIN_URL", value, "the origin of the client's pages") for value in NO_ORIGINS),
        *(("CLIENT_ORIGIN_URL", value, "an origin ends") for value in MORE_THAN_ORIGINS),
        ("CLIENT_ORIGIN_URL", "http://localhost:80", "browsers leave 80 out for http"),
        ("CLIENT_ORIGIN_URL", "https://example.com:443", "browsers leave 443 out for https"),
        ("CLIENT_ORIGIN_URL", "https://App.example.com", "browsers would not write it so"),
        ("CLIENT_ORIGIN_URL", "HTTPS://app.example.com", "browsers would not write it so"),
        ("AUTH0_DOMAIN", "http://t.eu.auth0.com", "an issuer is asked over https"),
        *(("AUTH0_DOMAIN", value, "which is no domain") for value in NO_DOMAINS),
        *(("ISSUER_BASE_URL", value, "not an https URL") for value in NO_ISSUERS),
        ("ISSUER_BASE_URL", "https://id.example.com/?a=b", "has no query and no fragment"),
        ("ISSUER_BASE_URL", "https://id.example.com/?", "has no query and no fragment"),
        ("ISSUER_BASE_URL", "https://id.example.com/#a", "has no query and no fragment"),
        ("ISSUER_BASE_URL", "https://id.example.com/#", "has no query and no fragment"),
        ("ADMIN_PERMISSION", "read:a read:b", "which is not one permission"),
        ("ADMIN_PERMISSION", "read:a,\tread:b", "which is not one permission"),
        ("ADMIN_PERMISSION", '"read:a"', "which is not one permission"),
        ("ADMIN_PERMISSION", "lire:é", "which is not one permission"),
        ("LOG_LEVEL", "verbose", "none of debug, info, warning, error, critical"),
        *(("JWKS_MAX_AGE", value, "not a number of seconds above zero") for value in BAD_SECONDS),
        *(("JWKS_MAX_STALE", value, "not a number of seconds above zero") for value in BAD_SECONDS),
        *(("JWKS_COOLDOWN", value, "not a number of seconds above zero") for value in BAD_SECONDS),
        *(("JWKS_TIMEOUT", value, "not a number of seconds above zero") for value in BAD_SECONDS),
    ],
)
def test_a_bad_value_is_named_shown_and_explained(name: str, value: str, says: str) -> None:
    (problem,) = problems_of(environ_with(name, value))
    assert problem.startswith(f"{name} is {value!r}")
    assert says in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("AUTH0_DOMAIN", value) for value in PLACEHOLDERS),
        ("AUTH0_AUDIENCE", "AUTH0_AUDIENCE"),
        ("AUTH0_AUDIENCE", "YOUR_API_IDENTIFIER"),
        ("AUTH0_AUDIENCE", "{yourApiIdentifier}"),
        ("AUTH0_AUDIENCE", "https://my_your_api"),
        ("ISSUER_BASE_URL", "https://{yourDomain}/oauth2/default"),
        ("ISSUER_BASE_URL", "https://tenant.region.auth0.com/"),
        ("CLIENT_ORIGIN_URL", "https://<your app>"),
        ("AUTH0_CLIENT_ID", "YOUR_CLIENT_ID"),
    ],
)
def test_a_guides_placeholder_left_in_place_is_told_from_a_mistake(name: str, value: str) -> None:
    (problem,) = problems_of(environ_with(name, value))
    assert problem.startswith(f"{name} is still a placeholder, {value!r}: ")


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
    assert problem.startswith(f"TOKEN_SIGNING_ALG has {named!r}, which is none of ")


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
    assert [problem.split(" is missing: ")[0] for problem in problems] == missing
    for problem in problems:
        assert not problem.startswith("AUTH0_DOMAIN") or "ISSUER_BASE_URL" in problem


def test_an_empty_variable_counts_as_not_set() -> None:
    optional = dict.fromkeys(VARIABLES - TENANT.keys(), "")
    blank = dict.fromkeys(VARIABLES - TENANT.keys(), " \t ")
    assert Config.from_environ({**optional, **TENANT}) == Config.from_environ(TENANT)
    assert Config.from_environ({**blank, **TENANT}) == Config.from_environ(TENANT)


def test_two_issuers_are_both_named() -> None:
    assert problems_of({**TENANT, **OTHER_ISSUER}) == [
        "AUTH0_DOMAIN and ISSUER_BASE_URL name an issuer each: keep one"
    ]


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
        assert problem.startswith("JWKS_MAX_STALE is less than JWKS_MAX_AGE: ")


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
        ({"AUTH0_DOMAIN": "", "AUTH0_AUDIENCE": " ", "ISSUER_BASE_URL": "\t"}, False),
        ({"CLIENT_ORIGIN_URL": "http://localhost:4040", "PORT": "80"}, False),
        ({"AUTH0_DOMAIN": "t.auth0.com"}, True),
        ({"AUTH0_AUDIENCE": "hello"}, True),
        ({"ISSUER_BASE_URL": "nonsense"}, True),
    ],
)
def test_an_issuer_is_named_as_soon_as_somebody_begins_to(
    environ: dict[str, str], *, named: bool
) -> None:
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
