"""Step `Probe front`: ask the front load balancer as a user would, a bounded number of times."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import probe_front

lambda_handler = entrypoint(probe_front.TASK)
