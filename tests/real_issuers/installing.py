"""How do other people's issuers get into a temporary folder, and nowhere else?"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent

_SECONDS = 600
# What the servers link with and read. The rest is for a database server, or for their web pages.
_NEEDED = re.compile(r"^Inst ((?:glewlwyd|lib(?!js-))\S*(?<!-perl)) ", re.MULTILINE)


class InstallError(Exception):
    """Something could not be installed. The message holds what the installer said."""


def from_npm(folder: Path, program: str, source: Path = HERE) -> Path:
    """Install what package.json in `source` names. Return where the program lies beside it."""
    folder.mkdir(exist_ok=True)
    for name in ("package.json", program):
        shutil.copy(source / name, folder)
    if not (folder / "node_modules").is_dir():
        options = ("--no-package-lock", "--no-audit", "--no-fund", "--omit=dev")
        _run(["npm", "install", *options], cwd=folder)
    return folder / program


def from_pypi(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment. Return its Python."""
    python = folder / "bin/python"
    ready = folder / "ready"
    if not ready.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "-q", *requirements])
        ready.touch()
    return python


def from_debian(folder: Path, *packages: str) -> Path:
    """Unpack packages, and what they need and the machine lacks. Nothing is set up."""
    ready = folder / "ready"
    if not ready.exists():
        folder.mkdir(exist_ok=True)
        planned = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *packages])
        names = sorted({*packages, *_NEEDED.findall(planned)})
        _run(["apt-get", "download", "-q", *names], cwd=folder)
        for archive in sorted(folder.glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(archive), str(folder)])
        ready.touch()
    return folder


def version_in_venv(python: Path, name: str) -> str:
    program = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return _run([str(python), "-c", program, name]).strip()


def debian_version(folder: Path, package: str) -> str:
    """Return the version of a package that was unpacked in a folder."""
    [archive] = folder.glob(f"{package}_*.deb")
    return _run(["dpkg-deb", "--field", str(archive), "Version"]).strip()


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    try:
        return subprocess.run(
            command, check=True, cwd=cwd, capture_output=True, text=True, timeout=_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise InstallError(f"{' '.join(command)}: {said[-500:]}") from error
