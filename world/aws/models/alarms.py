"""CloudWatch as far as alarms need it: datapoints by metric, statistics by period, and the state that an alarm takes. Pure.

Sources: AWS, "Using Amazon CloudWatch alarms" (evaluation periods, datapoints to alarm) and "Configuring how CloudWatch alarms treat missing data"
(evaluation range); the embedded metric format's specification. Extended statistics, metric math and anomaly bands are refused, not guessed.
"""

import json
import operator
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Document = dict[str, Any]
KEPT = 20_000  # datapoints of one metric
BEYOND = 2  # datapoints looked at beyond the evaluation periods: AWS's examples show a range of 5 for 3 periods of a minute
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTIC: dict[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Minimum": min,
    "Maximum": max,
    "SampleCount": len,
    "Average": lambda values: sum(values) / len(values),
}


class Metric(NamedTuple):
    """One metric; `dimensions` sorted, so that equal ones are equal."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()


class Datum(NamedTuple):
    """One measured value; `at` in seconds since the epoch."""

    metric: Metric
    at: float
    value: float
    unit: str = "None"


class Metrics:
    """Datapoints as they came."""

    def __init__(self) -> None:
        self._points: dict[Metric, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=KEPT))

    def put(self, datum: Datum) -> None:
        """Keep one."""
        self._points[datum.metric].append((datum.at, datum.value))

    def names(self) -> list[Metric]:
        """Metrics that ever had a value."""
        return sorted(metric for metric, points in self._points.items() if points)

    def points(self, metric: Metric) -> list[tuple[float, float]]:
        """(time, value), as they came."""
        return list(self._points.get(metric, ()))

    def periods(self, metric: Metric, statistic: str, period: float, count: int, until: float) -> list[float | None]:
        """The statistic of the last `count` whole periods that ended by `until`, newest last; None = no datapoint. Periods begin at multiples of themselves."""
        end = until // period * period
        found: list[list[float]] = [[] for _ in range(count)]
        for at, value in self._points.get(metric, ()):
            place = count - 1 - int((end - at - 1e-9) // period) if at < end else count
            if 0 <= place < count:
                found[place].append(value)
        return [_STATISTIC[statistic](values) if values else None for values in found]


def metric_of(alarm: Mapping[str, Any]) -> Metric:
    """What an alarm watches. Raises ValueError for one that is not of a single metric and plain statistic."""
    if alarm.get("Metrics") or alarm.get("Statistic") not in _STATISTIC or alarm.get("ComparisonOperator") not in _COMPARE:
        raise ValueError(f"alarm {alarm.get('AlarmName')}: only single metrics, plain statistics and fixed thresholds are modelled")
    dimensions = tuple(sorted((item["Name"], item["Value"]) for item in alarm.get("Dimensions") or ()))
    return Metric(alarm["Namespace"], alarm["MetricName"], dimensions)


def judge(alarm: Mapping[str, Any], metrics: Metrics, now: float) -> tuple[str, str]:
    """The state that an alarm takes at `now`, and CloudWatch's kind of reason for it."""
    periods = int(alarm["EvaluationPeriods"])
    values = metrics.periods(metric_of(alarm), alarm["Statistic"], float(alarm["Period"]), periods + BEYOND, now)
    return state_of(alarm, values)


def state_of(alarm: Mapping[str, Any], values: Sequence[float | None]) -> tuple[str, str]:
    """State and reason by the values of the evaluation range, newest last.

    Enough real values: the newest decide. Too few: all real ones decide together with as few missing ones as possible, treated as the alarm says.
    """
    needed = int(alarm["EvaluationPeriods"])
    enough = int(alarm.get("DatapointsToAlarm") or needed)
    treat = alarm.get("TreatMissingData") or "missing"
    real = [value for value in values if value is not None]
    chosen, lacking = real[-needed:], max(0, needed - len(real))
    if not chosen and treat == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {needed} datapoints were unknown."
    if lacking and treat == "ignore":
        return str(alarm.get("StateValue", "INSUFFICIENT_DATA")), "Current state retained: datapoints are missing."
    compare = _COMPARE[alarm["ComparisonOperator"]]
    bad = [value for value in chosen if compare(value, float(alarm["Threshold"]))]
    counted = len(bad) + (lacking if treat == "breaching" else 0)
    short = treat == "missing" and lacking and len(bad) == len(chosen)
    state = "ALARM" if counted >= enough or short else "OK"
    shown = ", ".join(f"{value:g}" for value in chosen) or "none"
    missing = f"; {lacking} missing, treated as {treat}" if lacking else ""
    beyond = f"{alarm['ComparisonOperator']} {float(alarm['Threshold']):g}"
    return (
        state,
        f"Threshold Crossed: {counted} of the last {needed} datapoints [{shown}{missing}] were {beyond}, {enough} are needed for ALARM.",
    )


def embedded(message: str, at: float) -> Iterator[Datum]:
    """The datapoints in a log line of the embedded metric format; none in any other line.

    Each set of `Dimensions` makes a metric of its own. `Timestamp` is not used: lines are taken in as they come, under the world's alarm clock.
    """
    if '"_aws"' not in message:
        return
    try:
        line = json.loads(message)
        directives = line["_aws"]["CloudWatchMetrics"]
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = tuple(sorted((name, str(line[name])) for name in names))
            for about in directive["Metrics"]:
                found = line.get(about["Name"], ())
                for value in found if isinstance(found, list) else [found]:
                    yield Datum(Metric(directive["Namespace"], about["Name"], dimensions), at, float(value), about.get("Unit", "None"))


def state_change(alarm: Mapping[str, Any], old: str, new: str, reason: str, time: str) -> Document:
    """The detail of an EventBridge event "CloudWatch Alarm State Change"."""
    metric = metric_of(alarm)
    stat = {
        "metric": {"namespace": metric.namespace, "name": metric.name, "dimensions": dict(metric.dimensions)},
        "period": int(alarm["Period"]),
        "stat": alarm["Statistic"],
    }
    return {
        "alarmName": alarm["AlarmName"],
        "state": {"value": new, "reason": reason, "timestamp": time},
        "previousState": {"value": old, "timestamp": time},
        "configuration": {"description": alarm.get("AlarmDescription", ""), "metrics": [{"id": "m1", "metricStat": stat, "returnData": True}]},
    }
