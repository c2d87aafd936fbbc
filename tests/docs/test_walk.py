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
from support.pages import PROJECT, blocks, text
from support.program import (
    API_PORT,
    CLIENT_PORT,
    ISSUER_PORT,
    Program,
    copy_project,
    is_listening,
    running,
)

SECOND_TERMINAL = re.compile(
    r"^```bash\n(?P<command>.*?)^```$(?:\n\n^```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
FETCHES = re.compile(r"TOKEN=\$\(.*?'\)\n", re.DOTALL)
OWN_PORT = 8080
INSTALLS = "pip install"
STARTS_AGAIN = ".venv/bin/python run.py\n"
STARTS_WITH_TENANT = ".venv/bin/python run.py --client\n"


def printed_like(shown: str) -> re.Pattern[str]:
    """What a page shows, `...` standing for anything."""
    return re.compile(re.escape(shown.strip()).replace(r"\.\.\.", ".*") + "\n?", re.DOTALL)


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
            timeout=30,
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
    terminal = Terminal(project)
    walked = 0

    def started(folder: str) -> Program:
        program = servers.enter_context(running([str(project / "run.py")], tmp_path / folder, {}))
        program.says("Ctrl+C")
        return program

    with ExitStack() as servers:
        server = started("first")
        for block in SECOND_TERMINAL.finditer(text("README.md")):
            command, printed = block["command"], block["printed"]
            if INSTALLS in command or command == STARTS_WITH_TENANT:
                continue
            if command == STARTS_AGAIN:
                server.send(signal.SIGINT)
                assert server.ends() == 0
                (project / ".env").write_text(blocks("README.md", "dotenv")[-1])
                server = started("second")
                continue
            if command.startswith(".venv/bin/python tests/"):
                continue  # the benchmarks, which tests of their own run
            found = terminal.prints(command)
            if printed is not None:
                assert printed_like(printed).fullmatch(f"{found.strip()}\n"), f"{command}\n{found}"
                walked += 1
        server.send(signal.SIGTERM)
        assert server.ends() == 0
    assert walked >= 9


def test_a_project_of_ones_own_goes_as_it_says(tmp_path: Path) -> None:
    """Without its first command, which installs: what is installed here is this checkout."""
    page = "hello/auth/README.md"
    own = tmp_path / "my-api"
    own.mkdir()
    example, *_, conftest, test, _partners = blocks(page, "python")
    (own / "my_api.py").write_text(example)
    (own / "conftest.py").write_text(conftest)
    (own / "test_my_api.py").write_text(test)
    [ini] = blocks(page, "ini")
    (own / "pytest.ini").write_text(ini)
    install, start, *commands = SECOND_TERMINAL.finditer(text(page))
    assert install["command"].startswith("mkdir my-api")
    assert start["command"] == ".venv/bin/python my_api.py\n"
    terminal = Terminal(own)
    path = {"PYTHONPATH": str(PROJECT)}
    run = str(copy_project(tmp_path / "project") / "run.py")
    sandbox = running([run, "--no-client"], tmp_path / "sandbox", {})
    api = running([str(own / "my_api.py")], tmp_path / "api", path)
    with sandbox as issuing, api as answering:
        issuing.says("Ctrl+C")
        answering.listens(OWN_PORT)
        for block in commands:
            found = terminal.prints(block["command"])
            assert printed_like(block["printed"]).fullmatch(f"{found.strip()}\n"), found
    assert len(commands) == 5


def test_the_settings_that_it_shows_are_configurations() -> None:
    shown = [
        dict(line.split("=", 1) for line in block.splitlines())
        for block in blocks("README.md", "dotenv")
    ]
    *whole, permission = shown
    for environ in whole:
        assert Config.from_environ({**environ, **permission}).client_origin
    with_tenant = {**shown[0], "AUTH0_CLIENT_ID": "a1b2c3"}
    assert Config.from_environ(with_tenant).client_id == "a1b2c3"
