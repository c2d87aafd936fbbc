"""Do imports still point one way?"""

import ast
import re
from pathlib import Path

import pytest

from support.pages import PROJECT
from support.rooms import ORDER

FILES = {path.relative_to(PROJECT).as_posix(): path for path in PROJECT.glob("hello/**/*.py")}

# The same inside of auth.
AUTH_ORDER = [
    "__main__",
    "terminal",
    "__init__",
    "explain",
    "advice",
    "overview",
    "protection",
    "metadata",
    "marks",
    "requirements",
    "validator",
    "remembered",
    "fetch",
    "resolver",
    "issuers",
    "discovery",
    "jwks",
    "trusted_issuer",
    "keys",
    "header",
    "access_token",
    "claims",
    "hooks",
    "urls",
    "bounded",
    "credentials",
    "jws",
    "strict_json",
    "errors",
]
WITH_AIOHTTP = {
    *("__main__", "terminal", "__init__", "explain", "overview", "protection"),
    *("metadata", "marks", "fetch"),
}


def imported(path: Path) -> set[str]:
    """The absolute names of the modules that a file imports, wherever in it."""
    package = path.relative_to(PROJECT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def rooms(path: Path, within: str) -> set[str]:
    """The parts of a package that a file imports."""
    prefix = f"{within}."
    return {
        name.removeprefix(prefix).split(".")[0]
        for name in imported(path)
        if name.startswith(prefix)
    }


@pytest.mark.parametrize("room", ORDER)
def test_imports_point_inwards(room: str) -> None:
    own = "run.py" if room == "run" else f"hello/{room}.py"
    files = [PROJECT / own] if room != "auth" else list(PROJECT.glob("hello/auth/*.py"))
    backwards = set(ORDER[: ORDER.index(room)])
    for path in files:
        assert not rooms(path, "hello") & backwards, path


def test_auth_imports_nothing_of_hello_outside_itself() -> None:
    for path in PROJECT.glob("hello/auth/*.py"):
        assert rooms(path, "hello") <= {"auth"}, path


@pytest.mark.parametrize("room", AUTH_ORDER)
def test_imports_inside_of_auth_point_inwards(room: str) -> None:
    backwards = set(AUTH_ORDER[: AUTH_ORDER.index(room)])
    assert not rooms(PROJECT / f"hello/auth/{room}.py", "hello.auth") & backwards


@pytest.mark.parametrize("room", sorted({*AUTH_ORDER} - WITH_AIOHTTP))
def test_the_validators_core_knows_no_web_framework(room: str) -> None:
    names = imported(PROJECT / f"hello/auth/{room}.py")
    assert not any(name.split(".")[0] == "aiohttp" for name in names)


def test_only_app_and_its_callers_see_the_configuration() -> None:
    seen_by = {name for name, path in FILES.items() if "config" in rooms(path, "hello")}
    assert seen_by == {"hello/app.py", "hello/server.py", "hello/sandbox/start.py"}


def test_nothing_but_run_imports_the_sandbox() -> None:
    seen_by = {name for name, path in FILES.items() if "sandbox" in rooms(path, "hello")}
    assert not {name for name in seen_by if not name.startswith("hello/sandbox/")}


def test_every_file_has_its_place() -> None:
    auth = {path.stem for path in PROJECT.glob("hello/auth/*.py")}
    outside = {path.stem for path in PROJECT.glob("hello/*.py")} - {"__init__"}
    assert auth == set(AUTH_ORDER)
    assert outside == set(ORDER) - {"run", "auth"}


def test_no_test_runs_the_program_where_somebody_may_have_an_env_file() -> None:
    """They run a copy: `run_py` in support/pages.py, or `copy_project` in support/program.py."""
    original = re.compile(r"""PROJECT / ["']run\.py""")
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        for line in path.read_text("utf-8").splitlines():
            if path != Path(__file__) and original.search(line):
                assert "shutil.copy(" in line, f"{path.name}: {line}"
