"""Step `Verify registry`: prove the end state by discovery."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import verify_registry

lambda_handler = entrypoint(verify_registry.TASK)
