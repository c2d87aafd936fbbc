"""Prometheus' own tool, which checks rules and configurations, where it can be had."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="there is no promtool: it is in Debian's package prometheus",
)


def promtool(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run it in a folder. Return its status, and what it said."""
    ran = subprocess.run(
        ["promtool", *arguments],
        check=False,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout
