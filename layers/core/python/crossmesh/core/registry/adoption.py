"""What AWS's App Mesh controller left in Cloud Map: which instances are its own, and which of them
a pod of ours takes the place of.

Its instances have the pod's address for an id, say which mesh, virtual node and pod they are of,
and carry no mark of a cluster (pkg/cloudmap/instances_reconciler.go). So a pod is known by
namespace, name and address together; one that is nowhere must be proved absent in every cluster of
the settings.
"""

from collections.abc import Sequence

from crossmesh.core.observed import Instance, Seen, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology

_MARKS = (ep.OWNER, ep.CLUSTER, ep.POD_UID)


def adopting(settings: Settings, memory: PlannerState, operator: ManualOverrides) -> bool:
    """Whether to take over: the settings say so, or a person asked and it was not carried out
    yet.
    """
    return settings.mesh.adopt or operator.adopt > memory.adopted


def pod_of(instance: Instance) -> str:
    """namespace/name of the pod that an instance says it is of."""
    return f"{instance.attributes.get(ep.NAMESPACE, '')}/{instance.attributes.get(ep.POD, '')}"


def left_by_controller(service: ServiceView, topology: Topology) -> tuple[Instance, ...]:
    """Instances of declared virtual nodes that AWS's controller registered. Anything marked, or
    made by hand, or by ECS, is none.
    """
    nodes = {(n.mesh, n.aws_name) for n in topology.nodes if n.cloud_map and n.cloud_map.key == service.key}
    return tuple(
        instance
        for instance in service.instances
        if (instance.attributes.get(ep.MESH, ""), instance.attributes.get(ep.VIRTUAL_NODE, "")) in nodes
        and not any(mark in instance.attributes for mark in _MARKS)
        and instance.id == ep.address_of(instance)
        and instance.attributes.get(ep.NAMESPACE)
        and instance.attributes.get(ep.POD)
    )


def nowhere(instance: Instance, views: Sequence[Seen]) -> bool:
    """Whether every one of `views` proves that the pod of an instance of AWS's controller has
    ended: dead, another address, or a GET that says 404.
    """
    pod, address = pod_of(instance), ep.address_of(instance)
    namespace, name = instance.attributes.get(ep.NAMESPACE, ""), instance.attributes.get(ep.POD, "")
    for view in views:
        listed = next((p for p in view.pods if p.name == name and p.namespace == namespace), None)
        if listed is None:
            if pod not in view.absent:
                return False
        elif not listed.dead and (not listed.ip or listed.ip == address):
            return False
    return True
