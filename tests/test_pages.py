"""Do the guide's pages hold together: links, headings, code blocks that somebody runs?"""

import re

import pytest

from pages import PAGES, PROJECT, languages, prose, text

# Which tests run a page's code blocks, all those of a language.
RUN_BY = {
    ("README.md", "python"): "test_readme.py",
    ("README.md", "bash"): "test_walk.py",
    ("README.md", "dotenv"): "test_walk.py",
    ("README.md", "text"): "test_walk.py",
    ("hello/README.md", "bash"): "test_how_it_is_built.py",
    ("hello/README.md", "diff"): "test_how_it_is_built.py",
    ("hello/README.md", "python"): "test_how_it_is_built.py",
    ("hello/README.md", "text"): "test_how_it_is_built.py",
    ("hello/auth/README.md", "bash"): "test_walk.py",
    ("hello/auth/README.md", "ini"): "test_walk.py",
    ("hello/auth/README.md", "python"): "test_guide.py",
    ("hello/auth/README.md", "text"): "test_walk.py",
    ("hello/auth/coming-from.md", "js"): "test_coming_from.py",
    ("hello/auth/coming-from.md", "python"): "test_coming_from.py",
    ("hello/auth/providers.md", "bash"): "test_providers.py",
    ("hello/auth/providers.md", "dotenv"): "test_providers.py",
    ("hello/auth/providers.md", "json"): "test_providers.py",
    ("hello/auth/providers.md", "python"): "test_providers.py",
    ("hello/auth/refusals.md", "bash"): "test_refusals_page.py",
    ("hello/auth/refusals.md", "dotenv"): "test_refusals_page.py",
    ("hello/auth/refusals.md", "python"): "test_refusals_page.py",
    ("hello/auth/refusals.md", "text"): "test_refusals_page.py",
    ("hello/running.md", "bash"): "test_running.py",
    ("hello/running.md", "dockerfile"): "test_running.py",
    ("hello/running.md", "dotenv"): "test_running.py",
    ("hello/running.md", "ini"): "test_running.py",
    ("hello/running.md", "nginx"): "test_nginx.py",
    ("hello/running.md", "python"): "test_serving_ones_own.py",
    ("hello/running.md", "text"): "test_operating.py",
    ("tests/peers/README.md", "bash"): "test_peers.py",
}


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
def test_code_blocks_say_their_language_and_somebody_runs_them(page: str) -> None:
    assert text(page).count("\n```") % 2 == 0
    for language in languages(page):
        assert (PROJECT / "tests" / RUN_BY[page, language]).is_file()
