"""The registry's planner: views of clusters and of Cloud Map in, a plan out. Pure; the same inputs
in any order give the same bytes.

The thirteen rules (docs/explanation/the-thirteen-rules.md) are decided in the modules beside it:
- `decision`: unknown is not empty, own before touch; which endpoints live, are unhealthy, may go,
  must stay
- `served`: the same where a mesh backend serves endpoints itself
- `deletions`: what follows for Cloud Map; `adoption`: what AWS's controller left
- `registrations`, `deregistrations`: add before remove, dead instances at once
- `deletion_guard`: a mass removal waits for a second listing
- `custom_health`: marked instead of removed
- `competing_writer`, `ownership_conflict`: somebody else undoes our writes, or uses our owner
- `next_state`: what the planner remembers
"""

from collections import defaultdict

import msgspec

from crossmesh.core.observed import GATE, Problem, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry import served
from crossmesh.core.registry.churn import calm
from crossmesh.core.registry.competing_writer import CompetingWriter, detect_competing_writer
from crossmesh.core.registry.custom_health import health_of, is_unwell, recover
from crossmesh.core.registry.decision import DecidedEndpoint, EndpointDecision, by_service, decided, guarded
from crossmesh.core.registry.deletions import Deletion, deletion_candidates, left_behind
from crossmesh.core.registry.deregistrations import Additions, plan_deregistrations, prune_empty_services, withhold_all
from crossmesh.core.registry.moving import moving
from crossmesh.core.registry.namespaces import CREATE
from crossmesh.core.registry.next_state import next_state
from crossmesh.core.registry.ownership_conflict import deployment_tag
from crossmesh.core.registry.plan import OpenGate, Register, RegistryPlan, Withheld, WithheldWhy
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder, PlanInputs
from crossmesh.core.registry.registrations import (
    capacity_of,
    ensure_service,
    register,
    registrable,
    write_conflict_tags,
)
from crossmesh.core.registry.shared_addresses import in_place

__all__ = ["PlanInputs", "PlanResult", "deployment_tag", "plan", "planned"]


