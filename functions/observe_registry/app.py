"""Step `Observe registry`: every instance of every Cloud Map service concerned."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import observe_registry

lambda_handler = entrypoint(observe_registry.Request, observe_registry.run)
