"""The one logger, and metrics as CloudWatch's embedded format: a log line each, no call. Tokens and
credentials never pass through here.

A metric costs by the hour in which it has a value, so what says nothing while all is well has none
then (docs/reference/costs.md).
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from crossmesh.core.canary.history import CanaryHistory
from crossmesh.core.canary.split_test import mix_error
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.reporting.report import Report

NAMESPACE = "crossmesh"
_UNITS = {"Milliseconds": MetricUnit.Milliseconds, "Seconds": MetricUnit.Seconds, "Percent": MetricUnit.Percent}
logger = Logger(service="crossmesh")


class EmbeddedMetrics:
    """Implements `ports.Telemetry`. Dimension `deployment` is the stack; canaries have `canary`
    beside it.
    """

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def report(self, report: Report) -> None:
        """Counts of a look or run; one that failed knows only that."""
        self._send(deployment_values(report))

    def verdict(self, verdict: Verdict, memory: CanaryHistory) -> None:
        """One canary's run: always a log event, which the dashboard draws from; metrics while they
        say something.
        """
        event("canary.judged", **judged_fields(verdict))
        self._send(canary_values(verdict, memory), {"canary": verdict.canary})

    def _send(self, values: Mapping[str, float], dimensions: Mapping[str, str] | None = None) -> None:
        """One line with all values."""
        if not values:
            return
        (name, value), *others = values.items()
        with single_metric(name=name, unit=unit_of(name), value=value, namespace=NAMESPACE) as metric:
            metric.add_dimension(name="deployment", value=self._stack)
            for key, item in (dimensions or {}).items():
                metric.add_dimension(name=key, value=item)
            for other, amount in others:
                metric.metric_set[other] = {
                    "Unit": unit_of(other).value,
                    "StorageResolution": 60,
                    "Value": [float(amount)],
                }


def unit_of(name: str) -> MetricUnit:
    """The unit that a metric's name ends in; any other metric is a count."""
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), MetricUnit.Count)


def deployment_values(report: Report) -> dict[str, float]:
    """Metrics of a look or run. What waits on purpose (Mode observe, a pause) is not pending; of a
    run, what it could not prove is.
    """
    if report.kind == "failed":
        return {"Failures": 1}
    planned = report.adds + report.removals + report.health + report.gates + report.mesh_actions
    pending = {"quiet": planned, "apply": planned, "applied": report.failed}.get(report.kind, 0)
    values: dict[str, float] = {
        "Failures": 0,
        "Endpoints": report.endpoints,
        "Registered": report.registered,
        "UnseenClusters": sum(1 for line in report.clusters if line.cause),
        "WithheldActions": sum(report.withheld_counts.values()) + report.mesh_withheld,
        "PendingActions": pending,
        "StaleInstances": report.stale,
        "MeshUnavailable": 1 if report.mesh_unavailable else 0,
    }
    if report.lag >= 0 or report.kind == "quiet":
        values["ConvergenceLagSeconds"] = max(0.0, report.lag)  # nothing to do: nobody waits
    return values


def judged_fields(verdict: Verdict) -> dict[str, str | float]:
    """What is logged of every canary's run."""
    error = mix_error(verdict.counts, verdict.expected)
    return {
        "canary": verdict.canary,
        "kind": verdict.kind,
        "requests": verdict.requests,
        "p95_ms": verdict.p95_ms,
        "mix_error_percent": error,
    }


def canary_values(verdict: Verdict, memory: CanaryHistory) -> dict[str, float]:
    """Metrics of a canary's run, from the first failure to the recovery.

    AWS counts for nothing that all is well (executions that succeeded). Latency and mix are drawn
    from the log.
    """
    good = verdict.kind == "good"
    recovered = len(memory.rounds) > 1 and not memory.rounds[-2].good
    if good and not recovered:
        return {}
    return {"CanaryConsecutiveFailures": memory.failures}


def event(name: str, **keys: Any) -> None:
    """One log event."""
    logger.info(name, extra=keys)
