"""Is each entry one JSON object that a program can rely on, whoever had a hand in its texts?"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from hello.logs import BackgroundHandler, JsonFormatter, log_to_stderr
from support.logs import JsonLines, json_lines, root_logger_restored

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"
FORGED = '{"level": "INFO", "message": "all is well"}'
OF_EVERY_ENTRY = {"time", "level", "logger", "message", "pid"}

logger = logging.getLogger("my_api")


@pytest.fixture
def log() -> Iterator[JsonLines]:
    with json_lines() as lines:
        yield lines


def test_an_entry_has_a_time_with_its_offset_and_what_the_text_has(log: JsonLines) -> None:
    before = datetime.now().astimezone()
    logger.warning("%d of %s", 7, "nine")
    [entry] = log.entries
    assert entry.keys() == OF_EVERY_ENTRY
    at = datetime.fromisoformat(entry.pop("time"))
    assert at.utcoffset() == before.utcoffset()
    assert abs((at - before).total_seconds()) < 10
    assert entry == {
        "level": "WARNING",
        "logger": "my_api",
        "message": "7 of nine",
        "pid": os.getpid(),
    }


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, with \"quotes\", 'more' and a \\", "plain, with \"quotes\", 'more' and a \\"),
        ("élève, 漢字, 🙂", "élève, 漢字, 🙂"),
        (f"a\n{FORGED}", f"a\\n{FORGED}"),
        (f"a\r{FORGED}\x00\x1b[31m", f"a\\r{FORGED}\\x00\\x1b[31m"),
        ("\x85 \u2028 \u202e", "\\x85 \\u2028 \\u202e"),
        ("half a character: \ud800", "half a character: \\ud800"),
        (f"it was {TOKEN}", "it was [...]"),
        ("Authorization: Bearer V1StGXR8Z5jd", "Authorization: Bearer [...]"),
        ("/x?access_token=V1StGXR8Z5jd", "/x?access_token=[...]"),
    ],
)
def test_the_rules_for_texts_are_those_of_the_other_format(
    log: JsonLines, text: str, written: str
) -> None:
    logger.info("%s", text)
    logger.info(text)
    logger.info("more", extra={"about": text, "parts": [{text: (text,)}]})
    first, second, third = log.entries
    assert first["message"] == second["message"] == written
    assert third["about"] == written
    assert third["parts"] == [{written: [written]}]


def fail() -> None:
    raise ValueError(f"outer\n{FORGED}\x1b[31m {TOKEN}") from KeyError("inner")


def test_an_exception_has_its_type_and_its_stack(log: JsonLines) -> None:
    with pytest.raises(ValueError, match="outer") as raised:
        fail()
    logger.error("it failed", exc_info=raised.value)
    [entry] = log.entries
    assert entry.keys() == OF_EVERY_ENTRY | {"type", "stack"}
    assert entry["message"] == "it failed"
    assert entry["type"] == "ValueError"
    lines = entry["stack"].split("\n")
    assert lines[0] == "KeyError: 'inner'"
    assert lines[-1] == f"{FORGED}\\x1b[31m [...]"
    assert all(line.isprintable() for line in lines)


def test_a_stack_that_is_asked_for_is_there_without_an_exception(log: JsonLines) -> None:
    logger.info("here", stack_info=True)
    logger.info("nothing was raised", exc_info=True)  # noqa: LOG014
    first, second = log.entries
    assert "in test_a_stack_that_is_asked_for" in first["stack"]
    assert "type" not in first
    assert second.keys() == OF_EVERY_ENTRY


class Odd:
    def __str__(self) -> str:
        return f"odd\n{TOKEN}"


class Unshown:
    def __str__(self) -> str:
        raise RecursionError


def cyclic() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["a"] = [cycle, cycle, 1]
    return cycle


def deep(levels: int) -> list[Any]:
    return [deep(levels - 1)] if levels else []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        (10**3000, 10**3000),
        ([10**5000], [hex(10**5000)]),
        ([-(10**5000)], [hex(-(10**5000))]),
        (cyclic(), {"a": ["...", "...", 1]}),
        ([[1], [1]], [[1], [1]]),
        (deep(9), deep(9)),
        ([deep(9)], [[[[[[[[[["..."]]]]]]]]]]),
        (
            {Unshown(): Unshown()},
            {"(Unshown that cannot be shown)": "(Unshown that cannot be shown)"},
        ),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ({"a": {1: None}}, {"a": {"1": None}}),
        ((1, "b"), [1, "b"]),
        ({"b"}, ["b"]),
        (b"a\n", "b'a\\n'"),
        (Odd(), "odd\\n[...]"),
    ],
)
def test_what_a_program_adds_is_in_the_entry(log: JsonLines, value: Any, written: Any) -> None:
    logger.info("more", extra={"added": value})
    assert log.entries[0]["added"] == written


def test_what_a_program_adds_takes_no_name_of_ours(log: JsonLines) -> None:
    names = dict.fromkeys(OF_EVERY_ENTRY - {"message"}, "forged")
    logger.info("more", extra={**names, "type": "of its own"})
    [entry] = log.entries
    assert entry["type"] == "of its own"
    assert "forged" not in entry.values()


def test_what_another_handler_left_in_a_record_is_not_used() -> None:
    record = logging.makeLogRecord({"msg": "m", "exc_text": FORGED, "asctime": "then"})
    assert json.loads(JsonFormatter().format(record)).keys() == OF_EVERY_ENTRY


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_entry_that_cannot_be_formatted_is_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    """What logging itself would print holds the arguments as they are."""
    with root_logger_restored():
        log_to_stderr("info", log_format)
        logger.info("%d", TOKEN)
        [handler] = logging.getLogger().handlers
        handler.flush()
        handler.close()
    [line] = capsys.readouterr().err.splitlines()
    assert "eyJ" not in line
    said = json.loads(line)["message"] if log_format == "json" else line
    assert f"{__file__}:" in said


def test_that_lines_were_dropped_is_an_entry_like_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hello.logs.writing._MAX_WAITING", 1)
    handler = BackgroundHandler(logging.StreamHandler(sys.stderr))
    handler.setFormatter(JsonFormatter())
    handler._lost = 3
    handler.handle(logging.makeLogRecord({"msg": "one"}))
    handler.flush()
    handler.close()
    one, dropped = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert one["message"] == "one"
    assert dropped["level"] == "WARNING"
    assert "3" in dropped["message"]
    assert dropped.keys() == OF_EVERY_ENTRY
