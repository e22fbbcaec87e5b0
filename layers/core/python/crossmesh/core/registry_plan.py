"""The registry's planner: views of clusters and of Cloud Map in, a plan out. Pure; the same inputs in any order give the same bytes.

The rules of design section 3 live beside it: `judging` (unknown is not empty, own before touch), `adoption` (what AWS's controller left), `adding`, `removing`
and `brake` (dead ones at once, add before remove, confirmations), `health` (marked instead of removed), `contest` (another hand), `neighbour` (another
deployment), `remembering`.
"""

from collections import defaultdict

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import OpenGate, Register, RegistryPlan, Withheld, WithheldWhy
from crossmesh.core.adding import admitted, ensure, register, room_in, say
from crossmesh.core.contest import Contest, notice
from crossmesh.core.health import health_of, recover, sick
from crossmesh.core.judging import Removal, left_behind, unwanted
from crossmesh.core.neighbour import deployment_tag
from crossmesh.core.remembering import remember
from crossmesh.core.removing import remove, retire, stand
from crossmesh.core.scene import Draft, Inputs, Scene
from crossmesh.core.views import GATE, ServiceView

__all__ = ["Inputs", "deployment_tag", "plan"]


_TWO = "another deployment uses this owner"


def plan(inputs: Inputs) -> RegistryPlan:
    """Decide what brings the registry to the pods that are there, and what must wait."""
    scene, draft = Scene(inputs), Draft()
    wanted, claimed = ep.desired(inputs.topology.nodes, scene.clusters, scene.seen.values(), owner=scene.owner)
    if scene.operator.draining:
        wanted, claimed = (), ()
    contest = notice(scene, wanted)
    by_service: dict[str, list[ep.Endpoint]] = defaultdict(list)
    for endpoint in wanted:
        by_service[endpoint.key].append(endpoint)
    draft.withheld += map(_claimed, claimed)
    confirmations = _plan_services(scene, draft, contest, by_service, frozenset(c.uid for c in claimed))
    retire(scene, draft)
    say(scene, draft)
    draft.withheld += [Withheld(what="service", service=key, id="", why="conflict", detail=_TWO) for key in scene.conflict.neighbours]
    draft.notes |= {*scene.conflict.notes, *_controllers(scene), *_shifts(scene)}
    actions = draft.actions()
    return RegistryPlan(
        actions=actions,
        gates=_gates(scene, wanted, draft) if inputs.settings.readiness_gate else (),
        withheld=tuple(sorted(draft.withheld, key=lambda w: (w.service, w.what, w.id, w.why))),
        memory=remember(scene, {e.id for e in wanted}, actions, confirmations, contest),
        notes=tuple(sorted(draft.notes)),
        endpoints=len(wanted),
        registered=sum(map(len, scene.ours.values())),
        again_at=min((w.until for w in draft.withheld if w.until), default=0.0),
        begun=min([inputs.registry.begun, *(view.begun for view in scene.seen.values())]),
        conflict=bool(scene.conflict.neighbours),
        awaited=bool(actions) and ep.awaited(inputs.topology.nodes, scene.clusters, scene.seen.values()),
    )


def _plan_services(
    scene: Scene, draft: Draft, contest: Contest, by_service: dict[str, list[ep.Endpoint]], claims: frozenset[str]
) -> dict[str, float]:
    """Adds of all services, then removals, which may wait for an add of any; the confirmations to remember."""
    pending: list[tuple[ServiceView, list[Removal], dict[str, list[str]]]] = []
    added: dict[str, str] = {}
    for key in sorted(scene.named | scene.services.keys()):
        service, wanted = scene.services.get(key), by_service.get(key, [])
        if service is None or not service.namespace_type:
            name = key.partition(".")[2]
            draft.hold_adds(wanted, "namespace-missing", f"Cloud Map namespace {name} does not exist; create it (docs/operating.md)")
            continue
        removals, gained = _plan_adds(scene, draft, contest, service, wanted, claims)
        added |= {ident: key for ids in gained.values() for ident in ids}
        pending.append((service, removals, gained))
    lacking = {held.id for held in draft.withheld if held.what == "register"}
    confirmations: dict[str, float] = {}
    for service, removals, gained in pending:
        if removals:
            health = health_of(scene, service)
            confirmations |= remove(scene, draft, service, removals, gained=gained, added=added, lacking=lacking, health=health)
    return confirmations


