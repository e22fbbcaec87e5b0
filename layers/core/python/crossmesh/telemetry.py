"""The one logger, and metrics as CloudWatch's embedded format: a log line each, no call. Tokens and credentials never pass through here."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from crossmesh.core.canary import Memory, Verdict
from crossmesh.core.report import Report

NAMESPACE = "crossmesh"
logger = Logger(service="crossmesh")


class EmbeddedMetrics:
    """Implements `ports.Telemetry`. Dimension `deployment` is the stack; canaries have `canary` beside it."""

    def __init__(self, stack: str) -> None:
        self._stack = stack

    def report(self, report: Report) -> None:
        """Counts of a look or run."""
        failed = 1 if report.kind == "failed" else 0
        self._send(
            {
                "Endpoints": report.endpoints,
                "Registered": report.registered,
                "UnseenClusters": sum(1 for line in report.clusters if line.cause),
                "WithheldActions": sum(report.withheld_counts.values()) + report.mesh_withheld,
                "PendingActions": report.adds + report.removals + report.mesh_actions,
                "Failures": failed,
                "MeshUnavailable": 1 if report.mesh_unavailable else 0,
            }
        )

    def verdict(self, verdict: Verdict, memory: Memory) -> None:
        """Success, failures in a row, seconds since success, latency."""
        since = verdict.at - memory.last_good if memory.last_good else 0.0
        values = {
            "CanarySuccess": 1.0 if verdict.kind == "good" else 0.0,
            "CanaryConsecutiveFailures": memory.failures,
            "CanarySecondsSinceSuccess": round(since, 1),
            "CanaryP95Milliseconds": verdict.p95_ms,
        }
        self._send(values, {"canary": verdict.canary})

    def _send(self, values: Mapping[str, float], dimensions: Mapping[str, str] | None = None) -> None:
        """One line with all values."""
        (name, value), *others = values.items()
        with single_metric(name=name, unit=MetricUnit.Count, value=value, namespace=NAMESPACE) as metric:
            metric.add_dimension(name="deployment", value=self._stack)
            for key, item in (dimensions or {}).items():
                metric.add_dimension(name=key, value=item)
            for other, amount in others:
                metric.metric_set[other] = {"Unit": MetricUnit.Count.value, "StorageResolution": 60, "Value": [float(amount)]}


def event(name: str, **keys: Any) -> None:
    """One log event."""
    logger.info(name, extra=keys)
