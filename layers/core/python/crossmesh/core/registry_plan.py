"""The registry's planner: views of clusters and of Cloud Map in, a plan out. Pure; the same inputs in any order give the same bytes.

The rules of design section 3 live here: unknown is not empty (only `Seen` views justify removals), own before touch, dead ones at once,
add before remove, the brake with its confirmations.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import (
    CreateService,
    DeleteService,
    Deregister,
    Memory,
    Operator,
    Register,
    RegistryAction,
    RegistryPlan,
    RemovalWhy,
    TagService,
    Withheld,
    WithheldWhy,
)
from crossmesh.core.brake import confirm
from crossmesh.core.settings import Settings
from crossmesh.core.topology import Topology
from crossmesh.core.views import Instance, Pod, RegistryView, Seen, ServiceView, Unseen, View

CONTEST_WINDOW = 600.0  # seconds: removed by another hand twice within this time of our registering it stops the service (rule 2)
SERVICE_LIMIT = 1_000  # instances per service, fixed (Cloud Map quotas page)
OWNER_TAG = "crossmesh:owner"


def deployment_tag(owner: str) -> str:
    """The tag key under which a deployment with `owner` leaves its id on a service."""
    return f"crossmesh:deployment/{owner}"


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that the planner may know. `deployment` is this deployment's id; `ip_family` of new services' DNS records."""

    settings: Settings
    topology: Topology
    views: tuple[View, ...]
    registry: RegistryView
    memory: Memory = Memory()
    operator: Operator = Operator()
    deployment: str
    ipv6: bool = False


class _Removal(msgspec.Struct, frozen=True, kw_only=True):
    service: ServiceView
    instance: Instance
    why: RemovalWhy
    reason: str

    @property
    def node(self) -> str:
        return self.instance.attributes.get(ep.VIRTUAL_NODE, "")


def plan(inputs: Inputs) -> RegistryPlan:
    """Decide what brings the registry to the pods that are there, and what must wait."""
    return _Planner(inputs).plan()


