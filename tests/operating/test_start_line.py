"""Does the log say at the start what a process accepts, and what is switched on?"""

from collections.abc import Awaitable, Callable, Iterator
from importlib import metadata
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.auth import DPoP, TokenValidator, TrustedIssuer
from hello.operating import start_line
from hello.operating.start_line import log_start
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, config_for
from support.logs import JsonLines, json_lines
from support.protecting import new_handler

Start = Callable[[ApiServer], Awaitable[Client]]
NEVER_ASKED = "https://id.example.com/"


@pytest.fixture
def log() -> Iterator[JsonLines]:
    with json_lines() as lines:
        yield lines


def started(log: JsonLines) -> list[dict[str, Any]]:
    return [entry for entry in log.of("hello") if entry["message"].startswith("started: ")]


async def test_the_api_says_what_its_settings_decide(
    issuer: Issuer, aiohttp_client: Start, log: JsonLines
) -> None:
    config = config_for(
        issuer,
        TOKEN_SIGNING_ALG="RS256,ES256",
        DPOP="required",
        DPOP_NONCE_SECRET="unguessable" * 3,
        PUBLIC_URL="https://api.example.com/v1/",
        INTROSPECTION_CLIENT_ID="api",
        INTROSPECTION_CLIENT_SECRET="unguessable",
        CLIENT_CERT_PROXIES="10.0.0.1, unix",
        FORWARDED_FROM="10.0.0.2",
        LOG_FORMAT="json",
    )
    await aiohttp_client(ApiServer(create_app(config)))
    [entry] = started(log)
    expected = {
        "version": metadata.version("hello-aiohttp"),
        "issuer": issuer.url,
        "audience": config.audience,
        "algorithms": "ES256,RS256",
        "introspection": "on",
        "dpop": "required",
        "proofs_in": "MemoryReplayStore",
        "fail_open": "false",
        "nonces": "on",
        "public_url": "https://api.example.com/v1",
        "client_cert_proxies": "10.0.0.1,unix",
        "forwarded_from": "10.0.0.2",
        "log_format": "json",
    }
    assert {name: entry.get(name) for name in expected} == expected
    assert entry["level"] == "INFO"
    for name, value in expected.items():
        assert f" {name}={value}" in entry["message"]
    assert "unguessable" not in str(entry)


class Store:
    async def add(self, proof: bytes, *, until: float, now: float) -> bool:
        raise AssertionError

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        (
            {"issuer": NEVER_ASKED, "audience": ["b", "a"], "dpop": "off"},
            {"issuer": NEVER_ASKED, "audience": "a,b", "dpop": "off", "introspection": "off"},
        ),
        (
            {"issuer": NEVER_ASKED, "audience": "a", "dpop": DPoP(replay=Store())},
            {"dpop": "allowed", "proofs_in": "Store", "fail_open": "false", "nonces": "off"},
        ),
        (
            {"issuer": NEVER_ASKED, "audience": "a", "dpop": DPoP(fail_open=True)},
            {"fail_open": "true", "public_url": "none"},
        ),
        (
            {
                "issuers": [
                    TrustedIssuer(issuer=f"https://{n}.example.com/", audience="a")
                    for n in range(7)
                ]
            },
            {
                "issuer": ",".join(f"https://{n}.example.com/" for n in range(5)) + " and 2 more",
                "audience": "a",
            },
        ),
        ({"issuers": lambda _issuer, _host: None}, {"issuer": "resolver", "audience": "none"}),
    ],
)
async def test_an_application_of_ones_own_says_what_its_validator_accepts(
    aiohttp_client: Start, log: JsonLines, options: dict[str, Any], facts: dict[str, str]
) -> None:
    app = web.Application()
    auth.setup(app, TokenValidator(**options))
    app.router.add_get("/", new_handler())
    log_start(app, database="reports")
    await aiohttp_client(ApiServer(app))
    [entry] = started(log)
    assert {name: entry[name] for name in facts} == facts
    assert entry["database"] == "reports"
    assert ("proofs_in" in entry) is (facts.get("dpop") != "off")


async def test_each_validator_has_a_line(aiohttp_client: Start, log: JsonLines) -> None:
    app = web.Application()
    for name in ("one", "two"):
        part = web.Application()
        auth.setup(part, TokenValidator(issuer=NEVER_ASKED, audience=name))
        part.router.add_get("/", new_handler())
        app.add_subapp(f"/{name}", part)
    log_start(app)
    await aiohttp_client(ApiServer(app))
    assert [entry["audience"] for entry in started(log)] == ["one", "two"]


async def test_a_copy_of_the_files_has_no_version(
    aiohttp_client: Start, log: JsonLines, monkeypatch: pytest.MonkeyPatch, issuer: Issuer
) -> None:
    def fails(_name: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("hello.operating.start_line.version", fails)
    await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    assert [entry["version"] for entry in started(log)] == ["unknown"]


@pytest.mark.parametrize("name", ["name", "module", "message", "level", "request_id", "audience"])
def test_a_name_that_is_taken_is_a_mistake_at_once(name: str) -> None:
    """The line could not be written, or would say something that is not so."""
    with pytest.raises(ValueError, match=name):
        log_start(web.Application(), **{"shop": "mine", name: "mine"})


async def test_the_names_of_all_facts_are_taken(
    validator: TokenValidator, aiohttp_client: Start, log: JsonLines
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    log_start(app)
    await aiohttp_client(ApiServer(app))
    [entry] = started(log)
    assert entry.keys() == {*start_line._FACTS, "time", "level", "logger", "message", "pid"}
