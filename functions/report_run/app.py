"""Step `Report run`: memory, journal and metrics, on success and on failure."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import report_run

lambda_handler = entrypoint(report_run.TASK)
