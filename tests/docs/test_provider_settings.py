"""Do the settings and commands on the pages about providers work, and in no other way?"""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import Key

from hello import auth
from hello.app import create_app
from hello.config import Config, ConfigError
from hello.sandbox.client import FOLDER
from hello.tokens.keys.fetch import _proxy_for as proxy_for
from support.api import ApiServer, Client
from support.pages import example, examples, rows
from support.providers.every import (
    PAGES,
    PROVIDERS,
    answered,
    app_of,
    environment_of,
    in_overview,
    shown,
    verdict_of,
)
from support.providers.login import KEYCLOAK, PAGE
from support.providers.sending import Sent

Serve = Callable[[ApiServer], Awaitable[Client]]

IN_COMPOSE = "http://keycloak:8080"
WITH_ENV = [
    name for name, provider in PROVIDERS.items() if f"{name}-env" in examples(provider.page)
]


@pytest.fixture
def validator_with_given_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: list[Key]
) -> auth.TokenValidator:
    """What the page's block makes of the first key, as Keycloak publishes it: with another's."""

    async def fetch(url: str) -> bytes:
        raise AssertionError(f"{url} is asked")

    monkeypatch.setattr("hello.tokens.validator.fetch_with_aiohttp", fetch)
    signing = {**keys[0].as_dict(private=False), "use": "sig", "alg": "RS256"}
    encryption = {**keys[1].as_dict(private=False), "use": "enc", "alg": "RSA-OAEP"}
    [file] = re.findall(r"> (\S+)$", example(PAGE, "keycloak-save-keys"), re.MULTILINE)
    (tmp_path / file).write_text(json.dumps({"keys": [encryption, signing]}), "utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, "keycloak-given-keys"), PAGE, "exec"), names)
    validator = names["validator"]
    assert isinstance(validator, auth.TokenValidator)
    return validator


@pytest.mark.parametrize(("number", "verdict"), [(0, "valid"), (1, "unknown_key")])
async def test_keys_that_are_given_are_good_until_they_change(
    validator_with_given_keys: auth.TokenValidator, keys: list[Key], number: int, verdict: str
) -> None:
    sent = shown("keycloak-compose", keys[number])
    assert await verdict_of(validator_with_given_keys, sent) == verdict


def test_plain_http_between_containers_is_refused() -> None:
    realm = f"{IN_COMPOSE}/realms/hello"
    environ = {**environment_of("keycloak"), "ISSUER_BASE_URL": realm}
    with pytest.raises(ConfigError, match=r"^ISSUER_BASE_URL "):
        Config.from_environ(environ)
    with pytest.raises(ValueError, match="issuer"):
        auth.TokenValidator(issuer=realm, audience="hello-api")
    with pytest.raises(ValueError, match="jwks_uri"):
        auth.TrustedIssuer(
            issuer=KEYCLOAK,
            audience="hello-api",
            jwks_uri=PROVIDERS["keycloak"].keys_at.replace("https", "http"),
        )


def test_given_keys_are_asked_for_where_keycloak_has_them() -> None:
    command = example(PAGE, "keycloak-save-keys")
    [url] = re.findall(r"^curl -s http://localhost:8080(\S+) > \S+$", command, re.MULTILINE)
    assert PROVIDERS["keycloak"].keys_at == f"https://keycloak.example.com{url}"


def test_the_demo_client_asks_for_what_the_page_says() -> None:
    """For these scopes alone, for no resource, and in two ways."""
    code = "".join((FOLDER / name).read_text("utf-8") for name in ("login.js", "oidc.js"))
    assert set(re.findall(r'\bscope: "([^"]+)"', code)) == {"openid profile email"}
    modes = set(re.findall(r'\bresponse_mode: "([^"]+)"', code))
    assert modes == {"query", "web_message"}
    assert not re.search(r"\bresource:", code)


@pytest.mark.parametrize("name", WITH_ENV)
def test_a_provider_s_environment_is_for_its_token(name: str, keys: list[Key]) -> None:
    claims = shown(name, keys[0]).claims
    config = Config.from_environ(environment_of(name))
    assert config.issuer == claims["iss"]
    aud = claims[config.audience_claim]
    assert config.audience in ([aud] if isinstance(aud, str) else aud)
    assert config.algorithms == ("RS256",)


VARIABLES = {option.strip("`="): name.strip("`") for option, name in rows(PAGE, "variables")}
LIKE_RUN_PY = [
    name
    for name in PROVIDERS
    if (needs := in_overview(name)[5])
    and VARIABLES.keys() >= set(re.findall(r"`(\w+)=`", needs))
    and "resolver" not in needs
]


@pytest.mark.parametrize("name", LIKE_RUN_PY)
async def test_the_variables_of_run_py_say_what_the_options_say(
    provider: Callable[[str], Awaitable[Sent]], aiohttp_client: Serve, name: str
) -> None:
    """Of whatever the section's Python code trusts, made into an environment."""
    sent = await provider(name)
    validator = app_of(sent.code)[auth.TOKEN_VALIDATOR]
    assert isinstance(validator, auth.TokenValidator)
    [trusted] = validator.issuers.listed
    claimed = sent.claims[trusted.audience_claim]
    values = {
        "audience_claim": trusted.audience_claim,
        "jwks_uri": trusted.jwks_uri or "",
        "algorithms": ",".join(trusted.algorithms),
        "allow_insecure_http": str(trusted.jwks_uri is not None and "http:" in trusted.jwks_uri),
    }
    environ = {
        "ISSUER_BASE_URL": trusted.issuer,
        "AUTH0_AUDIENCE": claimed if isinstance(claimed, str) else claimed[0],
        "CLIENT_ORIGIN_URL": "http://localhost:4040",
        **{variable: values[option] for option, variable in VARIABLES.items()},
    }
    client = await aiohttp_client(ApiServer(create_app(Config.from_environ(environ))))
    assert await answered(client, sent, path="/api/messages/protected") == 200


@pytest.mark.parametrize(
    "code",
    [code for page in PAGES for name, code in examples(page).items() if name.endswith("-command")],
)
def test_a_command_is_one_and_ends_in_the_check(code: str) -> None:
    """Of the project's own part; what the provider answers, only the provider knows."""
    for command in re.split(r"\n(?=curl|az |gcloud )", code):
        if not command.startswith("echo"):
            assert re.search(r"\|\s+\.venv/bin/python run\.py --check-token$", command.strip())


@pytest.mark.parametrize(
    ("name", "page", "code"),
    [
        (name.removesuffix("-job").removesuffix("-pod"), page, code)
        for page in PAGES
        for name, code in examples(page, "yaml").items()
    ],
)
def test_a_job_asks_for_a_token_for_the_api(
    name: str, page: str, code: str, keys: list[Key]
) -> None:
    """And it sends the token to the API, or has it in a file."""
    aud = shown(name, keys[0]).claims["aud"]
    [audience] = set(re.findall(r"aud(?:ience)?(?:: |=)([^\s\"]+)", code))
    assert audience == (aud if isinstance(aud, str) else aud[0])
    assert f'audience="{audience}"' in example(page, f"{name}-app")
    assert f"{audience}/reports" in code or "path: reports" in code


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://issuer.example.com/jwks", "http://proxy.example.com:3128"),
        ("https://internal.example.com/jwks", None),
        ("https://id.internal.example.com/jwks", None),
        ("https://localhost:8443/jwks", None),
        ("https://127.0.0.1:8443/jwks", None),
        ("http://issuer.example.com/jwks", None),
    ],
)
def test_the_proxy_is_asked_for_the_hosts_that_the_page_says(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    variables = dict(re.findall(r"\b([A-Z_]+)=(\S+)", example(PAGE, "network")))
    assert set(variables) == {"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy
