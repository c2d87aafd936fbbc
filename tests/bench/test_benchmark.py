"""Does the benchmark still run, and is every answer in it what it should be?"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import benchmark
from bench import servers
from hello.responses import SECURITY_HEADERS

# What the JSON has, and how many rows each.
SECTIONS = {"ratios": 7, "limit": 3, "latency": 6, "start": 2, "access log": 2, "workers": 2}


def leaves(tree: Any) -> list[float]:
    if not isinstance(tree, dict | list):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    return [leaf for branch in branches for leaf in leaves(branch)]


def test_every_row_is_measured_and_no_answer_is_unexpected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # for this run's tokens and port alone
    plot, numbers = tmp_path / "curves.svg", tmp_path / "numbers.json"
    tiny = ["--quick", "--seconds", "0.05", "--rounds", "1", "--tokens", "20"]
    status = benchmark.main([*tiny, "--plot", str(plot), "--json", str(numbers)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    found = json.loads(numbers.read_text())
    curves = found.pop("curves")
    assert {section: len(rows) for section, rows in found.items()} == SECTIONS
    assert len(curves) == len(benchmark.CURVES)
    # In so short a time not every number can be measured: of an empty sample there is no median.
    assert all(isinstance(number, int | float) for number in leaves([found, curves]))
    ET.parse(plot)


def test_the_bare_server_sends_the_same_headers() -> None:
    """Else the ratios would compare two things."""
    assert servers._HEADERS == {**SECURITY_HEADERS, "Vary": "Origin"}
