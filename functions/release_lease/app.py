"""Step `Release lease`: give the right to write back, or go once more."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import release_lease

lambda_handler = entrypoint(release_lease.TASK)
