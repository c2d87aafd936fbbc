"""Does CI run what the README tells a newcomer to run, and does each command stand alone?"""

import re
import subprocess
import tomllib

from support.pages import PROJECT, example

RUN, TEST = (example("README.md", name).strip() for name in ("run", "test"))
CI = (PROJECT / ".ci/run").read_text("utf-8").splitlines()


def test_each_of_the_readmes_two_commands_makes_the_environment_that_it_needs() -> None:
    for command, ends_with in ((RUN, ".venv/bin/python run.py"), (TEST, ".venv/bin/pytest")):
        makes, installs, *runs = command.split(" && ")
        assert makes == "python3 -m venv .venv"
        assert installs.startswith(".venv/bin/pip install ")
        assert runs == [ends_with]


def test_ci_ends_with_the_readmes_test_command_as_it_stands_there() -> None:
    assert CI[-1] == TEST
    assert "export CI=true PYTEST_ADDOPTS=--cov" in CI


def test_every_python_that_is_declared_is_looked_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    names = (name.rpartition(" :: ")[2] for name in project["classifiers"])
    oldest, *others = (name for name in names if name.startswith("3."))
    assert project["requires-python"] == f">={oldest}"  # the main run's
    assert ".ci/other-versions" in CI
    script = (PROJECT / ".ci/other-versions").read_text("utf-8")
    assert f"for version in {' '.join(others)}; do" in script


def test_the_oldest_aiohttp_that_is_declared_is_tested() -> None:
    """Every version down to it keeps the contract, so the declaration names all three numbers."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    [declared] = [name for name in project["dependencies"] if re.match(r"aiohttp\b(?!-)", name)]
    oldest = re.match(r"aiohttp>=(\d+\.\d+\.\d+),", declared)
    assert oldest is not None
    found = subprocess.run(
        ["sh", "-c", _line_of_other_versions("oldest=") + '; echo "$oldest"'],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == oldest[1]
    assert '"aiohttp==$oldest"' in _line_of_other_versions('"$folder/aiohttp/bin/pip" install -q "')


def _line_of_other_versions(beginning: str) -> str:
    script = (PROJECT / ".ci/other-versions").read_text("utf-8")
    [line] = [line for line in script.splitlines() if line.startswith(beginning)]
    return line
