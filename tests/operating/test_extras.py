"""Does an application of one's own learn in one line what it lacks, and what it forgot to call?"""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from packaging.requirements import Requirement
from prometheus_client import CollectorRegistry

from hello.auth.protection import observe
from hello.operating import metrics, series
from hello.operating.audit_file import AuditFile
from hello.operating.extras import needs
from hello.operating.tracing import trace_requests
from support.naming import naming

# As where a library is not installed.
WITHOUT = """
import sys
sys.modules[{missing!r}] = None
try:
    import {module}
except ModuleNotFoundError as error:
    assert error.__suppress_context__
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "missing", "package"),
    [
        ("hello.operating.metrics", "prometheus_client", "prometheus-client"),
        ("hello.operating.series", "prometheus_client", "prometheus-client"),
        (
            "hello.operating.tracing",
            "opentelemetry.instrumentation.aiohttp_server",
            "opentelemetry-instrumentation-aiohttp-server",
        ),
    ],
)
def test_a_library_that_is_missing_is_named_with_what_to_install(
    module: str, missing: str, package: str
) -> None:
    code = WITHOUT.format(missing=missing, module=module)
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    [line] = ran.stdout.splitlines()
    assert line.endswith(f"python -m pip install {package}")
    assert missing in line
    assert not re.search(r"hello.aiohttp", line), "anybody could register that name"


def test_what_is_missing_in_this_process_is_named_too() -> None:
    missing = r"no_such_library .*install a 'b>=1'$"
    with pytest.raises(ModuleNotFoundError, match=missing) as raised, needs("a", "'b>=1'"):
        importlib.import_module("no_such_library")
    assert raised.value.name == "no_such_library"


def test_another_error_of_an_import_is_left_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), needs("zero"):
        _ = 1 / 0


def test_each_message_names_packages_by_which_pip_finds_them() -> None:
    found = []
    for path in Path(series.__file__).parents[1].rglob("*.py"):
        found += re.findall(r"""(?:needs\("|pip install ')([a-z][^"']*)["']""", path.read_text())
    assert len(found) >= 4
    assert {Requirement(each).name for each in found} >= {"prometheus-client", "redis"}
    assert not any(each.startswith("hello") for each in found)


def test_who_watches_too_early_is_told_what_to_call_first() -> None:
    for call in (trace_requests, lambda app: observe(app, print)):
        with pytest.raises(RuntimeError, match=naming("auth.setup")):
            call(web.Application())


def test_a_folder_that_is_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "none", "", Path(__file__)):
        monkeypatch.setenv(series.MULTIPROCESS, str(folder))
        with pytest.raises(RuntimeError, match=series.MULTIPROCESS):
            metrics.setup(web.Application(), registry=CollectorRegistry())
    monkeypatch.setenv(series.MULTIPROCESS, str(tmp_path))
    metrics.setup(web.Application(), registry=CollectorRegistry())


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        AuditFile(str(tmp_path / "none" / "audit"))
    with pytest.raises(IsADirectoryError):
        AuditFile(str(tmp_path))
