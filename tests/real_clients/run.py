"""Do strict clients that others wrote work with the sandbox, without a special case?

    .venv/bin/python tests/real_clients/run.py [--folder FOLDER]

Installs oauth4webapi and openid-client from npm in a temporary folder, starts the sandbox's issuer
at a port of this machine, and lets each of them register, log somebody in, and use its tokens.
Prints what they checked. Exits with 1 if one of them is not content.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from aiohttp.test_utils import TestServer

from hello.sandbox.issuer import Issuer, issuer_app

HERE = Path(__file__).resolve().parent
CLIENTS = ("oauth4webapi", "openid-client")
AUDIENCE, RESOURCE = "https://api.example.com", "http://localhost:8080/mcp"
_SECONDS = 120


def install(folder: Path) -> None:
    """Install what package.json names, and copy the scripts beside it."""
    for file in HERE.glob("*.js*"):
        shutil.copy(file, folder)
    if not (folder / "node_modules").is_dir():
        options = ("--no-package-lock", "--no-audit", "--no-fund")
        subprocess.run(["npm", "install", *options], check=True, cwd=folder, timeout=_SECONDS)


async def ask(client: str, folder: Path) -> int:
    """Let a client ask an issuer of its own. Return its exit status."""
    resources = {RESOURCE: AUDIENCE}
    issuer = Issuer(audience=AUDIENCE, resources=resources, rfc9068=True, registration=True)
    async with TestServer(issuer_app(issuer)) as server:
        issuer.url = str(server.make_url("/"))
        print(f"\n## {client}\n", flush=True)
        arguments = ("node", f"{client}.js", issuer.url, AUDIENCE, RESOURCE)
        process = await asyncio.create_subprocess_exec(*arguments, cwd=folder)
        async with asyncio.timeout(_SECONDS):
            return await process.wait()


async def ask_all(folder: Path) -> int:
    """Ask for one client after the other. Return the exit status."""
    return int(any([await ask(client, folder) for client in CLIENTS]))


def main() -> int:
    """Install, ask, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where the clients are installed, and stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        install(folder)
        return asyncio.run(ask_all(folder))


if __name__ == "__main__":
    sys.exit(main())
