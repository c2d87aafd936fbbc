"""Does `python -m hello.auth` answer for an application of one's own?"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hello.auth.__main__ import main
from hello.auth.routes import BROKEN, UNGUARDED
from hello.sandbox.issuer import new_key, sign
from support.api import AUDIENCE
from support.naming import naming
from support.pages import PROJECT

KEY = new_key()
APPLICATION = f"""
import aiohttp_cors
from aiohttp import web
from hello import auth

KEY = {KEY.as_dict(private=False)!r}


@auth.protected(permissions={{"read:reports"}})
async def reports(request):
    return web.Response()


def create_app():
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer="http://localhost:9/", audience={AUDIENCE!r}))
    app.add_routes([web.get("/reports", reports)])
    return app


def documented(document={{"info": {{"title": "Reports", "version": "2"}}}}):
    app = create_app()
    auth.serve_openapi(app, document=document)
    return app


def contradicted():
    return documented({{"paths": {{"/reports": {{"get": {{"security": []}}}}}}}})


async def create_app_later():
    return create_app()


async def production():
    return web.AppRunner(create_app())


async def large():
    return web.AppRunner(create_app(), max_field_size=20_000)


def from_environment():
    raise KeyError("ISSUER")


async def later():
    raise OSError("no database")


async def acme(iss, host):
    trusted = auth.TrustedIssuer(issuer=iss, audience="api", keys=KEY)
    return trusted if host == "acme.example.com" else None


def create_tenants():
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuers=acme))
    return app


app = create_app()
required = web.Application()
only_bound = auth.TokenValidator(issuer="https://a.example/", audience="a", dpop="required")
auth.setup(required, only_bound)
required.add_routes([web.get("/reports/" + "x" * n, reports) for n in range(1000)])
unprotected = web.Application()
unprotected.add_routes([web.post("/reports", reports)])


async def anything(request):
    return web.Response()


@auth.public
async def health(request):
    return web.Response()


@auth.optional
async def greeting(request):
    return web.Response()


@auth.protected(claims={{"a": "b"}})
async def looked_at(request):
    return web.Response()


open_to_all, broken, empty = web.Application(), web.Application(), web.Application()
open_to_all.add_routes([web.post("/here", anything), web.post("/public", health)])
broken.add_routes([web.post("/here", reports), web.post("/public", health)])
of_all_kinds = create_app()
of_all_kinds.add_routes([
    web.get("/optional", greeting, allow_head=False),
    web.head("/optional", looked_at),
    web.post("/public", health),
])
cors = aiohttp_cors.setup(of_all_kinds, defaults={{"*": aiohttp_cors.ResourceOptions()}})
cors.add(next(each for each in of_all_kinds.router.routes() if each.handler is greeting))
nothing = None


def with_settings(settings):
    return app


def without():
    return 7
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where somebody's application is, and the command is given."""
    (tmp_path / "my_api.py").write_text(APPLICATION)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_api", None)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is no token, on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"nonsense")))


def listed(printed: str) -> list[list[str]]:
    """The method, the path and the last word of each line that has them."""
    lines = [line.split() for line in printed.splitlines() if "/" in line]
    return [[line[0], line[1], line[-1]] for line in lines]


@pytest.mark.parametrize(
    "name", ["create_app", "create_app()", "create_app_later", "production", "production()", "app"]
)
@pytest.mark.usefixtures("folder", "given")
def test_it_answers_for_an_application_and_for_what_makes_one(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["routes", f"my_api:{name}"]) == 0
    assert ["GET", "/reports", "read:reports"] in listed(capsys.readouterr().out)
    assert main(["check", f"my_api:{name}"]) == 1
    assert re.search(naming("malformed"), capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
def test_it_prints_the_document_that_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "my_api:create_app"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["paths"]["/reports"]["get"]["security"][0] == {"bearer": ["read:reports"]}
    assert main(["openapi", "my_api:documented"]) == 0
    assert json.loads(capsys.readouterr().out)["info"]["title"] == "Reports"


@pytest.mark.parametrize(
    ("name", "named"), [("unprotected", ["auth.setup"]), ("contradicted", ["GET /reports"])]
)
@pytest.mark.usefixtures("folder")
def test_it_says_why_there_is_no_document(
    capsys: pytest.CaptureFixture[str], name: str, named: list[str]
) -> None:
    assert main(["openapi", f"my_api:{name}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(naming(*named), printed.err)


@pytest.mark.parametrize(
    ("given", "status", "named"),
    [
        (b'{"access_token": "nonsense"}', 1, ["malformed"]),
        (b'{"access_token": ', 1, ["malformed"]),
        (b'{"error": "invalid_client"}', 2, ["access_token", "invalid_client"]),
        (b'{"error": "\\u001b[2J"}', 2, ["access_token"]),
        (b"\n", 2, []),
        (b'{"error": 7}', 2, ["access_token"]),
    ],
)
@pytest.mark.usefixtures("folder")
def test_it_reads_an_issuers_answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: bytes,
    status: int,
    named: list[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["check", "my_api:app"]) == status
    printed = capsys.readouterr()
    said = printed.out if status == 1 else printed.err
    assert re.search(naming(*named), said)
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("my_api", ["module:name", "my_api:create_app"]),
        (":create_app", ["module:name"]),
        ("my_api:", ["module:name"]),
        ("no_such:create_app", ["no_such"]),
        ("my_api.routes:create_app", ["my_api.routes"]),
        ("my_api:no_such", ["no_such", "Application"]),
        ("my_api:nothing", ["nothing", "Application"]),
        ("my_api:without", ["without", "Application"]),
        ("my_api:with_settings", ["with_settings", "'settings'"]),
        ("my_api:from_environment", ["from_environment", "KeyError: 'ISSUER'"]),
        ("my_api:later", ["later", "OSError: no database"]),
        ("my_api:unprotected", ["auth.setup"]),
    ],
)
@pytest.mark.usefixtures("folder", "given")
def test_what_is_no_application_is_told(
    capsys: pytest.CaptureFixture[str], name: str, named: list[str]
) -> None:
    assert main(["check", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"{name}: ")
    assert re.search(naming(*named), printed.err.removeprefix(f"{name}: "))
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "status"), [([], 1), (["--host", "b"], 1), (["--host", "acme.example.com"], 0)]
)
@pytest.mark.usefixtures("folder")
def test_a_resolver_is_asked_with_the_host_that_is_given(
    monkeypatch: pytest.MonkeyPatch, options: list[str], status: int
) -> None:
    token = sign(
        {"alg": "RS256"}, {"iss": "https://a.example/", "aud": "api", "exp": 4_000_000_000}, KEY
    )
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(token.encode())))
    assert main(["check", "my_api:create_tenants", *options]) == status