class _Planner:
    """One planning; holds the indexes that the rules share."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.owner = inputs.settings.owner
        self.clusters = {cluster.name: cluster for cluster in inputs.settings.clusters}
        self.seen = {v.cluster: v for v in inputs.views if isinstance(v, Seen) and v.cluster in self.clusters}
        self.unseen = {v.cluster: v for v in inputs.views if isinstance(v, Unseen)}
        for name in self.clusters:
            if name not in self.seen and name not in self.unseen:
                self.unseen[name] = Unseen(cluster=name, cause="crashed", detail="no view of it was made")
        self.pods: dict[str, dict[str, Pod]] = {name: {pod.uid: pod for pod in view.pods} for name, view in self.seen.items()}
        self.gone = {name: frozenset(view.gone) for name, view in self.seen.items()}
        self.services = {service.key: service for service in inputs.registry.services}
        self.actions: list[RegistryAction] = []
        self.withheld: list[Withheld] = []
        self.notes: list[str] = []
        self.terminating: dict[str, float] = {}

    def plan(self) -> RegistryPlan:
        nodes = self.inputs.topology.nodes
        wanted, claimed = ep.desired(nodes, self.clusters, self.seen.values(), owner=self.owner)
        if self.inputs.operator.draining:
            wanted, claimed = (), ()
        self._contest(wanted)
        named = {f"{n.cloud_map.service}.{n.cloud_map.namespace}" for n in nodes if n.cloud_map}
        conflicts = self._conflicts()
        by_service: dict[str, list[ep.Endpoint]] = defaultdict(list)
        for endpoint in wanted:
            by_service[f"{endpoint.service}.{endpoint.namespace}"].append(endpoint)
        self.claimed = {c.uid: c for c in claimed}
        removals: list[_Removal] = []
        adds: Counter[tuple[str, str]] = Counter()  # (service key, node) -> instances newly registered
        for key in sorted(named | set(self.services)):
            service = self.services.get(key)
            removals += self._plan_service(key, service, by_service.get(key, ()), adds, stopped=bool(conflicts))
        for c in claimed:
            detail = f"selected by {' and '.join(c.nodes)}; give each pod to one virtual node"
            self.withheld.append(
                Withheld(
                    what="register", service="", id=ep.instance_id(c.cluster, c.uid), cluster=c.cluster, pod=c.pod, why="claimed", detail=detail
                )
            )
        confirmations = self._remove(removals, adds, stopped=bool(conflicts))
        self._retire(named, stopped=bool(conflicts))
        self.notes += conflicts
        return RegistryPlan(
            actions=tuple(sorted(self.actions, key=_order)),
            withheld=tuple(sorted(self.withheld, key=lambda w: (w.service, w.what, w.id, w.why))),
            memory=self._remember(confirmations, named),
            notes=tuple(sorted(set(self.notes))),
            endpoints=len(wanted),
            registered=sum(1 for s in self.services.values() for i in s.instances if self._ours(i)),
            again_at=min((w.until for w in self.withheld if w.until), default=0.0),
            begun=min([self.inputs.registry.begun, *(view.begun for view in self.seen.values())]),
        )

    # --- what is ours -------------------------------------------------------------------------------------------------------------------

    def _ours(self, instance: Instance) -> bool:
        return instance.attributes.get(ep.OWNER) == self.owner

    def _conflicts(self) -> list[str]:
        """Services where another deployment with our owner has left its mark: both must stop (rule 2)."""
        tag = deployment_tag(self.owner)
        return [
            f"owner {self.owner!r} is used by two deployments: {self.inputs.deployment} (this one) and {service.tags[tag]} (mark on {service.key}); "
            "give each its own owner in crossmesh.yaml"
            for service in self.inputs.registry.services
            if service.tags.get(tag, self.inputs.deployment) != self.inputs.deployment
        ]

    # --- adds and changes ---------------------------------------------------------------------------------------------------------------

    def _plan_service(
        self, key: str, service: ServiceView | None, wanted: Iterable[ep.Endpoint], adds: Counter[tuple[str, str]], *, stopped: bool
    ) -> list[_Removal]:
        """Plan the adds of one service; return the removals it wants."""
        wanted = list(wanted)
        have = {i.id: i for i in service.instances} if service else {}
        if service is None or not service.namespace_type:
            name = key.partition(".")[2]
            for endpoint in wanted:
                self._withhold_add(endpoint, "namespace-missing", f"Cloud Map namespace {name} does not exist; create it (docs/operating.md)")
            return []
        contested = self.contested.get(key)
        if stopped or contested:
            for endpoint in wanted:
                if endpoint.id not in have:
                    if stopped:
                        self._withhold_add(endpoint, "conflict", "another deployment uses this owner")
                    else:
                        self._withhold_add(endpoint, "contested", self._contest_text(key))
        else:
            self._ensure(key, service, wanted)
            removals = self._removals(service, {e.id for e in wanted})
            leaving = sum(1 for r in removals if r.why == "dead")
            self._register(service, wanted, have, adds, room=SERVICE_LIMIT - len(have) + leaving)
            return removals
        return self._removals(service, {e.id for e in wanted})

    def _ensure(self, key: str, service: ServiceView, wanted: list[ep.Endpoint]) -> None:
        """The service exists and carries our deployment's mark, before anything is written into it."""
        if not wanted:
            return
        mark = {deployment_tag(self.owner): self.inputs.deployment}
        if not service.id:
            self.actions.append(
                CreateService(
                    namespace=service.namespace,
                    service=service.service,
                    namespace_id=service.namespace_id,
                    dns=service.namespace_type == "DNS_PRIVATE",
                    ipv6=self.inputs.ipv6,
                    tags={OWNER_TAG: self.owner, **mark},
                    creator=f"{self.owner}/{key}",
                    reason=f"{wanted[0].node} names it and it does not exist",
                )
            )
        elif deployment_tag(self.owner) not in service.tags:
            self.actions.append(
                TagService(
                    namespace=service.namespace,
                    service=service.service,
                    arn=service.arn,
                    tags=mark,
                    reason="leave this deployment's mark before writing into it",
                )
            )

    def _register(
        self, service: ServiceView, wanted: list[ep.Endpoint], have: Mapping[str, Instance], adds: Counter[tuple[str, str]], *, room: int
    ) -> None:
        for endpoint in wanted:
            old = have.get(endpoint.id)
            if old is None:
                if room <= 0:
                    self._withhold_add(endpoint, "service-full", f"{service.key} holds its {SERVICE_LIMIT} instances, Cloud Map's fixed limit")
                    continue
                room -= 1
                adds[service.key, endpoint.node] += 1
                self._add(
                    service, endpoint, {**endpoint.attributes, ep.INIT_HEALTH: "HEALTHY"}, f"pod {endpoint.pod} of {endpoint.cluster} is ready"
                )
            elif not self._ours(old):
                self._withhold_add(endpoint, "foreign-id", f"an instance without our mark stands under this id in {service.key}")
            else:
                if endpoint.attributes.items() <= old.attributes.items():
                    continue
                drift = sorted(k for k, v in endpoint.attributes.items() if old.attributes.get(k) != v)
                if drift:
                    shown = ", ".join(f"{k}: {old.attributes.get(k, 'none')} → {endpoint.attributes[k]}" for k in drift[:3])
                    reason = f"attributes differ: {shown}" + (f" and {len(drift) - 3} more" if len(drift) > 3 else "")
                    self._add(service, endpoint, {**old.attributes, **endpoint.attributes}, reason, change=True)

    def _add(self, service: ServiceView, endpoint: ep.Endpoint, attributes: dict[str, str], reason: str, *, change: bool = False) -> None:
        if endpoint.dropped:
            self.notes.append(
                f"{endpoint.pod} of {endpoint.cluster}: labels {', '.join(endpoint.dropped)} left out to fit Cloud Map's attribute limits"
            )
        self.actions.append(
            Register(
                namespace=service.namespace,
                service=service.service,
                id=endpoint.id,
                cluster=endpoint.cluster,
                node=endpoint.node,
                pod=endpoint.pod,
                attributes=attributes,
                change=change,
                reason=reason,
            )
        )

    def _withhold_add(self, endpoint: ep.Endpoint, why: WithheldWhy, detail: str) -> None:
        service = f"{endpoint.service}.{endpoint.namespace}"
        self.withheld.append(
            Withheld(what="register", service=service, id=endpoint.id, cluster=endpoint.cluster, pod=endpoint.pod, why=why, detail=detail)
        )

    # --- removals -----------------------------------------------------------------------------------------------------------------------

    def _removals(self, service: ServiceView, wanted: set[str]) -> list[_Removal]:
        """Our instances of a service that no endpoint wants, each with the reason; those that must not go are withheld here."""
        found = []
        for instance in service.instances:
            if instance.id in wanted or not self._ours(instance):
                continue
            judged = self._judge(service, instance)
            if judged:
                why, reason = judged
                found.append(_Removal(service=service, instance=instance, why=why, reason=reason))
        return found

    def _judge(self, service: ServiceView, instance: Instance) -> tuple[RemovalWhy, str] | None:
        """Why an unwanted instance of ours should go; None (and withheld, where a person should know) if nothing says so for sure."""
        cluster, uid = instance.attributes.get(ep.CLUSTER, ""), instance.attributes.get(ep.POD_UID, "")
        name = f"{instance.attributes.get(ep.NAMESPACE, '')}/{instance.attributes.get(ep.POD, '')}"
        if self.inputs.operator.draining:
            return "forgotten", "the registry is being drained"
        if self._forgetting(cluster):
            return "forgotten", f"`crossmesh forget {cluster}`"
        if cluster not in self.clusters:
            detail = f"cluster {cluster!r} is not in the settings; `crossmesh forget {cluster}` removes its instances"
            self._withhold_removal(service, instance, "orphaned", detail)
            return None
        if cluster in self.unseen:
            self._withhold_removal(service, instance, "unseen", f"{cluster} is unseen: {self.unseen[cluster].cause}")
            return None
        view, pod = self.seen[cluster], self.pods[cluster].get(uid)
        if pod is None:
            if instance.attributes.get(ep.NAMESPACE, "") not in view.versions:
                return "unselected", f"no virtual node selects pods in the namespace of {name}"
            if uid in self.gone[cluster]:
                if uid in self.inputs.memory.terminating:
                    self.terminating[uid] = self.inputs.memory.terminating[uid]
                    return "dead", f"pod {name} of {cluster} was seen Terminating and is gone"
                return "gone", f"pod {name} of {cluster} is gone (GET: 404 or another uid)"
            self._withhold_removal(service, instance, "unseen", "the pod is absent from the list and no GET has confirmed it")
            return None
        if pod.dead:
            self.terminating[uid] = self.inputs.memory.terminating.get(uid, view.begun)
            return "dead", f"pod {name} of {cluster} is {'Terminating' if pod.terminating else f'finished ({pod.phase})'}"
        if uid in self.claimed:
            return None
        if not pod.ready:
            return "unready", f"pod {name} of {cluster} is not ready"
        return "unselected", f"pod {name} of {cluster} belongs to another service or to no virtual node now"

    def _withhold_removal(self, service: ServiceView, instance: Instance, why: WithheldWhy, detail: str, until: float = 0.0) -> None:
        pod = f"{instance.attributes.get(ep.NAMESPACE, '')}/{instance.attributes.get(ep.POD, '')}"
        cluster = instance.attributes.get(ep.CLUSTER, "")
        self.withheld.append(
            Withheld(what="deregister", service=service.key, id=instance.id, cluster=cluster, pod=pod, why=why, detail=detail, until=until)
        )

    def _remove(self, removals: list[_Removal], adds: Counter[tuple[str, str]], *, stopped: bool) -> dict[str, float]:
        """Turn removals into actions, through policy and brake; return the confirmations to remember."""
        confirmations: dict[str, float] = {}
        by_service: dict[str, list[_Removal]] = defaultdict(list)
        for removal in removals:
            by_service[removal.service.key].append(removal)
        policy = self.inputs.settings.policy
        for key, wanted in sorted(by_service.items()):
            if stopped or key in self.contested or (policy.removals == "upsert-only" and not self.inputs.operator.draining):
                why: WithheldWhy = "conflict" if stopped else "contested" if key in self.contested else "policy"
                for removal in wanted:
                    self._withhold_removal(removal.service, removal.instance, why, removal.reason)
                continue
            service = wanted[0].service
            standing = Counter(i.attributes.get(ep.VIRTUAL_NODE, "") for i in service.instances if self._ours(i))
            counted = {r.instance.id: r.node for r in wanted if r.why not in ("dead", "forgotten")}
            begun = {r.instance.id: self.seen[r.instance.attributes[ep.CLUSTER]].begun for r in wanted if r.instance.id in counted}
            dead = Counter(r.node for r in wanted if r.instance.id not in counted)
            verdict = confirm(
                counted,
                begun,
                standing={node: n - dead[node] for node, n in standing.items()},
                adds={node: n for (service_key, node), n in adds.items() if service_key == key},
                registered=sum(standing.values()),
                remembered=self.inputs.memory.confirmations,
                policy=policy,
            )
            confirmations |= verdict.remember
            for removal in wanted:
                until = verdict.waiting.get(removal.instance.id)
                if until is not None:
                    detail = f"{removal.reason}; {verdict.why}: waits for a second listing"
                    self._withhold_removal(removal.service, removal.instance, "unconfirmed", detail, until)
                else:
                    self._deregister(removal, adds)
        return confirmations

    def _deregister(self, removal: _Removal, adds: Counter[tuple[str, str]]) -> None:
        attributes = removal.instance.attributes
        lives = removal.why == "unselected"
        replaced = lives or (removal.why in ("unready", "gone") and adds[removal.service.key, removal.node] > 0)
        self.actions.append(
            Deregister(
                namespace=removal.service.namespace,
                service=removal.service.service,
                id=removal.instance.id,
                owner=self.owner,
                cluster=attributes[ep.CLUSTER],
                uid=attributes.get(ep.POD_UID, ""),
                node=removal.node,
                pod=f"{attributes.get(ep.NAMESPACE, '')}/{attributes.get(ep.POD, '')}",
                why=removal.why,
                reason=removal.reason,
                phase=2 if replaced else 1,
            )
        )

    # --- services that nothing names any more -------------------------------------------------------------------------------------------

    def _retire(self, named: set[str], *, stopped: bool) -> None:
        """Remove services that we made, that are empty and that no document names (rule 2)."""
        if stopped or self.inputs.settings.policy.removals == "upsert-only":
            return
        for key, service in sorted(self.services.items()):
            if service.id and key not in named and service.tags.get(OWNER_TAG) == self.owner and not service.instances:
                self.actions.append(
                    DeleteService(
                        namespace=service.namespace,
                        service=service.service,
                        id=service.id,
                        reason="made by us, empty, and no virtual node names it",
                    )
                )

    # --- another hand ------------------------------------------------------------------------------------------------------------------

    def _contest(self, wanted: Iterable[ep.Endpoint]) -> None:
        """Notice instances that we registered and proved, that are wanted still, and that somebody removed; twice stops their service."""
        memory, now = self.inputs.memory, self.inputs.registry.begun
        resumed = self.inputs.operator.resumed
        self.contested = {key: entry for key, entry in memory.contested.items() if resumed.get(key, 0.0) <= entry[0]}
        self.registered = {i: at for i, at in memory.registered.items() if now - at < CONTEST_WINDOW}
        self.lost: dict[str, tuple[float, ...]] = {}
        standing = {i.id for service in self.services.values() for i in service.instances}
        services = {f"{e.service}.{e.namespace}": e for e in wanted}
        of = {e.id: f"{e.service}.{e.namespace}" for e in wanted}
        for instance, times in memory.lost.items():
            kept = tuple(at for at in times if now - at < CONTEST_WINDOW and at > resumed.get(of.get(instance, ""), 0.0))
            if kept:
                self.lost[instance] = kept
        for instance in sorted(self.registered.keys() & of.keys() - standing):
            del self.registered[instance]
            self.lost[instance] = (*self.lost.get(instance, ()), now)
            if len(self.lost[instance]) >= 2 and of[instance] in services:
                self.contested.setdefault(of[instance], (now, instance))

    def _contest_text(self, key: str) -> str:
        since, instance = self.contested[key]
        del since
        return (
            f"instance {instance} was removed by another hand twice within 10 minutes of our registering it; find who (CloudTrail: DeregisterInstance), "
            f"stop it, then `crossmesh resume {key}`"
        )

    def _forgetting(self, cluster: str) -> bool:
        """Whether a person asked to remove this cluster's instances, it is really out of sight, and that was not done yet."""
        asked = self.inputs.operator.forget.get(cluster, 0.0)
        return asked > self.inputs.memory.forgotten.get(cluster, 0.0) and cluster not in self.seen

    # --- memory -------------------------------------------------------------------------------------------------------------------------

    def _remember(self, confirmations: dict[str, float], named: set[str]) -> Memory:
        """The next pass's memory. What was recorded of an unseen cluster stays as it is."""
        memory = self.inputs.memory
        registered = {
            i.attributes.get(ep.POD_UID, ""): i.attributes.get(ep.CLUSTER, "")
            for s in self.services.values()
            for i in s.instances
            if self._ours(i)
        }
        of_unseen = {i.id for s in self.services.values() for i in s.instances if i.attributes.get(ep.CLUSTER, "") in self.unseen}
        kept = {uid: when for uid, when in memory.terminating.items() if uid in registered and registered[uid] in self.unseen}
        seen_terminating = {
            uid: memory.terminating.get(uid, view.begun)
            for view in self.seen.values()
            for uid, pod in self.pods[view.cluster].items()
            if pod.terminating and uid in registered
        }
        services = {
            key: (service.id, service.arn)
            for key, service in self.services.items()
            if service.id and (key in named or any(self._ours(i) for i in service.instances) or service.tags.get(OWNER_TAG) == self.owner)
        }
        leaving = {action.id for action in self.actions if isinstance(action, Deregister)}
        left = {i.attributes.get(ep.CLUSTER, "") for s in self.services.values() for i in s.instances if self._ours(i)}
        operator = self.inputs.operator
        return Memory(
            registered=dict(sorted((i, at) for i, at in self.registered.items() if i not in leaving)),
            lost=dict(sorted(self.lost.items())),
            contested=dict(sorted(self.contested.items())),
            forgotten={**memory.forgotten, **{c: at for c, at in operator.forget.items() if c not in left or c in self.seen}},
            accepted={**memory.accepted, **{c: at for c, at in operator.accept.items() if c in self.seen}},
            identities={**memory.identities, **{name: view.identity for name, view in self.seen.items()}},
            versions={**memory.versions, **{name: dict(sorted(view.versions.items())) for name, view in self.seen.items()}},
            terminating=dict(sorted({**kept, **self.terminating, **seen_terminating}.items())),
            confirmations=dict(sorted({**{i: t for i, t in memory.confirmations.items() if i in of_unseen}, **confirmations}.items())),
            services=dict(sorted(services.items())),
        )


def _order(action: RegistryAction) -> tuple[int, str, int, str]:
    """Phase, then service, then dead ones out before adds, then id."""
    rank = {CreateService: 0, TagService: 1, Deregister: 2, Register: 3, DeleteService: 4}[type(action)]
    return action.phase, f"{action.service}.{action.namespace}", rank, getattr(action, "id", "")