_TWO = "another deployment uses this owner"


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of each endpoint, and what Cloud Map needs for it."""

    endpoints: EndpointDecision
    plan: RegistryPlan


def plan(inputs: PlanInputs) -> RegistryPlan:
    """Decide what brings the registry to the pods that are there, and what must wait."""
    return planned(inputs).plan


def planned(inputs: PlanInputs) -> PlanResult:
    """The same, with the endpoint decision that the plan carries out."""
    indexed, draft = IndexedInputs(inputs), PlanBuilder()
    endpoints, claimed = ep.desired(inputs.topology.nodes, indexed.clusters, indexed.seen.values(), owner=indexed.owner)
    endpoints = in_place(indexed, endpoints)
    drained = bool(indexed.operator.draining)  # every instance goes, whatever its pod is
    wanted = () if drained else endpoints
    doubted = () if drained else claimed
    judged = decided(indexed, wanted, doubted)
    if inputs.registry.served is not None:
        serving = served.decide(indexed, wanted, doubted, judged)
        return PlanResult(endpoints=serving.endpoints, plan=_plan(indexed, draft, wanted, doubted, judged, serving))
    made = _plan(indexed, draft, wanted, doubted, judged, served.ServedDecision())
    decision = EndpointDecision(endpoints=endpoints, decided=guarded(judged, made.withheld), claimed=claimed)
    return PlanResult(endpoints=decision, plan=made)


def _plan(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    wanted: tuple[ep.Endpoint, ...],
    claimed: tuple[ep.Claimed, ...],
    judged: tuple[DecidedEndpoint, ...],
    serving: served.ServedDecision,
) -> RegistryPlan:
    inputs, competing = indexed.inputs, detect_competing_writer(indexed, wanted)
    by_key: dict[str, list[ep.Endpoint]] = defaultdict(list)
    for endpoint in wanted:
        by_key[endpoint.key].append(endpoint)
    draft.withheld += [*map(_claimed, claimed), *serving.withheld]
    pending_deletions = serving.confirming | _plan_services(indexed, draft, competing, by_key, by_service(judged))
    prune_empty_services(indexed, draft)
    write_conflict_tags(indexed, draft)
    draft.withheld += [
        Withheld(what="service", service=key, id="", why="conflict", detail=_TWO)
        for key in indexed.conflict.conflicting_deployments
    ]
    draft.notes |= {*indexed.conflict.notes, *_controllers(indexed), *_shifts(indexed)}
    actions = draft.actions()
    return RegistryPlan(
        actions=actions,
        gates=_gates(indexed, wanted, draft) if inputs.settings.readiness_gate else (),
        withheld=tuple(sorted(draft.withheld, key=lambda w: (w.service, w.what, w.id, w.why))),
        memory=next_state(indexed, {e.id for e in wanted}, actions, pending_deletions, competing),
        notes=tuple(sorted(draft.notes)),
        endpoints=len(wanted),
        registered=sum(map(len, indexed.ours.values())),
        again_at=min((at for at in (*(w.until for w in draft.withheld), serving.again_at) if at), default=0.0),
        begun=min([inputs.registry.begun, *(view.begun for view in indexed.seen.values())]),
        conflict=bool(indexed.conflict.conflicting_deployments),
        discovery={s.key: s.discovered_by for s in inputs.registry.services if s.http_name or s.account},
        moving=(moving(inputs.topology.nodes, indexed.ours) if actions or draft.withheld else ()),
        pods_pending=bool(actions) and ep.pods_pending(inputs.topology.nodes, indexed.clusters, indexed.seen.values()),
    )


def _plan_services(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    competing: CompetingWriter,
    by_key: dict[str, list[ep.Endpoint]],
    judged: dict[str, dict[str, DecidedEndpoint]],
) -> dict[str, float]:
    """Adds of all services, then removals, which may wait for an add of any; the confirmations to
    remember.
    """
    pending: list[tuple[ServiceView, list[Deletion], dict[str, list[str]]]] = []
    added: dict[str, str] = {}
    for key in sorted(indexed.named | indexed.services.keys()):
        service, wanted = indexed.services.get(key), by_key.get(key, [])
        problem = service.problem if service is not None else None
        if service is None or problem is not None or not service.namespace_type:
            _hold_all(draft, key, wanted, problem or _NO_NAMESPACE)
            continue
        removals, gained = _plan_adds(indexed, draft, competing, service, wanted, judged.get(key, {}))
        added |= {ident: key for ids in gained.values() for ident in ids}
        pending.append((service, removals, gained))
    lacking = {held.id for held in draft.withheld if held.what == "register"}
    pending_deletions: dict[str, float] = {}
    for service, removals, gained in pending:
        if removals:
            adds, health = Additions(gained=gained, added=added, lacking=lacking), health_of(indexed, service)
            pending_deletions |= plan_deregistrations(indexed, draft, service, removals, adds, health)
    return pending_deletions


_NO_NAMESPACE = Problem(why="namespace-missing", detail="its Cloud Map namespace does not exist", fix=CREATE)


def _hold_all(draft: PlanBuilder, key: str, wanted: list[ep.Endpoint], problem: Problem) -> None:
    """Nothing can be done in a service. One that was not read is named even where nothing is to be
    added.
    """
    draft.hold_adds(wanted, problem.why, problem.text)
    if not wanted and problem.why == "unreadable":
        draft.withheld.append(Withheld(what="service", service=key, id="", why=problem.why, detail=problem.text))


def _plan_adds(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    competing: CompetingWriter,
    service: ServiceView,
    wanted: list[ep.Endpoint],
    judged: dict[str, DecidedEndpoint],
) -> tuple[list[Deletion], dict[str, list[str]]]:
    """Plan the adds of one service; the removals it wants, and the ids that each virtual node
    gains.
    """
    key = service.key
    removals = deletion_candidates(draft, service, judged)
    if indexed.conflict.conflicting_deployments or key in competing.stopped:
        have = {i.id for i in service.instances}
        why: WithheldWhy = "conflict" if indexed.conflict.conflicting_deployments else "competing-writer"
        detail = _TWO if indexed.conflict.conflicting_deployments else competing.text(key)
        draft.hold_adds((e for e in wanted if e.id not in have), why, detail)
        withhold_all(draft, service, removals, why)
        return [], {}
    unwell = is_unwell(indexed, draft, service, judged)
    removals += [*unwell, *left_behind(indexed, draft, service, wanted)]
    health = health_of(indexed, service)
    writable = calm(indexed, draft, service, registrable(indexed, draft, service, wanted), health)
    ensure_service(indexed, draft, service, writable)
    leaving = frozenset(r.instance.id for r in removals if r.why == "dead")
    gained = register(
        indexed, draft, service, writable, capacity_of(service, leaving, more=len(removals) > len(leaving))
    )
    recover(indexed, draft, service, writable, unwell, health)
    if indexed.policy.removals == "upsert-only" and not indexed.operator.draining:
        withhold_all(draft, service, removals, "policy")
        return [], gained
    return removals, gained


def _claimed(claimed: ep.Claimed) -> Withheld:
    why: WithheldWhy = "claimed"
    detail = f"selected by {' and '.join(claimed.nodes)}; give each pod to one virtual node"
    if claimed.doubt:
        why = "implausible"
        detail = (
            f"{claimed.doubt}; look at the cluster's API, or name its networks in `pod_cidrs`"
            " (docs/explanation/security.md)"
        )
    ident = ep.instance_id(claimed.cluster, claimed.uid)
    return Withheld(
        what="register",
        service="",
        id=ident,
        cluster=claimed.cluster,
        pod=claimed.pod,
        why=why,
        detail=detail,
    )


def _controllers(indexed: IndexedInputs) -> list[str]:
    """What a person must know of AWS's controller beside us."""
    beside = [
        f"{name}: AWS's App Mesh controller runs there ({deployment}) and would undo our writes, so nothing of {name}"
        " is written but what takes out dead pods. Take the Cloud Map and App Mesh write rights from its role, keep"
        f" its webhook running, and say `controller: injector-only` for {name} in crossmesh.yaml"
        " (docs/how-to/take-over.md); `controller: none` if it is no such controller"
        for name, deployment in indexed.controlled.items()
    ]
    if not indexed.inputs.settings.readiness_gate:
        beside += [
            f"{name}: {shut} pods wait for the readiness gate {GATE}, which nobody opens; `readiness_gate: true` lets"
            " crossmesh (docs/how-to/take-over.md)"
            for name, view in indexed.seen.items()
            if name not in indexed.controlled and (shut := sum(1 for pod in view.pods if pod.gate == "closed"))
        ]
    return beside + [
        f"{name}: cannot tell whether AWS's App Mesh controller runs there: {view.controller_unknown}; apply"
        " clusters/reader.yaml of this version"
        for name, view in indexed.seen.items()
        if view.controller_unknown and not indexed.clusters[name].controller
    ]


