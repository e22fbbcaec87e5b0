"""The registry's planner: views of clusters and of Cloud Map in, a plan out. Pure; the same inputs in any order give the same bytes.

The rules of design section 3 live beside it: `judging` (unknown is not empty, own before touch), `adding`, `removing` and `brake` (dead ones at once, add
before remove, confirmations), `contest` (another hand), `remembering` (what the next pass must know).
"""

from collections import defaultdict

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import RegistryPlan, Withheld, WithheldWhy
from crossmesh.core.adding import ensure, register
from crossmesh.core.contest import Contest, notice
from crossmesh.core.judging import unwanted
from crossmesh.core.remembering import remember
from crossmesh.core.removing import remove, retire, stand
from crossmesh.core.scene import Draft, Inputs, Scene, deployment_tag

__all__ = ["Inputs", "deployment_tag", "plan"]


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
    claims = frozenset(c.uid for c in claimed)
    confirmations: dict[str, float] = {}
    for key in sorted(scene.named | scene.services.keys()):
        confirmations |= _service(scene, draft, contest, key, by_service.get(key, []), claims)
    draft.withheld += map(_claimed, claimed)
    retire(scene, draft)
    draft.notes |= set(scene.conflicts)
    actions = draft.actions()
    return RegistryPlan(
        actions=actions,
        withheld=tuple(sorted(draft.withheld, key=lambda w: (w.service, w.what, w.id, w.why))),
        memory=remember(scene, actions, confirmations, contest),
        notes=tuple(sorted(draft.notes)),
        endpoints=len(wanted),
        registered=sum(map(len, scene.ours.values())),
        again_at=min((w.until for w in draft.withheld if w.until), default=0.0),
        begun=min([inputs.registry.begun, *(view.begun for view in scene.seen.values())]),
    )


def _service(scene: Scene, draft: Draft, contest: Contest, key: str, wanted: list[ep.Endpoint], claims: frozenset[str]) -> dict[str, float]:
    """Plan one Cloud Map service; the confirmations to remember."""
    service = scene.services.get(key)
    if service is None or not service.namespace_type:
        name = key.partition(".")[2]
        draft.hold_adds(wanted, "namespace-missing", f"Cloud Map namespace {name} does not exist; create it (docs/operating.md)")
        return {}
    removals = unwanted(scene, draft, service, {e.id for e in wanted}, claims)
    if scene.conflicts or key in contest.stopped:
        have = {i.id for i in service.instances}
        why: WithheldWhy = "conflict" if scene.conflicts else "contested"
        detail = "another deployment uses this owner" if scene.conflicts else contest.text(key)
        draft.hold_adds((e for e in wanted if e.id not in have), why, detail)
        stand(draft, service, removals, why)
        return {}
    ensure(scene, draft, service, wanted)
    gained = register(scene, draft, service, wanted, leaving=sum(1 for r in removals if r.why == "dead"))
    if scene.policy.removals == "upsert-only" and not scene.operator.draining:
        stand(draft, service, removals, "policy")
        return {}
    return remove(scene, draft, service, removals, gained)


def _claimed(claimed: ep.Claimed) -> Withheld:
    detail = f"selected by {' and '.join(claimed.nodes)}; give each pod to one virtual node"
    ident = ep.instance_id(claimed.cluster, claimed.uid)
    return Withheld(what="register", service="", id=ident, cluster=claimed.cluster, pod=claimed.pod, why="claimed", detail=detail)
