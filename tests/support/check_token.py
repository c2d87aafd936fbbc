"""What does `python run.py --check-token` say about a token?"""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ORIGIN
from support.pages import PROJECT, run_py


class Ended(NamedTuple):
    status: int | None
    out: str
    err: str

    @property
    def text(self) -> str:
        """What it says, with its lines in one."""
        return " ".join(self.out.split())


async def check_token(text: str | bytes, folder: Path, **environ: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(run_py(folder)), "--check-token"),
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(PROJECT),
            **environ,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    given = text.encode() if isinstance(text, str) else text
    out, err = await process.communicate(given)
    for part in given.decode(errors="replace").split("."):
        assert len(part) < 20 or part not in (out + err).decode(), "the token is never printed"
    return Ended(process.returncode, out.decode(), err.decode())


def environ_for(issuer: Issuer, **more: str) -> dict[str, str]:
    named = {"ISSUER_BASE_URL": issuer.url, "AUTH0_AUDIENCE": AUDIENCE, "CLIENT_ORIGIN_URL": ORIGIN}
    return {**named, **more}
