"""Step `List canaries`: which canaries this execution is about."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import list_canaries

lambda_handler = entrypoint(list_canaries.TASK)
