"""What do the tests of the log share: a flush that waits until all is written."""

import pytest


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, the thread that writes the log may not get a turn within a second."""
    monkeypatch.setattr("hello.logs.writing._FLUSH_SECONDS", 30)
