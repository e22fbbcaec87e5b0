"""The one logger and the one set of metrics. Log lines are events with keys; tokens and credentials never pass through here."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from crossmesh.core.report import Report

logger = Logger(service="crossmesh")
metrics = Metrics(namespace="crossmesh", service="crossmesh")


def count_report(report: Report, deployment: str) -> None:
    """EMF metrics of a look or run: what the alarms and the dashboard read."""
    metrics.add_dimension(name="deployment", value=deployment)
    metrics.add_metric(name="Endpoints", unit=MetricUnit.Count, value=report.endpoints)
    metrics.add_metric(name="Registered", unit=MetricUnit.Count, value=report.registered)
    metrics.add_metric(name="UnseenClusters", unit=MetricUnit.Count, value=sum(1 for line in report.clusters if line.cause))
    metrics.add_metric(name="WithheldActions", unit=MetricUnit.Count, value=sum(report.withheld_counts.values()) + report.mesh_withheld)
    metrics.add_metric(name="PendingActions", unit=MetricUnit.Count, value=report.adds + report.removals + report.mesh_actions)
    metrics.add_metric(name="FailedRuns", unit=MetricUnit.Count, value=1 if report.kind == "failed" else 0)
    metrics.add_metric(name="MeshUnavailable", unit=MetricUnit.Count, value=1 if report.mesh_unavailable else 0)


def event(name: str, **keys: Any) -> None:
    """One log event."""
    logger.info(name, extra=keys)
