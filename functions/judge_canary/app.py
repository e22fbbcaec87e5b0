"""Step `Judge canary`: compare what came with what the routes promise."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import judge_canary

lambda_handler = entrypoint(judge_canary.TASK)
