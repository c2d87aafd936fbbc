"""Does CI run what the README tells a newcomer to run, and does each command stand alone?"""

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
