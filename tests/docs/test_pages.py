"""Do the guide's pages hold together: links, headings, code blocks?"""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable

import pytest
from hatchling.builders.wheel import WheelBuilder

from support.pages import PAGES, PROJECT, example, examples, fences, ids, output, prose, rows, text


def anchors(page: str) -> set[str]:
    """The names that a page's headings can be linked to by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
    if not target.startswith(("https://", "http://"))
]


@pytest.mark.parametrize(("page", "target"), LINKS)
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")
    led_to = ((PROJECT / page).parent / path).resolve() if path else PROJECT / page
    assert led_to.exists()
    assert led_to.is_relative_to(PROJECT)
    if anchor:
        assert anchor in anchors(str(led_to.relative_to(PROJECT)))


@pytest.mark.parametrize("page", PAGES)
def test_each_heading_of_a_page_is_its_own(page: str) -> None:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    assert len(headings) == len({each.lower() for each in headings})


@pytest.mark.parametrize("page", PAGES)
def test_code_blocks_end_and_say_their_language(page: str) -> None:
    assert text(page).count("\n```") % 2 == 0
    assert all(language for language, _ in fences(page))


@pytest.mark.parametrize("page", PAGES)
def test_all_that_can_be_run_has_an_id(page: str) -> None:
    """By which a test fetches it."""
    there = [code for language, code in fences(page) if language != "text"]
    assert [code for code in examples(page).values() if code in there] == there


@pytest.mark.parametrize("page", PAGES)
def test_an_id_stands_above_what_it_names_and_once(page: str) -> None:
    named = ids(page)
    assert len(named) == len(set(named))
    for kind, name in named:
        match kind:
            case "example":
                assert example(page, name)
            case "output":
                assert output(page, name)
            case "table":
                assert rows(page, name)
            case _:
                pytest.fail(f"nobody knows what a {kind} is")


PARSE: dict[str, Callable[[str], object]] = {
    "bash": lambda code: subprocess.run(["bash", "-n"], input=code, text=True, check=True),
    "json": json.loads,
    "python": ast.parse,
    "toml": tomllib.loads,
}


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_written_in_the_language_that_they_say(page: str) -> None:
    for language, code in fences(page):
        if language in PARSE:
            PARSE[language](code)


def test_the_wheel_holds_the_program_and_no_page() -> None:
    held = {each.distribution_path for each in WheelBuilder(str(PROJECT)).recurse_included_files()}
    assert {"hello/py.typed", "hello/auth/__init__.py", "hello/sandbox/client/index.html"} <= held
    assert not [path for path in held if path.endswith(".md")]
