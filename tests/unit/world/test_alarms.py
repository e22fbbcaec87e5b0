"""Alarms as AWS documents them: periods, M of N, missing data; and datapoints out of log lines."""

import json
from typing import Any

import pytest

from world.aws.models.alarms import Datum, Metric, Metrics, embedded, judge, metric_of, state_change, state_of

METRIC = Metric("crossmesh", "Failures", (("deployment", "x"),))


def alarm(**changes: Any) -> dict[str, Any]:
    return {
        "AlarmName": "x-failures",
        "Namespace": "crossmesh",
        "MetricName": "Failures",
        "Dimensions": [{"Name": "deployment", "Value": "x"}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
        "StateValue": "OK",
        **changes,
    }


# AWS's table of "Configuring how CloudWatch alarms treat missing data" for 3 out of 3: 0 = within, X = breaching, - = missing; states in the order
# missing, ignore (from OK), breaching, notBreaching
@pytest.mark.parametrize(
    ("values", "states"),
    [
        ("0-X-X", ("OK", "OK", "OK", "OK")),
        ("00000", ("OK", "OK", "OK", "OK")),
        ("-----", ("INSUFFICIENT_DATA", "OK", "ALARM", "OK")),
        ("0XX-X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        ("--X--", ("ALARM", "OK", "ALARM", "OK")),
    ],
)
def test_missing_data_is_treated_as_the_table_of_aws_says(values: str, states: tuple[str, ...]) -> None:
    read = [{"0": 0.0, "X": 1.0, "-": None}[value] for value in values]
    found = tuple(state_of(alarm(TreatMissingData=treat), read)[0] for treat in ("missing", "ignore", "breaching", "notBreaching"))
    assert found == states


@pytest.mark.parametrize(
    ("values", "expected"), [([0, 0, 1, 0, 1], "ALARM"), ([1, 1, 0, 0, 1], "OK"), ([None, None, 1, None, None], "OK"), ([0, 1, 1, 0, 0], "OK")]
)
def test_m_of_n_counts_among_the_newest(values: list[float | None], expected: str) -> None:
    assert state_of(alarm(DatapointsToAlarm=2, TreatMissingData="notBreaching"), values)[0] == expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("GreaterThanThreshold", 2, "OK"),
        ("GreaterThanOrEqualToThreshold", 2, "ALARM"),
        ("LessThanThreshold", 2, "OK"),
        ("LessThanOrEqualToThreshold", 2, "ALARM"),
    ],
)
def test_each_comparison_at_the_threshold(comparison: str, value: float, expected: str) -> None:
    assert state_of(alarm(EvaluationPeriods=1, Threshold=2, ComparisonOperator=comparison), [value])[0] == expected


def test_periods_are_whole_aligned_and_end_before_now() -> None:
    metrics = Metrics()
    for at, value in ((59.0, 1.0), (60.0, 2.0), (119.0, 4.0), (120.0, 8.0), (130.0, 16.0)):
        metrics.put(Datum(METRIC, at, value))
    assert metrics.periods(METRIC, "Sum", 60, 3, 125.0) == [None, 1.0, 6.0], "the minute that has begun is not over"
    assert metrics.periods(METRIC, "Sum", 60, 3, 180.0) == [1.0, 6.0, 24.0]
    assert metrics.periods(METRIC, "Maximum", 60, 1, 180.0) == [16.0]
    assert metrics.periods(METRIC, "Minimum", 60, 1, 120.0) == [2.0]
    assert metrics.periods(METRIC, "Average", 60, 1, 120.0) == [3.0]
    assert metrics.periods(METRIC, "SampleCount", 60, 1, 120.0) == [2.0]
    assert metrics.periods(METRIC._replace(dimensions=()), "Sum", 60, 1, 180.0) == [None], "other dimensions are another metric"


def test_an_alarm_fires_and_clears_with_its_own_metric() -> None:
    metrics = Metrics()
    watch = alarm(TreatMissingData="notBreaching", DatapointsToAlarm=2)
    states = []
    for minute in range(12):
        metrics.put(Datum(METRIC, minute * 60 + 1.0, 1.0 if 3 <= minute < 6 else 0.0))
        states.append(judge(watch, metrics, (minute + 1) * 60.0)[0])
    assert states == ["OK"] * 4 + ["ALARM"] * 3 + ["OK"] * 5


def test_datapoints_come_out_of_the_embedded_metric_format_of_our_own_telemetry(capsys: pytest.CaptureFixture[str]) -> None:
    from crossmesh.core.reporting.report import Report
    from crossmesh.telemetry import EmbeddedMetrics

    EmbeddedMetrics("stack").report(Report(id="r", kind="failed", at=0.0, config="c"))
    data = [datum for line in capsys.readouterr().out.splitlines() for datum in embedded(line, 5.0)]
    found = {datum.metric: datum.value for datum in data}
    assert found[Metric("crossmesh", "Failures", (("deployment", "stack"),))] == 1.0
    assert {datum.at for datum in data} == {5.0}


@pytest.mark.parametrize("line", ["", "START RequestId: x", '{"message": "x"}', '"_aws"', '{"_aws": 3}', '{"_aws": {}}'])
def test_other_log_lines_carry_no_metrics(line: str) -> None:
    assert list(embedded(line, 0.0)) == []


def test_several_dimension_sets_and_values_are_several_datapoints() -> None:
    about = {"Namespace": "n", "Dimensions": [["a"], ["a", "b"]], "Metrics": [{"Name": "m", "Unit": "Count"}]}
    line = json.dumps({"_aws": {"CloudWatchMetrics": [about]}, "a": "1", "b": "2", "m": [3, 4]})
    assert [(d.metric.dimensions, d.value) for d in embedded(line, 0.0)] == [
        ((("a", "1"),), 3.0),
        ((("a", "1"),), 4.0),
        ((("a", "1"), ("b", "2")), 3.0),
        ((("a", "1"), ("b", "2")), 4.0),
    ]


@pytest.mark.parametrize("change", [{"Statistic": None, "ExtendedStatistic": "p99"}, {"Metrics": [{"Id": "m"}]}, {"ComparisonOperator": "x"}])
def test_what_is_not_modelled_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="x-failures"):
        metric_of(alarm(**change))


def test_the_event_of_a_state_change_names_alarm_states_and_metric() -> None:
    detail = state_change(alarm(AlarmDescription="told"), "OK", "ALARM", "why", "2026-11-25T00:00:00.000+0000")
    assert (detail["alarmName"], detail["state"]["value"], detail["previousState"]["value"]) == ("x-failures", "ALARM", "OK")
    assert detail["configuration"]["metrics"][0]["metricStat"]["metric"] == {
        "namespace": "crossmesh",
        "name": "Failures",
        "dimensions": {"deployment": "x"},
    }
