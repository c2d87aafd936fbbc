"""Does the README's guide go as it says, command by command, in a terminal?

Its commands are typed into one shell, in their order, and what they print is compared with what
the page shows. What installs something is left to `test_installing.py`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from hello.config import Config
from support.outputs import same_check, same_routes, same_text
from support.pages import PROJECT, example, examples, outputs
from support.program import (
    API_PORT,
    CLIENT_PORT,
    ISSUER_PORT,
    Program,
    copy_project,
    is_listening,
    running,
)

GUIDE = "README.md"
OWN = "hello/docs/own-project.md"
FETCHES = re.compile(r"TOKEN=\$\(.*?'\)\n", re.DOTALL)
OWN_PORT = 8080
LEFT_OUT = {"run", "test", "install", "client"}  # they install something, or want a tenant
LEFT_OUT |= {"opaque-env", "client-certificate"}  # they have tests of their own


def compare(name: str, printed: str, shown: str) -> None:
    """Compare what a command prints with what a page shows."""
    if name.startswith("check"):
        same = same_check(printed, shown)
    elif name == "routes":
        same = same_routes(printed, shown)
    else:
        same = same_text(printed, shown)
    assert same, f"{name}\n{printed}"


class Terminal:
    """A shell that goes on: what one command sets is there for the next one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = ""

    def prints(self, command: str) -> str:
        command = command.replace(".venv/bin/python", sys.executable)
        command = command.replace(".venv/bin/pytest", f"{sys.executable} -m pytest")
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._before + command],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"
        if fetches := FETCHES.match(command):
            self._before = fetches[0]
        return ran.stdout.replace("\r\n", "\n")


@pytest.fixture(autouse=True)
def _can_be_walked() -> None:
    if os.environ.get("CI") == "true":
        return
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    ports = (API_PORT, ISSUER_PORT, CLIENT_PORT, OWN_PORT)
    if taken := [port for port in ports if is_listening(port)]:
        pytest.skip(f"ports that the guide uses are taken on this machine: {taken}")


def test_the_guide_goes_as_it_says(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    shutil.copy(PROJECT / ".env.example", project)
    (project / "bound.py").write_text(example(GUIDE, "bound-client"))
    terminal = Terminal(project)
    shown = outputs(GUIDE)

    def started(folder: str) -> Program:
        program = servers.enter_context(running([str(project / "run.py")], tmp_path / folder, {}))
        for port in (API_PORT, ISSUER_PORT, CLIENT_PORT):
            program.listens(port)
        return program

    with ExitStack() as servers:
        server = started("first")
        for name, command in examples(GUIDE, "bash").items():
            if name in LEFT_OUT:
                continue
            if name == "start-again":
                server.send(signal.SIGINT)
                assert server.ends() == 0
                (project / ".env").write_text(example(GUIDE, "admin-env"))
                server = started("second")
                continue
            printed = terminal.prints(command)
            if name in shown:
                compare(name, printed, shown.pop(name))
        server.send(signal.SIGTERM)
        assert server.ends() == 0
    assert not shown


def test_the_sandbox_accepts_opaque_tokens_if_it_is_started_as_the_guide_says(
    tmp_path: Path,
) -> None:
    *settings, python, script = example(GUIDE, "opaque-env").split()
    assert (python, script) == (".venv/bin/python", "run.py")
    project = copy_project(tmp_path / "project")
    terminal = Terminal(project)
    [fetches] = FETCHES.findall(example(GUIDE, "token"))
    without_audience = re.sub(r" -d audience=\S+", "", fetches)
    assert without_audience != fetches
    for environ, status in (({}, "401"), (dict(each.split("=") for each in settings), "200")):
        with running([str(project / "run.py")], tmp_path / status, environ) as server:
            for port in (API_PORT, ISSUER_PORT, CLIENT_PORT):
                server.listens(port)
            asks = example(GUIDE, "good-token").replace(
                "curl -i", "curl -sS -o /dev/null -w '%{http_code}'"
            )
            assert terminal.prints(without_audience + asks) == status
            server.send(signal.SIGTERM)
            assert server.ends() == 0


@pytest.mark.parametrize(
    "environ", [{"DPOP_NONCE_SECRET": "n" * 32}, {"DPOP": "required"}], ids=["nonces", "required"]
)
def test_the_client_with_bound_tokens_works_with_each_setting(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    project = copy_project(tmp_path / "project")
    (project / "bound.py").write_text(example(GUIDE, "bound-client"))
    with running([str(project / "run.py")], tmp_path / "server", environ) as server:
        for port in (API_PORT, ISSUER_PORT, CLIENT_PORT):
            server.listens(port)
        printed = Terminal(project).prints(example(GUIDE, "run-bound-client"))
        compare("run-bound-client", printed, outputs(GUIDE)["run-bound-client"])
        server.until(lambda: "bound.py" in server.out if "DPOP" in environ else True)
        assert ("Bearer" in server.out) is ("DPOP" not in environ)
        server.send(signal.SIGTERM)
        assert server.ends() == 0


def test_a_project_of_ones_own_goes_as_it_says(tmp_path: Path) -> None:
    """Without its first command, which installs: what is installed here is this checkout."""
    own = tmp_path / "my-api"
    own.mkdir()
    for file, name in {
        "my_api.py": "own-project",
        "conftest.py": "conftest",
        "test_my_api.py": "offline-test",
        "pytest.ini": "pytest-ini",
    }.items():
        (own / file).write_text(example(OWN, name))
    assert example(OWN, "start") == ".venv/bin/python my_api.py\n"
    terminal = Terminal(own)
    path = {"PYTHONPATH": str(PROJECT)}
    python, *issuer = example(OWN, "sandbox").split()
    assert python == ".venv/bin/python"
    sandbox = running(issuer, tmp_path / "sandbox", path)
    api = running([str(own / "my_api.py")], tmp_path / "api", path)
    shown = outputs(OWN)
    with sandbox as issuing, api as answering:
        issuing.listens(ISSUER_PORT)
        answering.listens(OWN_PORT)
        for name, command in examples(OWN, "bash").items():
            if name not in {*LEFT_OUT, "sandbox", "start"}:
                compare(name, terminal.prints(command), shown.pop(name))
    assert not shown


def test_the_settings_that_it_shows_are_configurations() -> None:
    tenant, other, permission = (
        dict(line.split("=", 1) for line in example(GUIDE, name).splitlines())
        for name in ("auth0-env", "other-issuer-env", "admin-env")
    )
    for environ in (tenant, other):
        assert Config.from_environ({**environ, **permission}).client_origin
    with_client = {**tenant, "AUTH0_CLIENT_ID": "a1b2c3"}
    assert Config.from_environ(with_client).client_id == "a1b2c3"
