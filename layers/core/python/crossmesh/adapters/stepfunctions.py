"""Executions of our state machines, as far as the lease must know them."""

from crossmesh.adapters import aws
from crossmesh.errors import NotFound


class StepFunctions:
    """Implements `ports.Executions`."""

    def __init__(self, region: str) -> None:
        # Who gets no answer takes the holder for alive
        self._client = aws.client("stepfunctions", region, attempts=1, patience=3.0)

    def running(self, arn: str) -> bool:
        """Whether the execution is RUNNING."""
        try:
            with aws.translated():
                return bool(self._client.describe_execution(executionArn=arn)["status"] == "RUNNING")
        except NotFound:
            return False
