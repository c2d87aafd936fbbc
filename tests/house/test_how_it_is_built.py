"""Is how-it-is-built.md true: its drawings, its lists, its changes when they are made?"""

import asyncio
import logging
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.app import create_app
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer, config_for
from support.pages import PROJECT, example, examples, prose, text
from support.protecting import status
from support.rooms import ORDER

PAGE = "hello/docs/how-it-is-built.md"
COPIED = ("hello", "tests", "run.py", "README.md", ".env.example", "pyproject.toml")

# No step by themselves.
USED_BY_OTHERS = {
    *(
        "auth/answers.py",
        "auth/decisions/refusal_log.py",
        "auth/reading/awaiting.py",
        "auth/reading/proxies.py",
        "auth/unguarded.py",
        "operating/health.py",  # at the start
        "streams.py",
        "tokens/bounded.py",
        "tokens/hosts.py",
        "tokens/jwt/base64url.py",
        "tokens/jwt/rules.py",
        "tokens/keys/fetch_log.py",
        "tokens/keys/state.py",
        "tokens/possession/dpop.py",
        "tokens/possession/replay.py",
        "tokens/timing.py",
        "tokens/urls.py",
    )
}

# The tests that see a change, which of them, and how many there are at least.
SEEN_BY = {
    "add-route": (
        "tests/api/test_contract.py tests/api/test_openapi_document.py",
        "report or every_route",
        5,
    ),
    "add-claim-rule": (
        " ".join(
            f"tests/{name}.py"
            for name in (
                "tokens/test_hostile_tokens",
                "tokens/test_valid_tokens",
                "tokens/explain/test_explain",
                "docs/test_guide",
            )
        ),
        "org_id or every_rule or payload_like_this",
        50,
    ),
    "add-reason": (
        (
            "tests/tokens/test_hostile_tokens.py tests/tokens/explain/test_explain.py "
            "tests/docs/test_refusals_page.py"
        ),
        "org_id or every_reason",
        5,
    ),
    "add-setting": (
        "tests/api/test_config.py tests/docs/test_readme.py tests/docs/test_operating.py",
        "test_config or each_variable or every_variable",
        50,
    ),
}


async def is_revoked(_token: auth.AccessToken) -> bool:
    return False


@pytest.fixture
async def passed(
    issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """The files of hello/ that a request with a good token passes, in their order."""
    files = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PROJECT / "hello"):
            files.append(path.relative_to(PROJECT / "hello").as_posix())

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(auth, "TokenValidator", partial(auth.TokenValidator, revoked=is_revoked))
    app = create_app(config_for(issuer, ADMIN_PERMISSION="read:admin-messages"))
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims={"permissions": ["read:admin-messages"]})
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        async with client.get("/api/messages/admin", headers=bearer(token)) as response:
            assert response.status == 200
        await client.close()  # the access log is written after the answer
    finally:
        sys.setprofile(before)
    return files


TREE = example(PAGE, "tree")
DRAWINGS = [example(PAGE, name) for name in ("request-path", "token-path")]


def test_every_file_of_hello_is_in_the_tree() -> None:
    for path in PROJECT.glob("hello/**/*.py"):
        if path.name != "__init__.py" and path.parent.name != "sandbox":
            assert re.search(rf"\b{re.escape(path.name)}\b", TREE), path


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_request_passes_the_files_in_the_drawings_order(passed: list[str], drawing: str) -> None:
    drawn = re.findall(r"[\w/]+\.py", drawing)
    assert len(drawn) > 5
    on_the_way = iter(passed)
    for file in drawn:
        assert file in on_the_way, f"{file} is not passed after those above it"


def test_no_file_on_the_way_is_left_out(passed: list[str]) -> None:
    drawn = re.findall(r"[\w/]+\.py", "".join(DRAWINGS))
    ours = {file for file in passed if not file.startswith("sandbox/")}
    assert ours - {*drawn} <= USED_BY_OTHERS


def test_imports_point_as_the_page_says() -> None:
    assert re.findall(r"\w+", example(PAGE, "import-order")) == ORDER


