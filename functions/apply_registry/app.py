"""Step `Apply registry`: the only function that writes to Cloud Map."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import apply_registry

lambda_handler = entrypoint(apply_registry.TASK)
