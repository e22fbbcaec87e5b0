"""Step `Look`: observe everything, plan, and say whether a run is needed; writes nothing to what it
observes.
"""

from crossmesh.runtime import entrypoint
from crossmesh.steps import look

lambda_handler = entrypoint(look.TASK)
