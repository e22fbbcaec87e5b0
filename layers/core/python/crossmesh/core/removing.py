"""Removals of one service through policy and brake, and services that nothing names any more."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import DeleteService, Deregister, WithheldWhy
from crossmesh.core.adoption import pod_of
from crossmesh.core.brake import confirm
from crossmesh.core.health import mark
from crossmesh.core.judging import Removal
from crossmesh.core.scene import OWNER_TAG, Draft, Scene
from crossmesh.core.views import ServiceView

# Not counted by the brake: the pod was seen ending, a person said so, or the same pod stands beside it.
_CERTAIN = ("dead", "forgotten", "replaced")
_UNWELL = ("unready", "sick")  # only marked, where the service has custom health


def remove(
    scene: Scene,
    draft: Draft,
    service: ServiceView,
    wanted: Sequence[Removal],
    *,
    gained: Mapping[str, Sequence[str]],
    added: Mapping[str, str],
    lacking: Container[str],
    health: Mapping[str, str],
) -> dict[str, float]:
    """Deregister (or mark UNHEALTHY) what may go now, withhold the rest; the confirmations to remember.

    `gained`: ids added in this service by virtual node; `added`: all adds of this plan, id -> service; `lacking`: ids whose add is withheld;
    `health`: instance id -> status.
    """
    down = {i for i, status in health.items() if status == "UNHEALTHY"}
    wanted = [r for r in wanted if not (r.why in _UNWELL and r.instance.id in down)]
    standing = Counter(i.attributes.get(ep.VIRTUAL_NODE, "") for i in scene.ours[service.key] if i.id not in down)
    if scene.adopting:
        standing.update(i.attributes.get(ep.VIRTUAL_NODE, "") for i in scene.left.get(service.key, ()))
    registered = sum(standing.values())
    standing.subtract(r.node for r in wanted if r.why in _CERTAIN and r.instance.id not in down)
    counted = [r for r in wanted if r.why not in _CERTAIN and r.instance.id not in down]
    verdict = confirm(
        {r.instance.id: r.node for r in counted},
        {r.instance.id: r.begun for r in counted},
        standing=standing,
        adds={node: len(ids) for node, ids in gained.items()},
        registered=registered,
        remembered={r.instance.id: at for r in counted if (at := scene.confirming(service.key, r.instance.id)) is not None},
        policy=scene.policy,
    )
    successors = {node: iter(ids) for node, ids in gained.items()}
    for removal in wanted:
        until = verdict.waiting.get(removal.instance.id)
        if until is not None:
            detail = f"{removal.reason}; {verdict.why}: waits for a second listing"
            draft.hold_removal(service.key, removal.instance, "unconfirmed", detail, until)
        elif removal.why in _UNWELL and service.custom_health:
            mark(scene, draft, service, removal.instance, "UNHEALTHY", removal.reason)
        else:
            successor = removal.after or removal.instance.id  # the same pod's, in this service or another
            if removal.why in ("unready", "gone"):
                successor = next(successors.get(removal.node, iter(())), "")
            if successor in lacking:
                draft.hold_removal(service.key, removal.instance, "waits", f"{removal.reason}; {successor} could not be added yet")
            else:
                after = f"{added[successor]}/{successor}" if successor in added else ""
                draft.act(service.key, _deregister(removal, after))
    return {f"{service.key}/{ident}": first for ident, first in verdict.remember.items()}


def stand(draft: Draft, service: ServiceView, wanted: Sequence[Removal], why: WithheldWhy) -> None:
    """Withhold all removals of a service."""
    for removal in wanted:
        draft.hold_removal(service.key, removal.instance, why, removal.reason)


def _deregister(removal: Removal, after: str) -> Deregister:
    attributes, service = removal.instance.attributes, removal.service
    return Deregister(
        namespace=service.namespace,
        service=service.service,
        id=removal.instance.id,
        owner=attributes.get(ep.OWNER, ""),
        cluster=attributes.get(ep.CLUSTER, ""),
        uid=attributes.get(ep.POD_UID, ""),
        node=removal.node,
        pod=pod_of(removal.instance),
        why=removal.why,
        after=after,
        reason=removal.reason,
        phase=3 if after or removal.why in ("unselected", "replaced") else 1,
    )


def retire(scene: Scene, draft: Draft) -> None:
    """Remove services that we made, that are empty and that no document names (rule 2)."""
    if scene.conflict.neighbours or scene.policy.removals == "upsert-only":
        return
    for key, service in scene.services.items():
        if service.id and key not in scene.named and service.tags.get(OWNER_TAG) == scene.owner and not service.instances:
            reason = "made by us, empty, and no virtual node names it"
            draft.act(key, DeleteService(namespace=service.namespace, service=service.service, id=service.id, reason=reason))
