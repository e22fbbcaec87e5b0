"""Step `Diagnose canary`: name the first broken thing on the path, with evidence and
remediation.
"""

from crossmesh.runtime import entrypoint
from crossmesh.steps import diagnose_canary

lambda_handler = entrypoint(diagnose_canary.TASK)