def _shifts(indexed: IndexedInputs) -> list[str]:
    """Zones that traffic was shifted away from."""
    found = [
        f"{name}: traffic was shifted away from zone {zone} (ARC): its pods leave Cloud Map until the shift ends; those"
        " of a virtual node that has none elsewhere stay"
        for name, view in indexed.seen.items()
        for zone in view.shifted
    ]
    return found + [
        f"{name}: cannot tell whether a zone is shifted: {view.shift_unknown}; apply clusters/reader.yaml of this"
        " version"
        for name, view in indexed.seen.items()
        if view.shift_unknown
    ]


def _place(endpoint: ep.Endpoint) -> tuple[str, str]:
    return endpoint.attributes[ep.NAMESPACE], endpoint.attributes[ep.POD]


def _gates(indexed: IndexedInputs, wanted: tuple[ep.Endpoint, ...], draft: PlanBuilder) -> tuple[OpenGate, ...]:
    """Closed readiness gates of pods that stand registered, or are being registered."""
    closed = {(name, pod.uid) for name, view in indexed.seen.items() for pod in view.pods if pod.gate == "closed"}
    there = {i.id for instances in indexed.ours.values() for i in instances} if closed else set()
    there |= {action.id for action in draft.actions() if isinstance(action, Register)} if closed else set()
    return tuple(
        OpenGate(
            cluster=e.cluster, pod=e.pod, place=_place(e), uid=e.uid, namespace=e.namespace, service=e.service, id=e.id
        )
        for e in wanted
        if (e.cluster, e.uid) in closed and e.id in there and e.cluster not in indexed.controlled
    )
