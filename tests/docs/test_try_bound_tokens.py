"""Can a developer try bound tokens with the tests and commands of hello/docs/own-project.md?"""

import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from hello.tokens.possession.certificate import thumbprint
from support.pages import PROJECT, example

PAGE = "hello/docs/own-project.md"


@pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("CI") != "true",
    reason="there is no openssl",
)
def test_the_tests_of_the_page_run_in_a_project_of_ones_own(tmp_path: Path) -> None:
    for file, name in {
        "my_api.py": "own-project",
        "conftest.py": "conftest",
        "test_bound.py": "bound-test",
        "test_certificate.py": "certificate-test",
        "pytest.ini": "pytest-ini",
    }.items():
        (tmp_path / file).write_text(example(PAGE, name))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
    printed, ran = (
        subprocess.run(
            command, cwd=tmp_path, env=environ, check=False, capture_output=True, text=True
        ).stdout
        for command in (
            ["bash", "-euo", "pipefail", "-c", example(PAGE, "client-certificate")],
            [sys.executable, "-m", "pytest", "-q"],
        )
    )
    pem = (tmp_path / "client.pem").read_text()
    assert printed == thumbprint(ssl.PEM_cert_to_DER_cert(pem))
    assert re.search(r"^2 passed in", ran, re.MULTILINE), ran
