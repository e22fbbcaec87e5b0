"""Step `Observe cluster`: the pods of one cluster, complete or not at all."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import observe_cluster

lambda_handler = entrypoint(observe_cluster.Request, observe_cluster.run)
