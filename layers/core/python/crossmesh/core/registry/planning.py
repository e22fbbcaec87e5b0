"""What one planning starts from: the inputs, indexed once for all rules, and the plan that the
rules build.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from crossmesh.core.keys import instance_key, pod_key
from crossmesh.core.observed import Instance, Outlier, Pod, RegistryView, Seen, ServiceView, Unseen, View
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import adopting, left_by_controller, pod_of
from crossmesh.core.registry.ownership_conflict import Decided, detect_conflict
from crossmesh.core.registry.plan import (
    CreateService,
    DeleteService,
    Deregister,
    ManualOverrides,
    PlannerState,
    Register,
    RegistryAction,
    SetHealth,
    TagService,
    Withheld,
    WithheldWhy,
)
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that the planner may know. `deployment` is this deployment's id; `outliers`: outliers by
    instance id.
    """

    settings: Settings
    topology: Topology
    views: tuple[View, ...]
    registry: RegistryView
    memory: PlannerState = PlannerState()
    operator: ManualOverrides = ManualOverrides()
    deployment: str
    outliers: dict[str, Outlier] = {}


class IndexedInputs:
    """The inputs by cluster, pod and service. Never changed once made."""

    def __init__(self, inputs: PlanInputs) -> None:
        self.inputs = inputs
        self.memory, self.operator = inputs.memory, inputs.operator
        self.owner, self.policy = inputs.settings.owner, inputs.settings.policy
        self.clusters = {cluster.name: cluster for cluster in inputs.settings.clusters}
        self.seen = {v.cluster: v for v in inputs.views if isinstance(v, Seen) and v.cluster in self.clusters}
        self.unseen = {v.cluster: v for v in inputs.views if isinstance(v, Unseen)}
        for name in self.clusters:
            if name not in self.seen and name not in self.unseen:
                self.unseen[name] = Unseen(cluster=name, cause="crashed", detail="no view of it was made")
        self._pods: dict[str, dict[str, Pod]] = {}
        self.gone = {name: frozenset(view.gone) for name, view in self.seen.items()}
        self.services: dict[str, ServiceView] = {service.key: service for service in inputs.registry.services}
        owner, mark = self.owner, ep.OWNER
        self.ours: dict[str, list[Instance]] = {
            key: [i for i in service.instances if i.attributes.get(mark) == owner]
            for key, service in self.services.items()
        }
        self.hidden = frozenset(key for key, service in self.services.items() if service.hidden)
        self.named = frozenset(n.cloud_map.key for n in inputs.topology.nodes if n.cloud_map)
        self.left = {
            key: left_by_controller(service, inputs.topology)
            for key, service in self.services.items()
            if self._has_foreign(service)
        }
        self.adopting = adopting(inputs.settings, self.memory, self.operator)
        self.controlled = {
            name: view.controller
            for name, view in self.seen.items()
            if view.controller and not self.clusters[name].controller
        }
        self.conflict = detect_conflict(
            inputs.registry.services,
            owner,
            inputs.deployment,
            Decided(
                conflicting_deployments=self.memory.conflicting_deployments,
                resolved_conflicts=self.memory.resolved_conflicts,
                resumed=self.operator.resumed,
            ),
            now=max([inputs.registry.begun, *(view.begun for view in inputs.views)]),
            read=inputs.registry.described or inputs.registry.begun,
        )

    def pods(self, cluster: str) -> dict[str, Pod]:
        """Pods of a seen cluster by uid; indexed when first asked for, which a quiet pass never
        does.
        """
        if cluster not in self._pods:
            self._pods[cluster] = {pod.uid: pod for pod in self.seen[cluster].pods}
        return self._pods[cluster]

    def _has_foreign(self, service: ServiceView) -> bool:
        return len(self.ours[service.key]) < len(service.instances)

    def confirming(self, key: str, instance: str) -> float | None:
        """When the clock of an instance's removal from service `key` began. A pod that moves has
        one in each; memories before 0.1 have the bare id.
        """
        clocks = self.memory.pending_deletions
        return clocks.get(instance_key(key, instance), clocks.get(instance))

    def terminating(self, cluster: str, uid: str) -> float | None:
        """When a registered pod was first seen ending. Memories before 0.2 have the bare uid."""
        since = self.memory.terminating
        return since.get(pod_key(cluster, uid), since.get(uid))

    def forgetting(self, cluster: str) -> bool:
        """Whether a person asked to remove this cluster's instances, it is really out of sight, and
        that was not done yet.
        """
        asked = self.operator.forget.get(cluster, 0.0)
        return asked > self.memory.forgotten.get(cluster, 0.0) and cluster not in self.seen


_RANK: dict[type[RegistryAction], int] = {
    CreateService: 0,
    TagService: 1,
    Deregister: 2,
    SetHealth: 3,
    Register: 4,
    DeleteService: 5,
}


class PlanBuilder:
    """The plan while it is being made: actions by place, what is withheld, notes for people."""

    def __init__(self) -> None:
        self._actions: dict[tuple[int, str, int], list[RegistryAction]] = defaultdict(list)
        self.withheld: list[Withheld] = []
        self.notes: set[str] = set()

    def act(self, key: str, action: RegistryAction) -> None:
        """Plan an action on service `key`."""
        self._actions[action.phase, key, _RANK[type(action)]].append(action)

    def actions(self) -> tuple[RegistryAction, ...]:
        """In order: phase, then service, then dead ones out before adds, then id."""
        found: list[RegistryAction] = []
        for _, actions in sorted(self._actions.items(), key=lambda item: item[0]):
            found += sorted(actions, key=lambda action: getattr(action, "id", ""))
        return tuple(found)

    def hold_add(self, endpoint: ep.Endpoint, why: WithheldWhy, detail: str, until: float = 0.0) -> None:
        """Withhold an add or change; `until`: when it goes ahead by itself (0 = not by itself)."""
        ident, cluster, pod = endpoint.id, endpoint.cluster, endpoint.pod
        held = Withheld(
            what="register",
            service=endpoint.key,
            id=ident,
            cluster=cluster,
            pod=pod,
            why=why,
            detail=detail,
            until=until,
        )
        self.withheld.append(held)

    def hold_adds(self, endpoints: Iterable[ep.Endpoint], why: WithheldWhy, detail: str) -> None:
        """Withhold many for one reason."""
        for endpoint in endpoints:
            self.hold_add(endpoint, why, detail)

    def hold_removal(self, key: str, instance: Instance, why: WithheldWhy, detail: str, until: float = 0.0) -> None:
        """Withhold a removal; `until`: when it goes ahead by itself (0 = not by itself)."""
        cluster = instance.attributes.get(ep.CLUSTER, "")
        held = Withheld(
            what="deregister",
            service=key,
            id=instance.id,
            cluster=cluster,
            pod=pod_of(instance),
            why=why,
            detail=detail,
            until=until,
        )
        self.withheld.append(held)
