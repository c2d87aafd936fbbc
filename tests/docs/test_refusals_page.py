"""Does the program print what hello/docs/refusals.md says, for each mistake on it?"""

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from joserfc.jwk import ECKey, Key, OctKey, RSAKey

from hello import auth
from hello.app import create_app
from hello.auth import terminal
from hello.config import Config
from hello.logs.lines import TEXT_FORMAT, LineFormatter
from hello.messages import message_routes
from hello.sandbox.issuer import OMIT, Issuer
from hello.server import Runner
from hello.tokens.introspection.answers import read_answer
from hello.tokens.introspection.outage import Outage
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.outputs import logged, same_check, same_text
from support.pages import PROJECT, example, examples, output, outputs, rows, run_py
from support.proofs import bound_to, proof

PAGE = "hello/docs/refusals.md"
NOW = 1_795_470_210.0
TENANT = "https://dev-abc123.eu.auth0.com/"
PROTECTED, ADMIN = "/api/messages/protected", "/api/messages/admin"
ROUTES = (PROTECTED, ADMIN)
SETTINGS = dict(line.split("=", 1) for line in example(PAGE, "settings").splitlines())
AUDIENCE = SETTINGS["AUTH0_AUDIENCE"]
ALICE = {
    "sub": "auth0|alice",
    "aud": [AUDIENCE, f"{TENANT}userinfo"],
    "azp": "XkVt6gPq2rN8aWz1",
    "scope": "openid profile email",
    "gty": OMIT,
}
# The example of RFC 7515, appendix A.3.1: everybody has it.
RFC_7515_KEY = ECKey.import_key(
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
    }
)


class Tenant(NamedTuple):
    """An Auth0 tenant whose keys come without a network, at the page's time."""

    issuer: Issuer
    old_key: Key

    def mint(self, **claims: Any) -> str:
        return self.issuer.mint(claims={**ALICE, **claims})

    async def fetch(self, url: str) -> bytes:
        if url.endswith("/jwks.json"):
            return json.dumps({"keys": self.issuer.published}).encode()
        return json.dumps({"issuer": TENANT, "jwks_uri": f"{TENANT}.well-known/jwks.json"}).encode()


async def unreachable(url: str) -> bytes:
    raise auth.FetchError(f"{url}: no answer")


class Mistake(NamedTuple):
    """What somebody did. `make`: the text after `Bearer `; `settings`: those that are otherwise."""

    make: Callable[[Tenant], str]
    path: str = PROTECTED
    settings: Mapping[str, str] = {}
    down: bool = False


def hs256(tenant: Tenant) -> str:
    header = {"alg": "HS256", "kid": OMIT}
    return tenant.issuer.mint(header=header, key=OctKey.import_key(b"0123456789abcdef" * 2))


def id_token(tenant: Tenant) -> str:
    about = {"aud": ALICE["azp"], "azp": OMIT, "scope": OMIT, "permissions": OMIT}
    return tenant.mint(**about, nonce="bXkz", sid="rT5c", email="alice@example.com")


def too_long(tenant: Tenant) -> str:
    return tenant.mint(groups=[f"department-{n:03}/team-{n:03}" for n in range(300)])


# By the id of the output of --check-token. What client and log are told has the same id, and more.
def bound(tenant: Tenant) -> str:
    return tenant.mint(**bound_to(RFC_7515_KEY))


def bound_with_an_old_proof(tenant: Tenant) -> str:
    token = bound(tenant)
    url = "https://api.example.com/api/messages/protected"
    made = proof(token, now=NOW - 600, url=url, key=RFC_7515_KEY, jti="5b7c3b7e")
    return f"DPoP {token}\nDPoP: {made}"


MISTAKES: dict[str, Mistake] = {
    "check": Mistake(lambda t: t.mint(permissions=["read:admin-messages"])),
    "opaque-token": Mistake(lambda _: "V1StGXR8Z5jdHi6BmyT8Nq0aXkLpWc3e"),
    "id-token": Mistake(id_token),
    "other-api": Mistake(lambda t: t.mint(aud=f"{AUDIENCE}/")),
    "issuer-slash": Mistake(
        Tenant.mint, settings={"AUTH0_DOMAIN": "", "ISSUER_BASE_URL": TENANT[:-1]}
    ),
    "custom-domain": Mistake(lambda t: t.mint(iss="https://login.example.com/")),
    "expired": Mistake(lambda t: t.mint(exp=int(NOW) - 3600)),
    "hs256": Mistake(hs256),
    "unknown-key": Mistake(lambda t: t.issuer.mint(claims=ALICE, key=t.old_key)),
    "clock": Mistake(lambda t: t.mint(iat=int(NOW) + 90)),
    "no-permissions-claim": Mistake(lambda t: t.mint(permissions=OMIT), ADMIN),
    "permission-not-granted": Mistake(Tenant.mint, ADMIN),
    "cut-off": Mistake(lambda t: t.mint()[:300]),
    "bearer-twice": Mistake(lambda t: f"Bearer {t.mint()}"),
    "issuer-down": Mistake(Tenant.mint, down=True),
    "too-long": Mistake(too_long),
    "bound-token": Mistake(bound),
    "bound-proof": Mistake(bound_with_an_old_proof),
}
ANSWERED = [name for name in MISTAKES if f"{name}-answer" in outputs(PAGE)]


@pytest.fixture
def tenant(keys: list[Key]) -> Tenant:
    new, old = (
        RSAKey.import_key({**key.as_dict(private=True), "kid": kid})
        for key, kid in zip(keys, ("key-of-november", "key-of-may"), strict=False)
    )
    issuer = Issuer(audience=AUDIENCE, url=TENANT, key=new, clock=lambda: NOW)
    return Tenant(issuer, old)


