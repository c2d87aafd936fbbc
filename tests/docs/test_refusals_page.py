"""Does the program print what hello/auth/refusals.md says, for each mistake on it?"""

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
from joserfc.jwk import Key, OctKey, RSAKey

from hello import auth
from hello.app import create_app
from hello.auth import terminal
from hello.config import Config
from hello.logs import _FORMAT, LineFormatter
from hello.messages import message_routes
from hello.sandbox.issuer import OMIT, Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.pages import PROJECT, blocks, run_py, text

PAGE = "hello/auth/refusals.md"
NOW = 1_795_470_210.0
TENANT = "https://dev-abc123.eu.auth0.com/"
PROTECTED, ADMIN = "/api/messages/protected", "/api/messages/admin"
ROUTES = (PROTECTED, ADMIN)
SETTINGS = dict(re.findall(r"^(\w+)=(.+)$", "".join(blocks(PAGE, "dotenv")), re.MULTILINE))
AUDIENCE = SETTINGS["AUTH0_AUDIENCE"]
THE_SECTION = re.compile(r"^#+ (.+)$", re.MULTILINE)
ALICE = {
    "sub": "auth0|alice",
    "aud": [AUDIENCE, f"{TENANT}userinfo"],
    "azp": "XkVt6gPq2rN8aWz1",
    "scope": "openid profile email",
    "gty": OMIT,
}


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


# By the section's heading, one for each output there. Client and log tell of the first.
MISTAKES: dict[str, list[Mistake]] = {
    "How to find out": [Mistake(lambda t: t.mint(permissions=["read:admin-messages"]))],
    "1. An opaque token": [Mistake(lambda _: "V1StGXR8Z5jdHi6BmyT8Nq0aXkLpWc3e")],
    "2. An ID token": [Mistake(id_token)],
    "3. A token for another API": [Mistake(lambda t: t.mint(aud=f"{AUDIENCE}/"))],
    "4. The issuer is written otherwise": [
        Mistake(Tenant.mint, settings={"AUTH0_DOMAIN": "", "ISSUER_BASE_URL": TENANT[:-1]}),
        Mistake(lambda t: t.mint(iss="https://login.example.com/")),
    ],
    "5. An expired token": [Mistake(lambda t: t.mint(exp=int(NOW) - 3600))],
    "6. HS256 instead of RS256": [Mistake(hs256)],
    "7. A key that the issuer does not have": [
        Mistake(lambda t: t.issuer.mint(claims=ALICE, key=t.old_key))
    ],
    "8. A clock that is off": [Mistake(lambda t: t.mint(iat=int(NOW) + 90))],
    "9. A permission that does not get into the token": [
        Mistake(lambda t: t.mint(permissions=OMIT), ADMIN),
        Mistake(Tenant.mint, ADMIN),
    ],
    "10. Cut off, or with something around it": [
        Mistake(lambda t: t.mint()[:300]),
        Mistake(lambda t: f"Bearer {t.mint()}"),
    ],
    "The issuer cannot be reached": [Mistake(Tenant.mint, down=True)],
    "A token too long for a header": [Mistake(too_long)],
}


def sections() -> dict[str, str]:
    _, *parts = THE_SECTION.split(text(PAGE))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def shown(section: str) -> list[str]:
    """The outputs of --check-token that a section shows."""
    found = re.findall(r"^```text\n(.*?)^```$", sections()[section], re.MULTILINE | re.DOTALL)
    return [block for block in found if " WARNING " not in block]


SHOWN = [(section, n) for section in sections() for n in range(len(shown(section)))]


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
            return create_app(Config.from_environ({**SETTINGS, **mistake.settings}))

    return create


def agrees(output: str, page: str) -> bool:
    """Say whether an output is what a page shows, where a line of three dots is any lines."""
    lines = (
        "(?:.*\n)*?" if line == "..." else f"{re.escape(line)}\n" for line in page.splitlines()
    )
    return re.fullmatch("".join(lines), output) is not None


@pytest.mark.parametrize(("section", "number"), SHOWN)
async def test_the_page_shows_what_check_token_prints(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    number: int,
) -> None:
    mistake = MISTAKES[section][number]
    given = f"Bearer {mistake.make(tenant)}\n".encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    output = f"{await terminal.explained(api(mistake), terminal.read_token())}\n"
    assert agrees(output, shown(section)[number]), output


