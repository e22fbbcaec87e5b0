"""Step `Open ports`: open the listener ports between clusters, where the settings say so."""

from crossmesh.runtime import entrypoint
from crossmesh.steps import open_ports

lambda_handler = entrypoint(open_ports.TASK)
