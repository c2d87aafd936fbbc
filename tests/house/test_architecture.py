"""Do imports still point one way, and is every file small and in its place?"""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from support.pages import PROJECT
from support.rooms import AUTH_ORDER, ORDER, TOKENS_ORDER, files, imported, rooms_that

HOUSE = sorted((PROJECT / "hello").rglob("*.py"))


@pytest.mark.parametrize(
    ("package", "order", "room"),
    [
        *(("hello", ORDER, room) for room in ORDER),
        *(("hello.auth", AUTH_ORDER, room) for room in AUTH_ORDER),
        *(("hello.tokens", TOKENS_ORDER, room) for room in TOKENS_ORDER),
    ],
)
def test_imports_point_inwards(package: str, order: list[str], room: str) -> None:
    folder = package.replace(".", "/")
    backwards = set(order[: order.index(room)])
    for path in [PROJECT / "run.py"] if room == "run" else files(folder)[room]:
        assert not rooms_that(path, package) & backwards, path


def test_no_import_goes_round_in_a_circle() -> None:
    """Of modules of hello, whether they import at the top or within a function."""
    names = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in HOUSE
    }
    left = {
        # A package is loaded before what is in it, so nothing in it waits for the package.
        name: {
            other for other in imported(path) & {*names} if not f"{name}.".startswith(f"{other}.")
        }
        for name, path in names.items()
    }
    while free := {name for name, others in left.items() if not others & {*left}}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left


@pytest.mark.parametrize("package", ["hello.tokens", "hello.tokens.explain"])
def test_the_core_loads_no_web_framework(package: str) -> None:
    """In a process of its own, since this one has everything loaded."""
    program = f"import sys, {package}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    loaded = {name.split(".")[0] for name in ran.stdout.decode().split()}
    assert "joserfc" in loaded
    assert not loaded & {"aiohttp", "aiohttp_cors", "starlette", "yarl", "multidict"}


def test_the_core_and_its_face_import_nothing_of_hello_but_each_other() -> None:
    for path in HOUSE:
        name = path.relative_to(PROJECT / "hello").parts[0]
        allowed = {"tokens": {"tokens"}, "auth": {"auth", "tokens"}}
        if name in allowed:
            assert rooms_that(path, "hello") <= allowed[name], path


def test_only_app_and_its_callers_see_the_configuration() -> None:
    seen_by = {str(p.relative_to(PROJECT)) for p in HOUSE if "config" in rooms_that(p, "hello")}
    assert seen_by == {"hello/app.py", "hello/server.py", "hello/sandbox/start.py"}


def test_nothing_but_run_imports_the_sandbox() -> None:
    for path in HOUSE:
        if not path.is_relative_to(PROJECT / "hello/sandbox"):
            assert "sandbox" not in rooms_that(path, "hello"), path


SANDBOX_ISSUER = [
    ["__init__"],
    ["app"],
    ["issuer", "login", "endpoints"],
    ["metadata", "pages", "authorization"],
    ["clients", "proofs", "signing"],
    ["oauth", "memory"],
    ["people"],
]
"""From the public names inwards. Those of one row do not know each other."""


@pytest.mark.parametrize("row", SANDBOX_ISSUER)
def test_the_parts_of_the_sandboxs_issuer_do_not_know_each_other(row: list[str]) -> None:
    rooms = files("hello/sandbox/issuer")
    known = {part for above in SANDBOX_ISSUER[: SANDBOX_ISSUER.index(row)] for part in above}
    for part in row:
        for path in rooms[part]:
            found = rooms_that(path, "hello.sandbox.issuer")
            assert not found & {*known, *row} - {part}, path
    assert set(rooms) == set(chain(*SANDBOX_ISSUER))


def test_every_file_has_its_place() -> None:
    assert set(files("hello/auth")) == set(AUTH_ORDER)
    assert set(files("hello/tokens")) == set(TOKENS_ORDER)
    assert set(files("hello")) == {*ORDER, "__init__", "sandbox"} - {"run"}


@pytest.mark.parametrize("path", HOUSE, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_file_answers_one_question(path: Path) -> None:
    """Its first line says which; a file that is longer than 300 lines answers more than one."""
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) <= 300
    assert not lines or lines[0].startswith('"""')


def test_no_folder_holds_more_than_twelve_files() -> None:
    folders = [path.parent for path in HOUSE]
    assert {folder: folders.count(folder) for folder in folders if folders.count(folder) > 12} == {}


def test_no_test_runs_the_program_where_somebody_may_have_an_env_file() -> None:
    """They run a copy: `run_py` in support/pages.py, or `copy_project` in support/program.py."""
    original = re.compile(r"""PROJECT / ["']run\.py""")
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        for line in path.read_text("utf-8").splitlines():
            if path != Path(__file__) and original.search(line):
                assert "shutil.copy(" in line, f"{path.name}: {line}"
