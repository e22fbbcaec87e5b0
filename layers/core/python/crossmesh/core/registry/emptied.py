"""Which virtual nodes and services a plan leaves without an instance, when, and why: what a person
must see before it happens. Pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core.keys import service_key
from crossmesh.core.observed import RegistryView, View
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import Deregister, ManualOverrides, Register, RegistryPlan, SetHealth
from crossmesh.core.registry.unmatched import Known, explain_unmatched, held_for
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import Topology


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """`count` instances of it leave; `until`: when the last of them may go after a confirmation
    (seconds since the epoch), 0 = with the next run.
    """

    kind: str  # virtual node | service
    name: str
    count: int
    until: float = 0.0
    why: str
    fix: str = ""

    @property
    def line(self) -> str:
        """The fact in a line, without the time."""
        return (
            f"EMPTIES {self.kind} {self.name} ({self.count} {'instance' if self.count == 1 else 'instances'}):"
            f" {self.why}"
        )


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What documents and settings declare."""

    topology: Topology
    clusters: Mapping[str, ClusterSettings]
    owner: str


def emptied(
    declared: Declared, views: tuple[View, ...], registry: RegistryView, plan: RegistryPlan, operator: ManualOverrides
) -> tuple[Emptied, ...]:
    """What has healthy instances now and none once the plan, its confirmations included, has been
    carried out.
    """
    topology, leaving = declared.topology, _leaving(plan)
    if not leaving:
        return ()
    # Virtual node -> its instances, as (service, id)
    before: dict[str, set[tuple[str, str]]] = defaultdict(set)
    services: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for service in registry.services:
        for instance in service.instances:
            if service.health.get(instance.id) == "UNHEALTHY":
                continue
            services[service.key].add((service.key, instance.id))
            if instance.attributes.get(ep.OWNER) == declared.owner:
                before[instance.attributes.get(ep.VIRTUAL_NODE, "")].add((service.key, instance.id))
    added = {action.node for action in plan.actions if isinstance(action, Register)}
    filled = {service_key(action.namespace, action.service) for action in plan.actions if isinstance(action, Register)}
    reasons = {(service_key(a.namespace, a.service), a.id): a.why for a in plan.actions if isinstance(a, Deregister)}
    found = []
    for name, instances in sorted(before.items()):
        if name not in added and instances <= leaving.keys():
            until = max(leaving[one] for one in instances)
            known = Known(others=topology.nodes, held=held_for(name, registry))
            why, fix = _why(name, declared, views, operator, {reasons.get(one, "") for one in instances}, known)
            found.append(
                Emptied(
                    kind="virtual node", name=_key(topology, name), count=len(instances), until=until, why=why, fix=fix
                )
            )
    for key, instances in sorted(services.items()):
        if instances and key not in filled and instances <= leaving.keys():
            nodes = sorted(_key(topology, node) for node, held in before.items() if held & instances)
            why = f"all its instances leave ({', '.join(nodes)})"
            found.append(
                Emptied(
                    kind="service",
                    name=key,
                    count=len(instances),
                    until=max(leaving[one] for one in instances),
                    why=why,
                )
            )
    return tuple(found)


def _leaving(plan: RegistryPlan) -> dict[tuple[str, str], float]:
    """Instances that leave or are marked UNHEALTHY, and when they may at the earliest (0 = with the
    next run).
    """
    found = {(service_key(a.namespace, a.service), a.id): 0.0 for a in plan.actions if isinstance(a, Deregister)}
    found |= {
        (service_key(a.namespace, a.service), a.id): 0.0
        for a in plan.actions
        if isinstance(a, SetHealth) and a.status == "UNHEALTHY"
    }
    return found | {(held.service, held.id): held.until for held in plan.withheld if held.unconfirmed}


def _key(topology: Topology, aws_name: str) -> str:
    return next((node.key for node in topology.nodes if node.aws_name == aws_name), aws_name)


def _why(
    aws_name: str,
    declared: Declared,
    views: tuple[View, ...],
    operator: ManualOverrides,
    reasons: set[str],
    known: Known,
) -> tuple[str, str]:
    if operator.draining:
        return "the registry is drained by hand", "`crossmesh resume` ends it"
    if reasons == {"forgotten"}:
        return "a person asked for it (`crossmesh forget`)", ""
    node = next((node for node in declared.topology.nodes if node.aws_name == aws_name), None)
    if node is None or node.cloud_map is None:
        return (
            "no document declares it with Cloud Map discovery any more",
            "deploy its document again if that was not meant",
        )
    found = explain_unmatched(node, declared.clusters, views, known)
    if found is None:
        return "its ready pods are registered elsewhere or withheld", ""
    return found.why, found.fix


def kept_down(endpoints: Iterable[ep.Endpoint], registry: RegistryView, owner: str) -> int:
    """How many of our instances are kept marked UNHEALTHY though no ready pod wants them: they are
    registered, and no endpoint stands behind them.
    """
    down = {
        instance.id
        for service in registry.services
        for instance in service.instances
        if service.health.get(instance.id) == "UNHEALTHY" and instance.attributes.get(ep.OWNER) == owner
    }
    return len(down - {endpoint.id for endpoint in endpoints}) if down else 0
