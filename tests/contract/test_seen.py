"""What people see when something is wrong: alarms that say what to do, a dashboard that draws what is measured, a runbook that has each alarm."""

import argparse
import json
import re
from itertools import combinations
from typing import Any

import msgspec
import pytest
from crossmesh.cli.verbs import parser
from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.split_test import CanaryRun
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.reporting.report import Report
from crossmesh.telemetry import NAMESPACE, EmbeddedMetrics, canary_values, deployment_values, judged_fields, unit_of

from tests.support.alarms import ALARMS, alarm_name
from tests.support.template_resources import MACHINES, RESOURCES
from world.deploy import ROOT

COMPOSITE = RESOURCES["Unwell"]["Properties"]
RUNBOOK = (ROOT / "docs" / "how-to" / "respond-to-an-alarm.md").read_text()
VENDED = {  # AWS's own, by the documentation of each service; they cost nothing
    "AWS/States": {"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionTime"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    "AWS/Lambda": {"Invocations", "Duration"},
}
VERDICT = Verdict(
    canary="c", kind="failed", at=9.0, says="", requests=4, p95_ms=2.0, counts={"a": 3, "b": 1}, expected={"a": "1/2", "b": "1/2"}
)
MEASURED = {  # with their dimensions
    ("deployment",): {
        *deployment_values(Report(id="r", kind="quiet", at=0.0, config="c")),
        *deployment_values(Report(id="r", kind="failed", at=0.0, config="c")),
    },
    ("canary", "deployment"): set(canary_values(VERDICT, CanaryHistory(failures=2, last_good=1.0))),
}


def verbs() -> set[str]:
    """Every verb of the command line, those of `canary` as "canary run"."""
    found: set[str] = set()

    def walk(parser: argparse.ArgumentParser, before: str) -> None:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    found.add(before + name)
                    walk(inner, f"{before}{name} ")

    walk(parser(), "")
    return found


def dashboard() -> dict[str, Any]:
    """The body as it is deployed, with names in place of references."""
    text, variables = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert set(variables) == {"Silent"}
    text = text.replace("${Silent}", variables["Silent"]["Fn::If"][1]["Fn::Sub"]).replace("${LagAlarmSeconds}", "120")
    found: dict[str, Any] = json.loads(re.sub(r"\$\{([^!}][^}]*)\}", r"\1", text))
    return found


def commands(text: str) -> set[str]:
    return set(re.findall(r"crossmesh ((?:canary )?[a-z]+)", text))


@pytest.mark.parametrize("resource", sorted(ALARMS))
def test_an_alarm_says_what_it_costs_and_names_a_first_command_that_exists(resource: str) -> None:
    told = " ".join(ALARMS[resource]["AlarmDescription"].split())
    what, _, first = told.partition(" First: ")
    assert first.startswith("crossmesh "), "the first thing to do is a command"
    assert 80 < len(what) < len(told) <= 1024, "an alarm's description holds 1,024 characters"
    assert commands(first) <= verbs()
    assert any(word in what.lower() for word in ("request", "users", "traffic", "pods", "registry")), "what it costs those who are served"


@pytest.mark.parametrize("resource", sorted(ALARMS))
def test_an_alarm_mails_when_it_fires_and_when_it_clears_and_has_its_place_in_the_runbook(resource: str) -> None:
    properties = ALARMS[resource]
    assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "Alarms"}]
    place = f" Runbook: docs/how-to/respond-to-an-alarm.md#{alarm_name(resource)}."
    assert properties["AlarmDescription"].strip().endswith(place), "the mail names its section"
    assert f"\n## {alarm_name(resource)}\n" in RUNBOOK, f"the runbook has no section for {alarm_name(resource)}"
    if properties["TreatMissingData"] == "missing":
        assert properties["InsufficientDataActions"] == [{"Ref": "Alarms"}], "silence is told as well"
    assert properties["TreatMissingData"] != "breaching", "would fire on every fresh install, before the first datapoint"


def test_the_composite_names_every_alarm_and_the_runbook_no_other() -> None:
    text, variables = COMPOSITE["AlarmRule"]["Fn::Sub"]
    named = set(re.findall(r"\$\{(\w+Alarm)\}", text + variables["Silent"]["Fn::If"][1]["Fn::Sub"]))
    assert named == set(ALARMS)
    assert set(re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)) == {alarm_name(resource) for resource in ALARMS}


def test_every_command_that_runbook_and_dashboard_name_exists() -> None:
    texts = (RUNBOOK, *(w["properties"]["markdown"] for w in dashboard()["widgets"] if w["type"] == "text"))
    named = {word for text in texts for word in re.findall(r"`?crossmesh ((?:canary )?[a-z]+)", text)}
    quoted = {word for word in named if re.search(rf"(`crossmesh {word}|^crossmesh {word})", "\n".join(texts), re.MULTILINE)}
    assert quoted <= verbs()
    assert {"status", "canary history", "trace", "explain"} <= quoted


def measured(namespace: str, name: str, dimensions: tuple[str, ...]) -> bool:
    if namespace == NAMESPACE:
        return name in MEASURED.get(tuple(sorted(dimensions)), set())
    return name in VENDED.get(namespace, set())


@pytest.mark.parametrize("resource", sorted(ALARMS))
def test_an_alarm_watches_what_is_measured(resource: str) -> None:
    about = ALARMS[resource]
    assert measured(about["Namespace"], about["MetricName"], tuple(d["Name"] for d in about["Dimensions"]))