def _plan_adds(
    scene: Scene, draft: Draft, contest: Contest, service: ServiceView, wanted: list[ep.Endpoint], claims: frozenset[str]
) -> tuple[list[Removal], dict[str, list[str]]]:
    """Plan the adds of one service; the removals it wants, and the ids that each virtual node gains."""
    key = service.key
    removals = unwanted(scene, draft, service, {e.id for e in wanted}, claims)
    if scene.conflict.neighbours or key in contest.stopped:
        have = {i.id for i in service.instances}
        why: WithheldWhy = "conflict" if scene.conflict.neighbours else "contested"
        detail = _TWO if scene.conflict.neighbours else contest.text(key)
        draft.hold_adds((e for e in wanted if e.id not in have), why, detail)
        stand(draft, service, removals, why)
        return [], {}
    unwell = sick(scene, draft, service, wanted)
    removals += [*unwell, *left_behind(scene, draft, service, wanted)]
    writable = admitted(scene, draft, service, wanted)
    ensure(scene, draft, service, writable)
    leaving = sum(1 for r in removals if r.why == "dead")
    gained = register(scene, draft, service, writable, room_in(service, leaving, more=len(removals) > leaving))
    recover(scene, draft, service, writable, unwell, health_of(scene, service))
    if scene.policy.removals == "upsert-only" and not scene.operator.draining:
        stand(draft, service, removals, "policy")
        return [], gained
    return removals, gained


def _claimed(claimed: ep.Claimed) -> Withheld:
    detail = f"selected by {' and '.join(claimed.nodes)}; give each pod to one virtual node"
    ident = ep.instance_id(claimed.cluster, claimed.uid)
    return Withheld(what="register", service="", id=ident, cluster=claimed.cluster, pod=claimed.pod, why="claimed", detail=detail)


def _controllers(scene: Scene) -> list[str]:
    """What a person must know of AWS's controller beside us."""
    beside = [
        f"{name}: AWS's App Mesh controller runs there ({deployment}) and would undo our writes, so nothing of {name} is written. "
        "Take the Cloud Map and App Mesh write rights from its role, keep its webhook running, "
        f"and say `controller: injector-only` for {name} in crossmesh.yaml (docs/operating.md)"
        for name, deployment in scene.controlled.items()
    ]
    if not scene.inputs.settings.readiness_gate:
        beside += [
            f"{name}: {shut} pods wait for the readiness gate {GATE}, which nobody opens; `readiness_gate: true` lets crossmesh (docs/operating.md)"
            for name, view in scene.seen.items()
            if name not in scene.controlled and (shut := sum(1 for pod in view.pods if pod.gate == "closed"))
        ]
    return beside + [
        f"{name}: cannot tell whether AWS's App Mesh controller runs there: {view.controller_unknown}; apply clusters/reader.yaml of this version"
        for name, view in scene.seen.items()
        if view.controller_unknown and scene.clusters[name].controller != "injector-only"
    ]


def _shifts(scene: Scene) -> list[str]:
    """Zones that traffic was shifted away from."""
    found = [
        f"{name}: traffic was shifted away from zone {zone} (ARC): its pods leave Cloud Map until the shift ends; those of a virtual node that has none "
        "elsewhere stay"
        for name, view in scene.seen.items()
        for zone in view.shifted
    ]
    return found + [
        f"{name}: cannot tell whether a zone is shifted: {view.shift_unknown}; apply clusters/reader.yaml of this version"
        for name, view in scene.seen.items()
        if view.shift_unknown
    ]


def _gates(scene: Scene, wanted: tuple[ep.Endpoint, ...], draft: Draft) -> tuple[OpenGate, ...]:
    """Closed readiness gates of pods that stand registered, or are being registered."""
    closed = {pod.uid for view in scene.seen.values() for pod in view.pods if pod.gate == "closed"}
    there = {i.id for instances in scene.ours.values() for i in instances} if closed else set()
    there |= {action.id for action in draft.actions() if isinstance(action, Register)} if closed else set()
    return tuple(
        OpenGate(cluster=e.cluster, pod=e.pod, uid=e.uid, namespace=e.namespace, service=e.service, id=e.id)
        for e in wanted
        if e.uid in closed and e.id in there and e.cluster not in scene.controlled
    )
