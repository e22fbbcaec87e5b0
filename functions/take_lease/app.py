"""Step `Take lease`: become the one writer, or ask the one there is to go once more."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import take_lease

lambda_handler = entrypoint(take_lease.TASK)
