"""Do the dashboard and the alerts name what there is, and does each alert fire when it should?"""

import json
import re
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hello.operating.series import Series
from support.pages import PROJECT, example, rows
from support.promtool import NEEDS_PROMTOOL, promtool

PAGE = "hello/docs/health-and-metrics.md"
DOCS = PROJECT / "hello/docs"
ALERTS = (DOCS / "alerts.yaml").read_text("utf-8")
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))
CASES = Path(__file__).with_name("alerts_test.yaml")

TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
QUERIES = [target["expr"] for target in TARGETS]
EXPRESSIONS = re.findall(r"expr: \|\n((?: {10}.*\n)+)", ALERTS)

_ENDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def known() -> dict[str, tuple[str, ...]]:
    """The labels of each series that is shown, by its name."""
    registry = CollectorRegistry()
    series = vars(Series(registry)).values()
    return {
        f"{metric._name}{end}": metric._labelnames + (("le",) if end == "_bucket" else ())
        for metric in series
        for end in _ENDS[metric._type]
    }


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bhello_\w+", expression))


def test_the_page_lists_every_metric_with_its_labels() -> None:
    registry = CollectorRegistry()
    there = {
        metric._name + ("_total" if metric._type == "counter" else ""): metric._labelnames
        for metric in vars(Series(registry)).values()
    }
    listed = {
        name.strip("`"): tuple(re.findall(r"\w+", labels))
        for name, labels, _ in rows(PAGE, "metrics")
    }
    assert listed == there


@pytest.mark.parametrize("expression", QUERIES + EXPRESSIONS)
def test_only_metrics_that_there_are_are_named_and_their_labels(expression: str) -> None:
    series = known()
    names = names_in(expression)
    assert names
    assert names <= {*series}
    labels = {"job", "instance", *chain.from_iterable(series[name] for name in names)}
    grouped = chain.from_iterable(
        group.split(",") for group in re.findall(r"\b(?:by|on) \(([^()]*)\)", expression)
    )
    compared = re.findall(r"(\w+)(?:=~|!=|=)\"", expression)
    assert {name.strip() for name in (*grouped, *compared)} <= labels


def test_every_metric_is_in_the_dashboard() -> None:
    shown = set().union(*map(names_in, QUERIES))
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown}
    assert bases == {row[0].strip("`") for row in rows(PAGE, "metrics")}


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert [each["name"] for each in DASHBOARD["templating"]["list"]] == ["datasource", "job"]
    assert DASHBOARD["title"]


def test_the_page_says_what_to_do_about_each_alert() -> None:
    named = re.findall(r"alert: (\w+)", ALERTS)
    assert len(named) == len(EXPRESSIONS) == 7
    assert [row[0].strip("`") for row in rows(PAGE, "alerts")] == named
    cases = CASES.read_text("utf-8")
    assert set(re.findall(r"alertname: (\w+)", cases)) == set(named)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(DOCS / "alerts.yaml", tmp_path)
    shutil.copy(CASES, tmp_path)
    (tmp_path / "prometheus.yml").write_text(example(PAGE, "scrape"))
    return tmp_path


@NEEDS_PROMTOOL
def test_prometheus_accepts_the_rules_and_the_configuration(folder: Path) -> None:
    for arguments in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yml"]):
        status, said = promtool(folder, *arguments)
        assert status == 0, said
        assert "7 rules found" in said


@NEEDS_PROMTOOL
def test_each_alert_fires_when_it_should_and_only_then(folder: Path) -> None:
    status, said = promtool(folder, "test", "rules", CASES.name)
    assert status == 0, said


@NEEDS_PROMTOOL
@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (" > 600", " > 6000"),
        ('state="missing"', 'state="fresh"'),
        ('result="failure"', 'result="success"'),
        ("signature|unknown_key", "expired|unknown_key"),
        ("[5m])) > 1", "[5m])) > 100"),
        ('status=~"5.."', 'status=~"2.."'),
        ('status=~"5..", route!="/readyz"', 'status=~"5.."'),
        (", route!~", ", method!~"),
        ('status!~"4.."', 'status!~"2.."'),
        ("-|/livez|", "/livez|"),
        ("-|/livez|", "-|"),
        ("> 0.5", "> 5"),
        ("> 0.5", "> 0.1"),
        ("> 0.01", "> 0.001"),
        ("hello_auth_ready == 0", "hello_auth_ready == 2"),
        ("and on (source)", "or on (source)"),
        ("absent(hello_auth_ready)", "absent(up)"),
        ('up{job="hello-api"} == 0', 'up{job="hello-api"} == 2'),
        ("|issued_at", "|issuer"),
        ('reason="expired"', 'reason="expiry"'),
        ('outcome="allowed"', 'outcome="refused"'),
        (") > 0.1\n          unless", ") > -1\n          unless"),
        (") > 0.1\n          and", ") > -1\n          and"),
        ("unless on (instance) sum by (instance)", "unless on () sum"),
        ('result="failure"}[10m]', 'result="unknown"}[10m]'),
        ("and on (instance) max_over_time", "or on (instance) max_over_time"),
        ("[15m:1m]", "[1m:1m]"),
        ("> 60\n", "> -6000\n"),
        ("> 60\n", "> 6000\n"),
        ('result="unavailable"', 'result="replayed"'),
        ("hello_log_lost_lines_total[10m])) > 0", "hello_log_lost_lines_total[10m])) > 9"),
        ('result!="recorded"', 'result="recorded"'),
    ],
)
def test_the_cases_notice_a_rule_that_is_wrong(folder: Path, there: str, instead: str) -> None:
    assert there in ALERTS
    (folder / "alerts.yaml").write_text(ALERTS.replace(there, instead))
    status, said = promtool(folder, "test", "rules", CASES.name)
    assert status != 0, said
