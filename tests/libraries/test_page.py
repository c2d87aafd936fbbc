"""Does the page name the versions that are tested, of every library of the extra?"""

import os
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version

import pytest

from support.libraries import PAGE
from support.pages import PROJECT, rows_by_id

EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
INSTALLED = {
    name: lowest
    for requirements in (EXTRAS["dependencies"], *EXTRAS["optional-dependencies"].values())
    for name, lowest in re.findall(
        r"^([a-z0-9-]+)>=([\w.]+)", "\n".join(requirements), re.MULTILINE
    )
}
ROWS = {name: cells for name, cells in rows_by_id(PAGE, "libraries").items() if name in INSTALLED}


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


@pytest.mark.parametrize("name", ROWS)
def test_a_version_of_the_page_is_tested_or_a_newer_one_is(name: str) -> None:
    try:
        installed = numbers(version(name))
    except PackageNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{name} is missing: pip install -e '.[libraries]'")
    assert ROWS[name][0] == f"`{name}`"
    assert installed >= numbers(ROWS[name][1]) >= numbers(INSTALLED[name])


def test_every_library_of_the_extra_has_a_row() -> None:
    extra = EXTRAS["optional-dependencies"]["libraries"]
    names = {name for each in extra for name in re.findall(r"^([a-z0-9-]+)>=", each)}
    assert names - {"openfga-sdk"} <= {*ROWS}  # a check uses that one, and aiohttp does not
    assert {"aiohttp-cors", "prometheus-client"} <= {*ROWS}
