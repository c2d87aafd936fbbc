"""Does an operator see what hello/docs/on-call.md shows, and find it there?"""

import os
import re
from pathlib import Path

import pytest

import on_call
from incidents import INCIDENTS, missing
from support.outputs import logged
from support.pages import PROJECT, output, outputs, prose, rows, text

PAGE = "hello/docs/on-call.md"
ALERTS = (PROJECT / "hello/docs/alerts.yaml").read_text("utf-8")
SEVERITIES = dict(re.findall(r"alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", ALERTS))


def moments(printed: str) -> list[tuple[str, set[object]]]:
    """What is seen of each moment: its name, and what its lines say, in whatever order."""
    found = []
    for block in printed.strip().split("\n\n"):
        title, *lines = block.splitlines()
        found.append((title, {said(line) for line in lines}))
    return found


def said(line: str) -> object:
    """What a line says to a program: of the log, the codes and the names of its fields."""
    kind, rest = line[:9].strip(), line[9:]
    if kind != "log" or rest.startswith("    | "):
        return line
    if gunicorn := re.match(r"\[<time>\] \[<pid \d+>\] \[([A-Z]+)\] ", rest):
        return gunicorn[1]  # its words are its own
    rest = re.sub(r"<time> \[<pid \d+>\]", "2027-01-15 09:00:00,000 [1]", rest, count=1)
    return logged(rest.replace("<n>", "0")), tuple(re.findall(r"\b(\w+)=", rest))


@pytest.mark.parametrize("name", INCIDENTS)
async def test_what_happens_looks_as_the_page_shows(tmp_path: Path, name: str) -> None:
    lack = missing(name)
    if lack is not None and os.environ.get("CI") != "true":
        pytest.skip(lack)
    printed = await INCIDENTS[name](tmp_path / name)
    real, shown = moments(printed), moments(output(PAGE, name))
    assert [title for title, _ in real] == [title for title, _ in shown]
    for (title, lines), (_, others) in zip(real, shown, strict=True):
        assert (title, lines - others, others - lines) == (title, set(), set())
    assert "eyJ" not in printed
    assert str(PROJECT) not in printed


def test_the_page_shows_each_event_that_the_script_makes_happen() -> None:
    assert [*outputs(PAGE)] == [*INCIDENTS]


def test_a_block_that_differs_in_what_counts_is_noticed() -> None:
    shown = output(PAGE, "provider-down")
    for there, instead in [
        ("refused 503", "refused 401"),
        ("keys_recovered:", "keys_here:"),
        ('"stale"', '"fresh"'),
        (" request=<id>", ""),
        ("WARNING", "ERROR"),
        ('state="missing"} 0 -> 1', 'state="missing"} 0 -> 2'),
        ("--- JWKS_MAX_STALE is over", "--- nothing"),
    ]:
        assert there in shown
        assert moments(shown.replace(there, instead)) != moments(shown)
    other_words = shown.replace("there are no keys to use", "none").replace("<pid 1>", "<pid 2>")
    assert other_words != shown
    assert moments(other_words) == moments(shown)


def test_what_is_printed_can_be_written_into_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "on-call.md"
    copy.write_text(text(PAGE))
    monkeypatch.setattr(on_call, "PAGE", copy)
    on_call.renew("deploy", output(PAGE, "deploy"))
    assert copy.read_text() == text(PAGE)
    on_call.renew("deploy", "--- nothing\n")
    assert copy.read_text() == text(PAGE).replace(output(PAGE, "deploy"), "--- nothing\n")


# --- What a tired person looks for ---------------------------------------------------------------


def sections() -> dict[str, str]:
    """The text of each section, by the name that links lead to."""
    parts = re.split(r"^## (.+)$", text(PAGE), flags=re.MULTILINE)
    names = (re.sub(r"\W+", "-", name.lower()) for name in parts[1::2])
    return dict(zip(names, parts[2::2], strict=True))


def test_the_table_leads_from_what_is_seen_to_the_section_that_shows_it() -> None:
    led_to = set()
    for seen, target in rows(PAGE, "symptoms"):
        [section] = re.findall(r"\(#(.+)\)", target)
        led_to.add(section)
        for code in re.findall(r"`([^`]+)`", seen):
            assert code.split(" … ")[0].lstrip("/") in sections()[section], code
    assert led_to == {*sections()} - {"how-to-read-the-blocks"}


def test_each_alert_is_on_the_page_with_its_severity_and_in_the_table() -> None:
    named = re.findall(r"`(\w+)` \(`(\w+)`\)", prose(PAGE))
    assert set(named) == set(SEVERITIES.items())
    in_table = {
        name for seen, _ in rows(PAGE, "symptoms") for name in re.findall("alert `(.+?)`", seen)
    }
    assert in_table == {*SEVERITIES}


@pytest.mark.parametrize(
    "name",
    [name for name in sections() if name not in {"how-to-read-the-blocks", "something-else"}],
)
def test_each_section_says_what_has_happened_who_notices_who_is_woken_and_what_to_do(
    name: str,
) -> None:
    parts = re.findall(r"^\*\*(.+?)\.?\*\*", sections()[name], re.MULTILINE)
    assert parts == ["What has happened", "What clients notice", "Alert", "What to do"]
    steps = re.findall(r"^(\d)\. ", sections()[name], re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert steps
