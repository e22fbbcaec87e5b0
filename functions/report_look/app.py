"""Step `Report look`: a look that failed leaves a line that `status` shows."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import report_look

lambda_handler = entrypoint(report_look.TASK)