PATHS = sorted(
    {
        name
        for name in re.findall("`([^`\n]+)`", prose(PAGE))
        if re.fullmatch(r"[\w./]+\.(py|md|example)|\.ci/run", name)
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_that_it_names_is_there(path: str) -> None:
    assert (PROJECT / path).is_file() or (PROJECT / "hello" / path).is_file()


STEPS = re.findall(r"^\d\. (.+?)(?=^\d\. |^$)", text(PAGE), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_names_is_in_a_file_that_it_names(step: str) -> None:
    spans = re.findall("`([^`\n]+)`", step)
    files = "".join(text(span) for span in spans if (PROJECT / span).is_file())
    for name in (span for span in spans if re.fullmatch(r"\w+", span)):
        assert not files or re.search(rf"\b{name}\b", files), name


def apply(diff: str, folder: Path) -> None:
    """Change files as a diff says, each of whose pieces fits in one place only.

    In a line that stays, `...` stands for the rest of it. What a reader has added so already is
    left as it is.
    """
    assert diff.startswith("--- ")
    for change in diff.split("--- ")[1:]:
        path, pieces = change.split("\n", 1)
        file = folder / path
        for piece in pieces.split("@@\n"):
            lines = [(line[0], line[1:]) for line in piece.splitlines(keepends=True)]
            assert {sign for sign, _ in lines} <= {" ", "+", "-"}
            there = "".join(
                f"({re.escape(line)})".replace(re.escape("..."), ".*")
                for sign, line in lines
                if sign != "+"
            )
            before = file.read_text("utf-8")
            if "".join(line for sign, line in lines if sign == "+") in before:
                continue
            [found] = re.finditer(there, before)
            kept = iter(found.groups())
            after = "".join(
                line if sign == "+" else next(kept) * (sign == " ") for sign, line in lines
            )
            file.write_text(before[: found.start()] + after + before[found.end() :], "utf-8")


@pytest.mark.parametrize("change", examples(PAGE, "diff"))
async def test_a_change_can_be_made_and_is_tested_as_the_page_says(
    tmp_path: Path, change: str
) -> None:
    for name in COPIED:
        path = PROJECT / name
        if path.is_dir():
            shutil.copytree(path, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, tmp_path)
    apply(example(PAGE, change), tmp_path)
    files, chosen, least = SEEN_BY[change]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files.split()),
        *(["-k", chosen] if chosen else []),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert int(re.findall(r"(\d+) passed", out.decode())[0]) >= least


async def test_its_check_lets_in_and_keeps_out(
    issuer: Issuer,
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
) -> None:
    names: dict[str, Any] = {}
    exec(compile(example(PAGE, "check"), PAGE, "exec"), names)
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", names["news"])
    client = await aiohttp_client(ApiServer(app))
    for claims, answer in (({"country": "NO"}, 200), ({"country": "SE"}, 403), ({}, 403)):
        assert await status(client, issuer.mint(claims=claims)) == answer
    assert ("GET", "/", "check comes_from") in auth.routes(app)


COMMANDS = [line for code in examples(PAGE, "bash").values() for line in code.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_there(command: str) -> None:
    """Not run here: they run all of this, or take minutes. Each names what there is."""
    words = [word for word in command.split() if not re.match(r"[A-Z_]+=", word)]
    program, *arguments = words
    if program.startswith(".venv/bin/"):
        there = (Path(sys.executable).parent / Path(program).name).exists()
        if not there and os.environ.get("CI") != "true":
            pytest.skip(f"{program} comes with the extra dev, which is not installed")
        assert there
    else:
        assert os.access(PROJECT / program, os.X_OK)
    scripts = [word for word in arguments if word.endswith(".py")]
    assert all((PROJECT / script).is_file() for script in scripts)
    for option in (word for word in arguments if word.startswith("--")):
        where = [PROJECT / script for script in scripts] or [PROJECT / ".ci/run"]
        assert option in where[0].read_text("utf-8")
    if not scripts and "install" not in arguments and program != ".ci/run":
        assert command in (PROJECT / ".ci/run").read_text("utf-8")
    for name in re.findall(r"([A-Z_]+)=", command):
        assert name in (PROJECT / scripts[0]).read_text("utf-8")