def test_every_mistake_is_on_the_page() -> None:
    assert [(name, n) for name, known in MISTAKES.items() for n in range(len(known))] == SHOWN


TOLD = [section for section, content in sections().items() if "\n- Client: " in content]


@pytest.mark.parametrize("section", TOLD)
async def test_the_page_shows_what_client_and_log_are_told(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    section: str,
) -> None:
    mistake = MISTAKES[section][0]
    client = await aiohttp_client(ApiServer(api(mistake)))
    caplog.clear()
    async with client.get(mistake.path, headers=bearer(mistake.make(tenant))) as response:
        told = f"{response.status} `{await response.text()}`"
        if challenge := response.headers.get("WWW-Authenticate"):
            told += f", `{challenge}`"
        if retry := response.headers.get("Retry-After"):
            told += f", `Retry-After: {retry}`"
    [logged] = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert f"- Client: {told} - Log: `{logged}` " in " ".join(sections()[section].split())


def test_what_client_and_log_are_told_is_there_for_each_mistake() -> None:
    assert [*MISTAKES][1:] == TOLD


async def test_the_page_shows_a_line_of_the_log(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    [line] = [block for block in blocks(PAGE, "text") if " WARNING " in block]
    [expired] = MISTAKES["5. An expired token"]
    client = await aiohttp_client(ApiServer(api(expired)))
    async with client.get(PROTECTED, headers=bearer(expired.make(tenant))):
        pass
    [record] = [each for each in caplog.records if each.name == "hello.auth"]
    date = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
    assert date.match(line)
    assert date.sub("", line) == date.sub("", LineFormatter(_FORMAT).format(record)) + "\n"


# What requests hold, what the answer is, and what the log says.
ARRIVALS = [
    row.strip("| ").split(" | ")
    for row in sections()["Valid, and yet refused"].split("|---|---|---|\n")[1].strip().splitlines()
]


@pytest.mark.parametrize(("has", "answer", "reason"), ARRIVALS)
async def test_what_arrives_otherwise_is_refused_as_the_page_says(
    tenant: Tenant,
    api: Callable[[Mistake], web.Application],
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    has: str,
    answer: str,
    reason: str,
) -> None:
    [valid] = MISTAKES["How to find out"]
    client = await aiohttp_client(ApiServer(api(valid)))
    parts = [part.replace("TOKEN", valid.make(tenant)) for part in re.findall("`(.+?)`", has)]
    query = "".join(part for part in parts if part.startswith("?"))
    headers = [] if has.startswith("no ") else [part.split(": ", 1) for part in parts if not query]
    async with client.get(PROTECTED + query, headers=[(name, v) for name, v in headers]) as got:
        assert answer == f"{got.status} `{(await got.json())['message']}`"
    [record] = [each for each in caplog.records if each.name == "hello.auth"]
    name = reason.strip("`")
    assert f"refused {answer.split(maxsplit=1)[0]} {name}: " in record.getMessage()


def test_what_is_copied_along_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    [forgiven] = re.findall(r"in each\nof these: (.*?)\.\n", text(PAGE), re.DOTALL)
    forms = re.findall("`(.+?)`", forgiven)
    assert forms
    for form in forms:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(form.encode())))
        assert terminal.read_token() == "TOKEN"


@pytest.mark.parametrize("command", blocks(PAGE, "bash"))
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
    assert "\nThe token is valid.\n" in out.decode()


def test_its_settings_are_a_configuration() -> None:
    config = Config.from_environ(SETTINGS)
    assert (config.issuer, config.admin_permission) == (TENANT, "read:admin-messages")


async def test_its_function_explains(
    tenant: Tenant, api: Callable[[Mistake], web.Application]
) -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, PAGE, "exec"), names)
    functions = [name for name, value in names.items() if asyncio.iscoroutinefunction(value)]
    assert functions == ["why"]
    [opaque] = MISTAKES["1. An opaque token"]
    output = await names["why"](api(opaque), opaque.make(tenant))
    assert agrees(f"{output}\n", shown("1. An opaque token")[0])


def test_every_reason_is_listed_and_no_other() -> None:
    table = sections()["Every reason"].split("| reason | what it says |")[1].split("\n\n")[0]
    listed = [
        name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])
    ]
    assert sorted(listed) == sorted(auth.Reason)
