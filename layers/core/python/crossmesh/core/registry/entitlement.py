"""Whether an action is this deployment's to carry out at all: by its settings and manifests,
whatever the plan that holds it says.

A plan lies in the run store between the function that made it and the one that carries it out. It
is believed only as far as the configuration goes.
"""

from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import CreateService, Deregister, Register, RegistryAction, SetHealth
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology


def named_services(topology: Topology) -> frozenset[tuple[str, str]]:
    """(namespace, service) of every Cloud Map service that the manifests name."""
    return frozenset(
        (node.cloud_map.namespace, node.cloud_map.service) for node in topology.nodes if node.cloud_map is not None
    )


def unentitled(action: RegistryAction, settings: Settings, named: frozenset[tuple[str, str]]) -> str:
    """Why the settings and manifests do not allow the action; "" where they do. `named`:
    `named_services` of the manifests in force.
    """
    if isinstance(action, Register):
        if (action.namespace, action.service) not in named:
            return f"no manifest names the service {action.service} in {action.namespace}"
        if action.attributes.get(ep.OWNER) != settings.owner:
            return "it does not carry this deployment's owner"
        if action.attributes.get(ep.CLUSTER) not in {cluster.name for cluster in settings.clusters}:
            return "it is of a cluster that the settings do not name"
    if isinstance(action, CreateService) and (action.namespace, action.service) not in named:
        return f"no manifest names the service {action.service} in {action.namespace}"
    if isinstance(action, Deregister | SetHealth) and action.owner not in ("", settings.owner):
        return "it is another owner's"
    return ""


def adoptable(found: Instance, topology: Topology) -> bool:
    """Whether an instance without marks is one that AWS's controller registered for a virtual node
    that the manifests declare.
    """
    nodes = {(node.mesh, node.aws_name) for node in topology.nodes if node.cloud_map is not None}
    return (found.attributes.get(ep.MESH, ""), found.attributes.get(ep.VIRTUAL_NODE, "")) in nodes
