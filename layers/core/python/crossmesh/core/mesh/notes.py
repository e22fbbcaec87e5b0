"""What the live state says about the mesh and no document can: virtual nodes that match no
instance, changes with side effects, quotas. Pure.

Notes, not errors: each may be meant, and all of them lose requests where they are not.
"""

from collections import Counter
from collections.abc import Mapping

from crossmesh.core.compiler.findings import where
from crossmesh.core.observed import RegistryView, View
from crossmesh.core.registry.plan import Deregister, Register, RegistryPlan
from crossmesh.core.registry.unmatched import Known, explain_unmatched, held_for
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import CloudMap, NodeProvider, Topology, VirtualNode

_Held = dict[tuple[str, str], dict[str, dict[str, str]]]  # service -> instance id -> attributes

INSTANCES_IN_NAMESPACE = 2_000  # Cloud Map's quota (Service Quotas, AWS Cloud Map)


def of_state(
    topology: Topology,
    registry: RegistryView,
    plan: RegistryPlan,
    views: tuple[View, ...] = (),
    clusters: Mapping[str, ClusterSettings] | None = None,
    *,
    draining: bool = False,
) -> tuple[str, ...]:
    """Notes about virtual nodes, of what the registry will hold when `plan` has been carried out;
    `views` tell why one has no pod.
    """
    # Requests to these go on to where their instances are
    held, anchored = _held(registry, plan), frozenset(plan.moving) - plan.arriving
    notes: list[str] = []
    routed = _routed(topology)
    for node in topology.nodes:
        if node.cloud_map is None or (node.mesh, node.aws_name) not in routed or node.aws_name in anchored:
            continue
        if not _count(node.cloud_map, held):
            shown = (
                ", ".join(f"{key}={value}" for key, value in dict(node.cloud_map.attributes).items()) or "no attributes"
            )
            place = f"{node.cloud_map.service}.{node.cloud_map.namespace}"
            lost = f"{_about(node)} matches no instance of {place} ({shown}): requests routed to it are lost"
            known = Known(others=topology.nodes, held=held_for(node.aws_name, registry))
            why = None if draining else explain_unmatched(node, clusters or {}, views, known) if views else None
            notes.append(f"{lost}: the registry is drained" if draining else f"{lost}: {why.why}" if why else lost)
    totals: Counter[str] = Counter()
    for (namespace, _), instances in held.items():
        totals[namespace] += len(instances)
    notes += [
        f"namespace {name} will hold {count:,} instances, the default quota is {INSTANCES_IN_NAMESPACE:,}: have it"
        " raised"
        for name, count in sorted(totals.items())
        if count > INSTANCES_IN_NAMESPACE
    ]
    return tuple(notes)


def crowded(topology: Topology, registry: RegistryView, plan: RegistryPlan, most: int) -> tuple[str, ...]:
    """Notes about virtual nodes with more instances than the mesh backend serves by default:
    `most`, 0 = any number.
    """
    if not most:
        return ()
    held, routed = _held(registry, plan), _routed(topology)
    nodes = [
        (node, _count(node.cloud_map, held))
        for node in topology.nodes
        if node.cloud_map and (node.mesh, node.aws_name) in routed
    ]
    return tuple(
        f"{_about(node)} has {count} instances: the mesh serves {most} Envoys a virtual node by default, have the quota"
        " raised"
        for node, count in nodes
        if count > most
    )


def _about(node: VirtualNode) -> str:
    return f"virtual node {node.key} ({where(node.place)})"


def _count(wanted: CloudMap, held: _Held) -> int:
    """Instances that a virtual node matches."""
    attributes = dict(wanted.attributes).items()
    return sum(1 for found in held.get((wanted.namespace, wanted.service), {}).values() if attributes <= found.items())


def _held(registry: RegistryView, plan: RegistryPlan) -> _Held:
    """Attributes by instance id and service, what is to be registered included and what is to go
    left out.
    """
    held = {(s.namespace, s.service): {i.id: i.attributes for i in s.instances} for s in registry.services}
    for action in plan.actions:
        if isinstance(action, Register):
            held.setdefault((action.namespace, action.service), {})[action.id] = action.attributes
    for action in plan.actions:
        if isinstance(action, Deregister):
            held.get((action.namespace, action.service), {}).pop(action.id, None)
    return held


def _routed(topology: Topology) -> set[tuple[str, str]]:
    """(mesh, AWS name) of the virtual nodes that requests are sent to: targets with a weight, and
    providers.
    """
    found = {
        (router.mesh, target.virtual_node)
        for router in topology.routers
        for route in router.routes
        for target in route.targets
        if target.weight
    }
    return found | {(s.mesh, s.provider.name) for s in topology.services if isinstance(s.provider, NodeProvider)}