@pytest.fixture
def api(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Callable[[Mistake], web.Application]:
    """The API as it is wired, but for its clock and for how the tenant is asked.

    And without routes of one's own, which --check-token tells of, too.
    """

    def routes(*, admin_permission: str | None) -> list[web.RouteDef]:
        every = message_routes(admin_permission=admin_permission)
        return [route for route in every if route.path in ROUTES]

    def create(mistake: Mistake) -> web.Application:
        validator = partial(
            auth.TokenValidator,
            clock=FakeClock(epoch=NOW),
            fetch=unreachable if mistake.down else tenant.fetch,
        )
        with monkeypatch.context() as patch:
            patch.setattr(auth, "TokenValidator", validator)
            patch.setattr("hello.app.message_routes", routes)
            app = create_app(Config.from_environ({**SETTINGS, **mistake.settings}))
            return Runner(app).app  # as run.py does: the server says how long a token may be

    return create


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_page_shows_what_check_token_prints(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    made = MISTAKES[name].make(tenant)
    given = f"{made}\n".encode() if made.startswith("DPoP ") else f"Bearer {made}\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    app = api(MISTAKES[name])
    token, scheme, proofs = terminal.read_token()
    printed = str(await auth.explain(app, token, scheme=scheme, proofs=proofs))
    await app[auth.TOKEN_VALIDATOR].close()
    assert same_check(printed, output(PAGE, name)), printed


def test_every_output_is_compared() -> None:
    assert {*MISTAKES, *(f"{name}-answer" for name in ANSWERED)} == set(outputs(PAGE))


@pytest.mark.parametrize("name", ANSWERED)
async def test_the_page_shows_what_client_and_log_are_told(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    mistake = MISTAKES[name]
    client = await aiohttp_client(ApiServer(api(mistake)))
    caplog.clear()
    async with client.get(mistake.path, headers=bearer(mistake.make(tenant))) as response:
        told = f"{response.status} {await response.text()}"
        for header in ("WWW-Authenticate", "Retry-After"):
            if value := response.headers.get(header):
                told += f"\n{header}: {value}"
    *answer, line = output(PAGE, name + "-answer").splitlines()
    assert same_text(told, "\n".join(answer)), told
    assert logged(line) in map(logged, caplog.messages)


async def test_the_page_shows_a_line_of_the_log(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    expired = MISTAKES["expired"]
    client = await aiohttp_client(ApiServer(api(expired)))
    caplog.clear()
    async with client.get(PROTECTED, headers=bearer(expired.make(tenant))):
        pass
    [record] = [each for each in caplog.records if each.name == "hello.auth"]
    assert logged(LineFormatter(TEXT_FORMAT).format(record)) == logged(example(PAGE, "log-line"))


def test_the_page_shows_a_line_about_an_issuer_that_cannot_be_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = example(PAGE, "introspection-line").rstrip("\n")
    with pytest.raises(auth.FetchError) as refused:
        read_answer("https://id.example.com/introspect", 401, b"")
    Outage(FakeClock(epoch=NOW)).failed(str(refused.value))
    [record] = caplog.records
    assert logged(LineFormatter(TEXT_FORMAT).format(record)) == logged(shown)


@pytest.mark.parametrize(("has", "answer", "reason"), rows(PAGE, "arrivals"))
async def test_what_arrives_otherwise_is_refused_as_the_page_says(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    has: str,
    answer: str,
    reason: str,
) -> None:
    valid = MISTAKES["check"]
    client = await aiohttp_client(ApiServer(api(valid)))
    caplog.clear()
    parts = [part.replace("TOKEN", valid.make(tenant)) for part in re.findall("`(.+?)`", has)]
    query = "".join(part for part in parts if part.startswith("?"))
    headers = [
        (name, value) for name, _, value in (part.partition(": ") for part in parts) if value
    ]
    async with client.get(PROTECTED + query, headers=headers) as got:
        assert answer == f"{got.status} `{(await got.json())['message']}`"
    [record] = [each for each in caplog.records if each.name == "hello.auth"]
    refused = (answer.split(maxsplit=1)[0], reason.strip("`"))
    assert logged(record.getMessage())[2:4] == refused


def test_what_is_copied_along_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    for form in example(PAGE, "accepted-forms").splitlines():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(form.encode())))
        assert terminal.read_token().token == "TOKEN"


@pytest.mark.parametrize("command", examples(PAGE, "bash").values())
async def test_its_commands_run(issuer: Issuer, tmp_path: Path, command: str) -> None:
    (tmp_path / "token.txt").write_text(issuer.mint())
    process = await asyncio.create_subprocess_shell(
        command.replace(".venv/bin/python run.py", f"{sys.executable} {run_py(tmp_path)}"),
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(PROJECT),
            **SETTINGS,
            "AUTH0_DOMAIN": "",
            "ISSUER_BASE_URL": issuer.url,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.decode().startswith("ok ")


def test_its_settings_are_a_configuration() -> None:
    config = Config.from_environ(SETTINGS)
    assert (config.issuer, config.admin_permission) == (TENANT, "read:admin-messages")


async def test_its_function_explains(
    tenant: Tenant, api: Callable[[Mistake], web.Application]
) -> None:
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, "explain"), PAGE, "exec"), names)
    opaque = MISTAKES["opaque-token"]
    explained = await names["why"](api(opaque), opaque.make(tenant))
    assert same_check(explained, output(PAGE, "opaque-token"))


def test_every_reason_is_listed_and_no_other() -> None:
    listed = [name for cell, *_ in rows(PAGE, "reasons") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(auth.Reason)
