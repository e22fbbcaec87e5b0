"""Step `Open gates`: the only function that writes to a cluster, and only a pod's readiness
gate.
"""

from crossmesh.runtime import entrypoint
from crossmesh.steps import open_gates

lambda_handler = entrypoint(open_gates.TASK)
