"""Step `Reconcile mesh`: the only function that writes to App Mesh."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import reconcile_mesh

lambda_handler = entrypoint(reconcile_mesh.TASK)