def drawn() -> list[tuple[str, str, tuple[str, ...]]]:
    found = []
    for widget in dashboard()["widgets"]:
        for item in widget["properties"].get("metrics", ()):
            if isinstance(item[0], dict):
                schema, name = re.findall(r"\{([^}]+)\}.*MetricName=\"(\w+)\"", item[0]["expression"])[0]
                namespace, *dimensions = schema.split(",")
                found.append((namespace, name, tuple(dimensions)))
            else:
                namespace, name, *rest = [part for part in item if isinstance(part, str)]
                found.append((namespace, name, tuple(rest[::2])))
    return found


def test_the_dashboard_draws_only_what_is_measured_and_all_that_alarms_watch() -> None:
    assert [metric for metric in drawn() if not measured(*metric)] == []
    names = {name for _, name, _ in drawn()}
    free = {"MeshUnavailable"}  # drawn by their alarms' states
    assert {a["MetricName"] for a in ALARMS.values()} - free <= names


def test_the_dashboard_is_built_as_cloudwatch_wants_it() -> None:
    """CloudWatch's "Dashboard body structure and syntax": a grid of 24, known types, what each type must have."""
    body = dashboard()
    assert set(body) <= {"start", "end", "periodOverride", "widgets"}
    must = {"text": {"markdown"}, "alarm": {"alarms"}, "metric": {"metrics", "region"}, "log": {"query", "region"}}
    may = {
        "text": {"background"},
        "alarm": {"title", "sortBy", "states"},
        "metric": {"title", "view", "stat", "period", "yAxis", "annotations", "stacked", "legend", "liveData"},
        "log": {"title", "view", "stacked"},
    }
    cells: list[tuple[int, set[tuple[int, int]]]] = []
    for number, widget in enumerate(body["widgets"]):
        kind, properties = widget["type"], set(widget["properties"])
        assert must[kind] <= properties <= must[kind] | may[kind], (number, properties)
        x, y, width, height = (widget[key] for key in ("x", "y", "width", "height"))
        assert 0 <= x < x + width <= 24
        assert 0 <= y < y + height <= 100
        cells.append((number, {(column, row) for column in range(x, x + width) for row in range(y, y + height)}))
        assert all(isinstance(item, list) for item in widget["properties"].get("metrics", ()))
        assert widget["properties"].get("view") in (None, "timeSeries", "singleValue", "bar", "table")
    assert [(a, b) for (a, one), (b, two) in combinations(cells, 2) if one & two] == [], "widgets overlap"
    shown = next(w for w in body["widgets"] if w["type"] == "alarm")["properties"]["alarms"]
    assert {arn.removesuffix(".Arn") for arn in shown} == set(ALARMS)
    assert {name for name in MACHINES if any(name in str(item) for w in body["widgets"] for item in w["properties"].get("metrics", ()))} == set(
        MACHINES
    )


def test_failures_in_a_row_have_values_only_from_a_failure_to_the_recovery() -> None:
    good = Verdict(canary="c", kind="good", at=9.0, says="")
    before, after = (
        CanaryHistory(rounds=(CanaryRun(at=1.0), CanaryRun(at=2.0))),
        CanaryHistory(rounds=(CanaryRun(at=1.0, good=False), CanaryRun(at=2.0))),
    )
    assert "CanaryConsecutiveFailures" not in canary_values(good, before)
    assert canary_values(good, after)["CanaryConsecutiveFailures"] == 0
    assert canary_values(VERDICT, CanaryHistory(failures=2, last_good=1.0)) == {"CanaryConsecutiveFailures": 2}


def test_every_metric_of_ours_is_watched_by_an_alarm_or_drawn() -> None:
    ours = {a["MetricName"] for a in ALARMS.values() if a["Namespace"] == NAMESPACE} | {n for space, n, _ in drawn() if space == NAMESPACE}
    assert {name for names in MEASURED.values() for name in names} == ours


@pytest.mark.parametrize("name", sorted({name for names in MEASURED.values() for name in names} | {"P95Milliseconds", "ErrorPercent"}))
def test_a_metric_has_the_unit_that_its_name_says(name: str) -> None:
    said = re.search(r"(Milliseconds|Seconds|Percent)$", name)
    assert unit_of(name).value == (said[1] if said else "Count")


def test_metrics_are_sent_with_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    EmbeddedMetrics("stack").report(Report(id="r", kind="quiet", at=1.0, config="c", lag=2.5))
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    units = {metric["Name"]: metric["Unit"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert (units["ConvergenceLagSeconds"], units["Endpoints"]) == ("Seconds", "Count")
    assert {name for name, unit in units.items() if unit != "Count"} == {"ConvergenceLagSeconds"}


def test_a_good_run_after_a_good_one_costs_no_metric_and_is_logged() -> None:
    good = msgspec.structs.replace(VERDICT, kind="good")
    assert canary_values(good, CanaryHistory(rounds=(CanaryRun(at=1.0), CanaryRun(at=2.0)))) == {}
    assert judged_fields(good) == {"canary": "c", "kind": "good", "requests": 4, "p95_ms": 2.0, "mix_error_percent": 25.0}


LANGUAGE = {"filter", "fields", "stats", "by", "max", "bin", "or", "and", "coalesce", "concat", "m"}  # words of Logs Insights


def test_what_the_dashboard_asks_of_logs_is_logged() -> None:
    # what the function's own logger writes, and what Lambda does about an error, a crash or a timeout under LogFormat JSON
    logged = {*judged_fields(VERDICT), "message", "level", "correlation_id", "exception_name", "@timestamp"}
    logged |= {"errorMessage", "errorType", "type", "record.status"}
    queries = [w["properties"]["query"] for w in dashboard()["widgets"] if w["type"] == "log"]
    assert len(queries) == 3
    for query in queries:
        plain = re.sub(r"'[^']*'|\bas \w+|SOURCE|\| (?:sort|limit) .*", " ", query)
        names = {*re.findall(r"@?[A-Za-z_][\w.]*", plain)} - LANGUAGE
        assert names
        assert names <= logged, query
