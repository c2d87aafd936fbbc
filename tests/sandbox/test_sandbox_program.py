"""Is `python -m hello.sandbox` an issuer for an API of one's own, and does it say what to do?"""

import asyncio
import re
import shlex
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from hello.auth import TokenValidator
from hello.sandbox import __main__ as program
from hello.sandbox.issuer import Issuer, issuer_app
from hello.server import AddressError, Service
from hello.tokens import Presented
from support.api import AUDIENCE
from support.logging_in import claims_of
from support.naming import naming
from support.pages import PROJECT, example
from support.program import free_port, get, running

EMPTY_PERMISSIONS = ["A=", "A=,", "A=a,,b", "A=a,", "A=,a"]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Issuer]:
    """The issuers that the program makes; it serves none of them."""
    issuers: list[Issuer] = []

    def made(issuer: Issuer) -> None:
        issuers.append(issuer)

    async def serve(services: Sequence[Service], ready: Any) -> None:
        ready()

    monkeypatch.setattr(program, "issuer_app", made)
    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(program, "log_to_stderr", lambda _: None)
    return issuers


def token_by(command: str) -> str:
    """What a command puts into TOKEN."""
    script = f"{command}\necho $TOKEN"
    return subprocess.run(
        ["bash", "-euc", script], capture_output=True, check=True, text=True
    ).stdout


@pytest.mark.parametrize(
    ("options", "permissions"),
    [
        ([], set()),
        (
            ["--audience", "api://a b&c='$d'", "--permission", "read:a", "--permission", "b"],
            {"read:a", "b"},
        ),
        (["--rfc9068", "--audience", "https://a.example.com", "--person", "A=b"], {"b"}),
    ],
)
async def test_what_it_prints_works(
    tmp_path: Path, options: list[str], permissions: set[str]
) -> None:
    port = free_port()
    arguments = ["-m", "hello.sandbox", "--port", str(port), *options]
    with running(arguments, tmp_path, {"PYTHONPATH": str(PROJECT)}) as issuing:
        issuing.says("Ctrl+C")
        [command] = re.findall(r"^  TOKEN=.*?'\)$", issuing.out, re.MULTILINE | re.DOTALL)
        [validator] = re.findall(r"auth\.(TokenValidator\(.*\)),", issuing.out)
        token = await asyncio.to_thread(token_by, command)
        assert get(port, METADATA).body["issuer"] == f"http://localhost:{port}/"
        validating: TokenValidator = eval(validator, {"TokenValidator": TokenValidator})
        granted = await validating.validate(Presented(token=token.strip()))
        assert granted.permissions == permissions
        await validating.close()
    assert issuing.err == ""


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ([], {"lifetime": 86400, "audience": AUDIENCE, "rfc9068": False, "registration": False}),
        (["--port", "7001"], {"url": "http://localhost:7001/"}),
        (["--token-lifetime", "30"], {"lifetime": 30}),
        (["--client-origin", "http://localhost:5173"], {"client_origin": "http://localhost:5173"}),
        (["--rfc9068", "--registration"], {"rfc9068": True, "registration": True}),
        (
            ["--audience", "a", "--audience", "b"],
            {"audience": "a", "audiences": {"a": "a", "b": "b"}},
        ),
        (["--permission", "a", "--permission", "b"], {"permissions": {"a", "b"}}),
        (["--person", "A=a,b", "--person", "B=c", "--person", "C"], {"permissions": {*"abc"}}),
    ],
)
def test_each_option_is_one_of_the_issuer(
    served: list[Issuer], options: list[str], facts: dict[str, object]
) -> None:
    assert program.main(options) == 0
    [issuer] = served
    assert {name: getattr(issuer, name) for name in facts} == facts


def test_the_issuer_for_the_mcp_server_of_the_page_grants_what_its_tools_ask_for(
    served: list[Issuer],
) -> None:
    page = "hello/docs/mcp-server.md"
    command = shlex.split(example(page, "own-agent").replace("\\\n", ""))
    assert command[:3] == [".venv/bin/python", "-m", "hello.sandbox"]
    assert program.main(command[3:]) == 0
    [issuer] = served
    assert issuer.registration
    assert f'RESOURCE = "{issuer.audience}"' in (PROJECT / page).read_text()
    assert f'issuer="{issuer.url}"' in (PROJECT / page).read_text()
    assert all(f'"{permission}"' in example(page, "server") for permission in issuer.permissions)
    assert issuer.permissions == {"notes:read", "notes:write"}


def test_it_says_who_can_log_in(served: list[Issuer], capsys: pytest.CaptureFixture[str]) -> None:
    """And what they may do."""
    assert program.main(["--person", "Zoë de  Boer=read:a,read:b", "--person", "Kim"]) == 0
    [issuer] = served
    assert set(issuer.people) == {"sandbox|zo%C3%AB-de-boer", "sandbox|kim"}
    granted = [issuer.permissions_of(person) for person in issuer.people.values()]
    assert granted == [{"read:a", "read:b"}, set()]
    said = capsys.readouterr().out
    assert re.search(naming("Zoë de Boer", "read:a", "read:b"), said)
    assert "Kim" in said