@pytest.mark.parametrize(("name", "longest"), [("large", 19_993), ("production", 8183)])
@pytest.mark.usefixtures("folder", "given")
def test_the_limit_is_the_servers(
    capsys: pytest.CaptureFixture[str], name: str, longest: int
) -> None:
    assert main(["check", f"my_api:{name}"]) == 1
    assert re.search(naming(longest), capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
def test_a_module_that_cannot_be_imported_says_why() -> None:
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        main(["routes", "broken:app"])


@pytest.mark.parametrize(
    ("name", "access", "counted"),
    [("open_to_all", UNGUARDED, ["1 open", "@auth.public"]), ("broken", BROKEN, ["1 broken"])],
)
@pytest.mark.usefixtures("folder")
def test_a_route_without_setup_is_listed_and_a_failure(
    capsys: pytest.CaptureFixture[str], name: str, access: str, counted: list[str]
) -> None:
    assert main(["routes", f"my_api:{name}"]) == 1
    printed = capsys.readouterr()
    listed = printed.out.splitlines()
    assert listed[0].split(maxsplit=2) == ["POST", "/here", access]
    assert re.search(naming(counted[0], "2", "1 public"), listed[-1])
    assert re.search(naming("auth.setup", "POST /here", *counted[1:]), printed.err)
    assert printed.err.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_a_summary_ends_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    for name, counted in (
        ("app", ["1", "1 protected"]),
        ("of_all_kinds", ["5", "1 optional", "1 preflights", "2 protected", "1 public"]),
        ("empty", ["0"]),
    ):
        assert main(["routes", f"my_api:{name}"]) == 0
        printed = capsys.readouterr()
        assert re.search(naming(*counted), printed.out.splitlines()[-1])
        assert printed.err == ""


@pytest.mark.usefixtures("folder")
def test_head_is_listed_where_something_else_holds_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["routes", "my_api:of_all_kinds"]) == 0
    methods = {line[0] for line in listed(capsys.readouterr().out) if line[1] == "/optional"}
    assert methods == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.usefixtures("folder")
def test_that_bound_tokens_are_required_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for name, told in (("app", False), ("required", True), ("empty", False)):
        assert main(["routes", f"my_api:{name}"]) == 0
        assert ("DPoP" in capsys.readouterr().out) is told


@pytest.mark.parametrize("command", ["routes", "openapi"])
def test_whoever_has_seen_enough_may_close_the_pipe(folder: Path, command: str) -> None:
    """As `| head -1` does."""
    with subprocess.Popen(
        [sys.executable, "-m", "hello.auth", command, "my_api:required"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.close()
        assert (ran.stderr.read(), ran.wait(30)) == (b"", 0)


@pytest.mark.parametrize("command", ["routes", "openapi"])
@pytest.mark.usefixtures("folder")
def test_a_closed_pipe_is_no_failure(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main([command, "my_api:required"]) == 0
        out.write("goes nowhere")


def test_what_is_an_option_elsewhere_leads_here(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--check-token"], ["--check-token", "my_api:app"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert re.search(naming("check", "module:name"), capsys.readouterr().err)


def test_the_help_says_where_the_token_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert re.search(naming("standard input", "Authorization"), capsys.readouterr().out)


def test_it_is_a_command(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hello.auth", "routes", "my_api:app"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ["GET", "/reports", "read:reports"] in listed(ran.stdout)
