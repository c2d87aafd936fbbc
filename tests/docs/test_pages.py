"""Do the guide's pages hold together: links, headings, code blocks?"""

import re

import pytest

from support.pages import PAGES, PROJECT, languages, prose, text


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
    assert all(languages(page))
