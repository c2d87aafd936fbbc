"""Does tests/peers/README.md say what is asked there, and what this project answers?

The peers are not installed here: what they answer is what behave.py printed on the page's date.
"""

import asyncio
import re
import subprocess
import sys

import pytest

from peers import behave
from support.pages import PROJECT, blocks, text

PAGE = "tests/peers/README.md"
# As the contract has it: no token without a reason to trust it, and no 5xx but for an outage.
CONTRACT = {
    **dict.fromkeys(behave.QUESTIONS, "401"),
    "a valid token": "200",
    "`bearer`, a valid token": "200",
    "`scope` as a list": "200",
    behave.DIFFERENT: "3",
    behave.UNCHALLENGED: "0",
    behave.FLOOD: "1",
    behave.ROTATION: "200",
    behave.BURST: "200",
    behave.BURST_FETCHES: "1",
    behave.DOWN: "503",
    behave.HANGS: "503",
    behave.GONE: "200",
    behave.GONE_UNKNOWN: "503",
}


def section(heading: str) -> str:
    return text(PAGE).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(table: str) -> list[list[str]]:
    """The cells of a table's rows, below its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_this_project_answers_as_the_contract_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behave, "SLOW_SECONDS", 0.1)
    answers = asyncio.run(behave.columns({}, JWKS_TIMEOUT="2"))
    assert answers == {behave.OURS: CONTRACT}


def test_the_page_has_every_question_and_our_answers() -> None:
    printed = [row[:2] for row in rows(section("What they do with a bad token"))]
    assert printed == [[question, CONTRACT[question]] for question in behave.QUESTIONS]


def test_the_table_has_a_column_for_each_server() -> None:
    names = [behave.OURS, *behave.PEERS]
    printed = behave.table({behave.OURS: CONTRACT}, names)
    heading = printed.splitlines()[0]
    assert heading in section("What they do with a bad token").splitlines()
    assert rows(printed)[0] == ["a valid token", "200", *["not installed"] * len(behave.PEERS)]


FEATURES, SHOWN_BY = section("Features").split("\n### What shows it\n")


def test_a_test_is_named_for_each_feature_that_this_project_has() -> None:
    features = [row[0] for row in rows(FEATURES) if row[1] != "no"]
    assert features == [row[0] for row in rows(SHOWN_BY)]


COMMANDS = [line for block in blocks(PAGE, "bash") for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist_with_their_options(command: str) -> None:
    python, script, *options = command.split()
    assert python == ".venv/bin/python"
    helped = subprocess.run(
        [sys.executable, PROJECT / script, "--help"], check=True, capture_output=True, text=True
    )
    for option in options:
        assert re.search(rf"{option}\b", helped.stdout)
