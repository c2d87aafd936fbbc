"""Does the benchmark still run, and is every answer in it what it should be?"""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import benchmark
from bench import servers
from hello.responses import HEADERS

ROWS = """
  public
  one token, over and over
  20 tokens in turn
  20 tokens, once each
  forged signatures
  no token
  OpenSSL's verification alone, RS256/2048
  bare aiohttp's answer
  both: the limit
  this API, a token's full check
  RS256/2048
  RS256/4096
  PS512/4096
  start
  LOG_LEVEL=warning
  LOG_LEVEL=info
  1 worker
  2 workers
"""


def test_every_row_is_measured_and_no_answer_is_unexpected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, numbers = tmp_path / "curves.svg", tmp_path / "numbers.json"
    tiny = ["--quick", "--seconds", "0.05", "--rounds", "1", "--tokens", "20"]
    status = benchmark.main([*tiny, "--plot", str(plot), "--json", str(numbers)])
    printed = capsys.readouterr().out
    assert status == 0, printed
    for row in ROWS.strip("\n").split("\n"):
        assert f"\n{row} " in printed
    found = json.loads(numbers.read_text())
    assert set(found) >= {"ratios", "limit", "latency", "start", "access log", "workers"}
    assert len(found["curves"]) == len(benchmark.CURVES)
    ET.parse(plot)


def test_the_bare_server_sends_the_same_headers() -> None:
    """Else the ratios would compare two things."""
    assert servers._HEADERS == {**HEADERS, "Vary": "Origin"}
