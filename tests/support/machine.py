"""On what can the recipes of hello/docs/deploying.md be tried?"""

import os
import re
import shutil
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from hello import connections
from support.pages import PROJECT, example
from support.program import ask, copy_project, free_port

PAGE = "hello/docs/deploying.md"

# aiohttp rounds both of its waits up to the next whole second of its loop's clock.
SERVER_SECONDS = connections._DRAIN_SECONDS + connections._IN_FLIGHT_SECONDS + 2
WORKER_SECONDS = SERVER_SECONDS + 1  # aiohttp's worker looks once a second whether it shall end
GUNICORN = Path(sys.executable).with_name("gunicorn")


def lacks(program: str) -> bool:
    """A program that a newcomer may not have; in CI it has to be there."""
    return shutil.which(program) is None and os.environ.get("CI") != "true"


def command(*arguments: str | Path) -> list[str]:
    """What makes `running` run something else than Python."""
    run = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    return ["-c", run, *map(str, arguments)]


def settings() -> dict[str, str]:
    """The variables of the page's environment file, as systemd and Docker read it."""
    return dict(line.split("=", 1) for line in example(PAGE, "env-file").splitlines())


class Machine:
    """A checkout. Stand-ins for what would change the machine write down how they are called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.checkout = copy_project(folder / "checkout")
        self.port = free_port()
        self._calls = folder / "calls"
        self._calls.touch()
        self._pid = folder / "pid"
        self._stubs = folder / "stubs"
        for name in ("pyproject.toml", "README.md", ".env.example"):
            shutil.copy(PROJECT / name, self.checkout)
        for name in (".venv/bin", "stubs"):
            (folder / name if name == "stubs" else self.checkout / name).mkdir(parents=True)
        for name in ("etc/systemd/system", "opt"):
            (self.root / name).mkdir(parents=True)
        for name in ("git", "systemctl", "docker"):
            self._stub(self._stubs / name, f'echo "{name} $*" >> {self._calls}')
        self._stub(self._stubs / "sudo", 'exec "$@"')
        self._stub(self._stubs / "journalctl", f"cat {folder}/log")
        self._stub(
            self._stubs / "python3",
            f'[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin" && cp {self._stubs}/pip "$3/bin"',
        )
        self._stub(self._stubs / "pip", f'echo "pip $*" >> {self._calls}')
        self._stub(self._stubs / "gunicorn", f'echo $$ > {self._pid}; exec {GUNICORN} "$@"')
        shutil.copy(self._stubs / "pip", self.checkout / ".venv/bin")
        shutil.copy(self._stubs / "gunicorn", self.checkout / ".venv/bin")
        self._stub(
            self.checkout / ".venv/bin/python", f'echo $$ > {self._pid}; exec {sys.executable} "$@"'
        )
        for file, name in [("hello-api.env", "env-file"), ("hello-api.service", "unit")]:
            (self.checkout / file).write_text(example(PAGE, name))

    @staticmethod
    def _stub(path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self._stubs}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.checkout),
            "PORT": str(self.port),
            "LC_ALL": "C",
        }

    @property
    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    def script(self, code: str) -> list[str]:
        """What runs a block here, and stops where a command fails."""
        code = re.sub(r"(?<=[\s'])/(etc|opt)/", rf"{self.root}/\1/", code)
        return command("bash", "-euo", "pipefail", "-c", code.replace("6060", str(self.port)))

    def run(self, code: str) -> str:
        ran = subprocess.run(
            [sys.executable, *self.script(code)],
            check=False,
            cwd=self.checkout,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    def stop_server(self, number: signal.Signals) -> None:
        """Send what `systemctl stop` sends the server, or what a terminal sends all of it."""
        pid = int(self._pid.read_text())
        if number == signal.SIGINT:
            os.killpg(os.getpgid(pid), number)
        else:
            os.kill(pid, number)


def seconds_of(option: str) -> int:
    """What an option of gunicorn's is if nobody says otherwise."""
    ran = subprocess.run(
        [GUNICORN, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    return int(re.findall(rf"{option} INT\s.*?\[(\d+)\]", ran.stdout, re.DOTALL)[0])


def ask_until_told_to_close(connection: HTTPConnection, path: str) -> None:
    """Ask one request after another, until an answer says that the connection closes."""
    closes = False
    while not closes:
        answer = ask(connection, path)
        assert answer.status == 200
        closes = answer.headers.get("Connection") == "close"
