"""Does hello/docs/comparison.md say what is asked there, and what this project answers?

The peers are not installed here: what they answer is what behave.py printed on the page's date.
"""

import asyncio
import re
import subprocess
import sys

import pytest

from peers import behave
from support.pages import PROJECT, examples, rows, text

PAGE = "hello/docs/comparison.md"
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


def test_this_project_answers_as_the_contract_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behave, "SLOW_SECONDS", 0.1)
    answers = asyncio.run(behave.columns({}, JWKS_TIMEOUT="2"))
    assert answers == {behave.OURS: CONTRACT}


def test_the_page_has_our_answer_to_every_question_in_their_order() -> None:
    printed = [cells[1] for cells in rows(PAGE, "answers")]
    assert printed == [CONTRACT[question] for question in behave.QUESTIONS]


def test_the_table_has_a_column_for_each_server() -> None:
    names = [behave.OURS, *behave.PEERS]
    printed = behave.table({behave.OURS: CONTRACT}, names).splitlines()
    assert printed[0] in text(PAGE).splitlines()
    first = [cell.strip() for cell in printed[2].strip("|").split("|")]
    assert first == ["a valid token", "200", *["not installed"] * len(behave.PEERS)]


COMMANDS = [
    line
    for page in (PAGE, "tests/peers/README.md")
    for code in examples(page, "bash").values()
    for line in code.splitlines()
]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist_with_their_options(command: str) -> None:
    python, script, *options = command.split()
    assert python == ".venv/bin/python"
    helped = subprocess.run(
        [sys.executable, PROJECT / script, "--help"], check=True, capture_output=True, text=True
    )
    for option in options:
        assert re.search(rf"{option}\b", helped.stdout)