async def test_each_api_is_asked_for_by_what_it_prints(
    served: list[Issuer], capsys: pytest.CaptureFixture[str], aiohttp_client: AiohttpClient
) -> None:
    apis = ["https://a.example.com/x?y=z", "api://b c", "the one's & only"]
    options = [part for api in apis for part in ("--audience", api)]
    assert await asyncio.to_thread(program.main, options) == 0
    [issuer] = served
    said = capsys.readouterr().out
    assert [api for api in apis if f" {api}\n" not in said] == []
    lines = re.findall(r"^  audience=.*$", said, re.MULTILINE)
    parameters = [word for line in lines for word in line.split() if "=" in word]
    client = await aiohttp_client(issuer_app(issuer))
    got = []
    for parameter in parameters:
        form = "grant_type=client_credentials&client_id=sandbox&client_secret=not-a-secret"
        async with client.post("/oauth/token", data=f"{form}&{parameter}", headers=FORM) as answer:
            token = (await answer.json())["access_token"]
            got.append((parameter.partition("=")[0], claims_of(token)["aud"]))
    assert got == [
        *((name, api) for api in apis[:2] for name in ("audience", "resource")),
        ("audience", apis[2]),
    ]


def test_one_api_needs_no_choice(served: list[Issuer], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--audience", "a", "--audience", "a"]) == 0
    assert "resource=" not in capsys.readouterr().out


@pytest.mark.parametrize(("options", "shown"), [([], False), (["--registration"], True)])
def test_it_says_where_clients_register(
    served: list[Issuer], capsys: pytest.CaptureFixture[str], options: list[str], *, shown: bool
) -> None:
    program.main(options)
    assert ("oidc/register" in capsys.readouterr().out) is shown


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--port", "x"], ["--port", "'x'"]),
        (["--port", "70000"], ["--port", "70000"]),
        (["--token-lifetime", "0"], ["--token-lifetime", "'0'"]),
        (["--token-lifetime", "soon"], ["--token-lifetime", "'soon'"]),
        (["--token-lifetime", "99999999"], ["--token-lifetime", "99999999"]),
        (["--audience", ""], ["--audience"]),
        (["--audience", " "], ["--audience", "' '"]),
        (["--audience", "a "], ["--audience", "'a '"]),
        (["--audience", "a\x1b[0m"], ["--audience", r"a\x1b[0m"]),
        (["--permission", "a b"], ["--permission", "'a b'"]),
        (["--permission", ""], ["--permission"]),
        (["--permission", "a,b"], ["--permission", "'a,b'"]),
        (["--person", ""], ["--person"]),
        (["--person", "=a"], ["--person", "'=a'"]),
        (["--person", "A\nB"], ["--person", r"A\nB"]),
        (["--person", "A=b c"], ["--person", "'b c'"]),
        *((["--person", text], ["--person", repr(text)]) for text in EMPTY_PERMISSIONS),
        (["--person", "A", "--person", " a"], ["--person"]),
        (["--person", "A", "--permission", "b"], ["--permission", "--person"]),
        (["--client-origin", "http://localhost:4040/"], ["--client-origin"]),
        (["--client-origin", "http://localhost:6061"], ["--client-origin", "6061"]),
        (["--unknown"], ["--unknown"]),
    ],
)
def test_a_bad_option_is_named(
    served: list[Issuer], capsys: pytest.CaptureFixture[str], options: list[str], named: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(options)
    assert ended.value.code == 2
    usage, last = capsys.readouterr().err.splitlines()
    assert "--help" in usage
    assert [name for name in named if name not in last] == []
    assert not served


@pytest.mark.parametrize("host", ["localhost", "no-such-host.invalid"])
def test_a_port_that_it_cannot_have_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.setattr(program, "log_to_stderr", lambda _: None)
    error = OSError(98, "in use") if host == "localhost" else socket.gaierror(-2, "unknown")

    async def serve(services: Sequence[Service], ready: Any) -> None:
        raise AddressError(services[0], error)

    monkeypatch.setattr(program, "serve", serve)
    assert program.main(["--port", "7001"]) == 2
    assert re.search(naming("--port", 7001), capsys.readouterr().err)


def test_it_ends_where_somebody_else_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["-m", "hello.sandbox", "--port", str(port)]
        with running(arguments, tmp_path, {"PYTHONPATH": str(PROJECT)}) as second:
            assert second.ends(60) == 2  # it has to start before
    assert re.search(naming("--port", port), second.err)
    assert "Traceback" not in second.err
