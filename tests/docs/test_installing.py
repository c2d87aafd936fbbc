"""Does it install with the commands of the README and of the guide, where nothing is yet?

They fetch packages and take a while, so only CI runs them.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import PROJECT, example
from support.program import CLIENT_PORT, Program

pytestmark = pytest.mark.skipif(
    os.environ.get("CI") != "true", reason="it installs packages, which only CI does"
)
PATH = f"{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who cloned it: nothing but its files."""
    folder = tmp_path_factory.mktemp("home") / "hello-aiohttp"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "hello", folder / "hello", ignore=ignored)
    for name in ("README.md", "LICENSE", "pyproject.toml", "run.py"):
        shutil.copy(PROJECT / name, folder)
    return folder


def environ(folder: Path) -> dict[str, str]:
    """The environment of a terminal, but for what would lead to the packages that are here."""
    inherited = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {**inherited, "PATH": PATH, "HOME": str(folder)}


def test_the_readmes_first_command_sets_everything_up_and_runs(
    checkout: Path, tmp_path: Path
) -> None:
    command = example("README.md", "run")
    script = tmp_path / "first.py"
    script.write_text(
        f"import os\nos.chdir({str(checkout)!r})\nos.execvp('bash', ['bash', '-c', {command!r}])\n"
    )
    program = Program([str(script)], tmp_path / "terminal", environ(tmp_path))
    try:
        program.says(f"http://localhost:{CLIENT_PORT}", seconds=240)
    finally:
        program.close()


def test_it_installs_into_a_project_of_ones_own(checkout: Path) -> None:
    page = "hello/docs/own-project.md"
    commands = subprocess.run(
        ["bash", "-euc", example(page, "install")],
        cwd=checkout.parent,
        env=environ(checkout.parent),
        check=False,
    )
    assert commands.returncode == 0
    own = checkout.parent / "my-api"
    for file, name in {
        "my_api.py": "own-project",
        "conftest.py": "conftest",
        "test_my_api.py": "offline-test",
        "test_partners.py": "partner-test",
        "pytest.ini": "pytest-ini",
    }.items():
        (own / file).write_text(example(page, name))
    ran = subprocess.run(
        ["bash", "-euc", example(page, "run-tests")],
        cwd=own,
        env=environ(own),
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"\b2 passed\b", ran.stdout), ran.stdout + ran.stderr
