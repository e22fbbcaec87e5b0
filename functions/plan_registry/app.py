"""Step `Plan registry`: decide; its role reads and writes the run store and nothing else."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import plan_registry

lambda_handler = entrypoint(plan_registry.Request, plan_registry.run)
