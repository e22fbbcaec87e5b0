"""What the live state says about the mesh and no document can: virtual nodes that match no instance, changes with side effects, quotas. Pure.

Notes, not errors: each may be meant, and all of them lose requests where they are not.
"""

from collections import Counter
from collections.abc import Iterator

from crossmesh.core.actions import Deregister, Register, RegistryPlan
from crossmesh.core.findings import where
from crossmesh.core.mesh_plan import MeshPlan
from crossmesh.core.topology import Topology
from crossmesh.core.views import RegistryView

INSTANCES_IN_NAMESPACE = 2_000  # Cloud Map's quota (Service Quotas, AWS Cloud Map)
ENVOYS_PER_NODE = 50  # App Mesh's quota: the 51st makes running ones fail (user guide, troubleshooting: RESOURCE_EXHAUSTED)


def of_state(topology: Topology, registry: RegistryView, plan: RegistryPlan) -> tuple[str, ...]:
    """Notes about virtual nodes, of what the registry will hold when `plan` has been carried out."""
    held = _held(registry, plan)
    notes: list[str] = []
    routed = _routed(topology)
    for node in topology.nodes:
        if node.cloud_map is None or (node.mesh, node.aws_name) not in routed:
            continue
        wanted = dict(node.cloud_map.attributes).items()
        place = (node.cloud_map.namespace, node.cloud_map.service)
        count = sum(1 for attributes in held.get(place, {}).values() if wanted <= attributes.items())
        about = f"virtual node {node.key} ({where(node.place)})"
        if not count:
            shown = ", ".join(f"{key}={value}" for key, value in wanted) or "no attributes"
            notes.append(f"{about} matches no instance of {place[1]}.{place[0]} ({shown}): requests routed to it are lost")
        elif count > ENVOYS_PER_NODE:
            notes.append(
                f"{about} has {count} instances: App Mesh serves {ENVOYS_PER_NODE} Envoys a virtual node by default, have the quota raised"
            )
    totals: Counter[str] = Counter()
    for (namespace, _), instances in held.items():
        totals[namespace] += len(instances)
    notes += [
        f"namespace {name} will hold {count:,} instances, the default quota is {INSTANCES_IN_NAMESPACE:,}: have it raised"
        for name, count in sorted(totals.items())
        if count > INSTANCES_IN_NAMESPACE
    ]
    return tuple(notes)


def of_plan(plan: MeshPlan) -> tuple[str, ...]:
    """Notes about changes that App Mesh makes, but not without harm."""
    return tuple(
        f"{action.target}: its health check changes in place: Envoys may refuse its endpoints for up to half an hour (aws-app-mesh-roadmap#192); "
        "a new virtual node beside it does not"
        for action in plan.actions
        if action.verb == "update" and any("healthCheck" in change.field.split(".") and change.old and change.new for change in action.changes)
    )


def _held(registry: RegistryView, plan: RegistryPlan) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    """Attributes by instance id and service, what is to be registered included and what is to go left out."""
    held = {(s.namespace, s.service): {i.id: i.attributes for i in s.instances} for s in registry.services}
    for action in plan.actions:
        if isinstance(action, Register):
            held.setdefault((action.namespace, action.service), {})[action.id] = action.attributes
    for action in plan.actions:
        if isinstance(action, Deregister):
            held.get((action.namespace, action.service), {}).pop(action.id, None)
    return held


def _routed(topology: Topology) -> set[tuple[str, str]]:
    """(mesh, AWS name) of the virtual nodes that requests are sent to: targets with a weight, and providers."""
    found: set[tuple[str, str]] = set()
    for router in topology.routers:
        for route in router.spec.get("routes", ()):
            found |= {(router.mesh, name) for name in _targets(route)}
    for service in topology.services:
        if name := ((service.spec.get("provider") or {}).get("virtualNode") or {}).get("@VirtualNode"):
            found.add((service.mesh, str(name)))
    return found


def _targets(route: dict[str, object]) -> Iterator[str]:
    for part in route.values():
        if isinstance(part, dict):
            for target in (part.get("action") or {}).get("weightedTargets") or ():
                if target.get("weight"):
                    yield str(target.get("@VirtualNode", ""))
