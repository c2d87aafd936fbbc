"""Do the same tests pass with versions that other libraries here do not go with?

Each is installed in a folder of its own, which lies before everything else on the path.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.libraries import PAGE
from support.pages import rows_by_id

HERE = Path(__file__).parent
# What is installed, what is run with it, and why it is apart.
APART = {
    # aiohttp-apigami wants newer versions of what this needs. And it needs what Python has dropped.
    "aiohttp-apispec==2.2.3": (
        ["apispec==3.3.2", "webargs==5.5.3"],
        [
            "test_schemas.py",
            "../docs/test_openapi_page.py::test_the_document_of_apigami",
            *("-W", "ignore::DeprecationWarning"),
        ],
    ),
    # It asks for Python 3.12, and runs with 3.11, too.
    "aiohttp-pydantic==3.0.2": ([], ["test_pydantic.py"]),
    # aiohttp-mcp wants an older one.
    "aiohttp-sse==3.0": ([], ["test_handlers.py", "-k", "events"]),
}


@pytest.mark.skipif(
    os.environ.get("CI") != "true", reason="it installs packages, which only CI does"
)
@pytest.mark.parametrize("library", APART)
def test_apart(tmp_path: Path, library: str) -> None:
    others, tests = APART[library]
    options = ("--no-deps", "--ignore-requires-python", "--disable-pip-version-check")
    install = (sys.executable, "-m", "pip", "install", "-q", *options, "--target", str(tmp_path))
    subprocess.run([*install, library, *others], check=True, timeout=300)
    environ = {name: text for name, text in os.environ.items() if name != "PYTEST_ADDOPTS"}
    environ |= {"PYTHONPATH": str(tmp_path), "SCHEMAS_OF": library.partition("==")[0]}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "testpaths=",
            *tests,
        ],
        cwd=HERE,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout


def test_each_version_that_the_page_has_apart_is_tested_apart() -> None:
    rows = rows_by_id(PAGE, "libraries")
    apart = {library.replace("==", "-").replace(".", "-"): library for library in APART}
    for row, library in apart.items():
        name, version = library.split("==")
        assert rows[row][:2] == [f"`{name}`", version]
    assert {row for row in rows if re.search(r"-\d[\d-]*$", row)} == {*apart}
