"""Removals of one service through policy and brake, and services that nothing names any more."""

from collections import Counter
from collections.abc import Mapping, Sequence

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import DeleteService, Deregister, WithheldWhy
from crossmesh.core.brake import confirm
from crossmesh.core.judging import Removal
from crossmesh.core.scene import OWNER_TAG, Draft, Scene, pod_of
from crossmesh.core.views import ServiceView

_CERTAIN = ("dead", "forgotten")  # not counted by the brake: the pod was seen ending, or a person said so


def remove(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[Removal], gained: Mapping[str, int]) -> dict[str, float]:
    """Deregister what may go now, withhold the rest; the confirmations to remember. `gained`: instances added for each virtual node."""
    standing = Counter(i.attributes.get(ep.VIRTUAL_NODE, "") for i in scene.ours[service.key])
    registered = sum(standing.values())
    standing.subtract(r.node for r in wanted if r.why in _CERTAIN)
    counted = [r for r in wanted if r.why not in _CERTAIN]
    verdict = confirm(
        {r.instance.id: r.node for r in counted},
        {r.instance.id: r.begun for r in counted},
        standing=standing,
        adds=gained,
        registered=registered,
        remembered=scene.memory.confirmations,
        policy=scene.policy,
    )
    for removal in wanted:
        until = verdict.waiting.get(removal.instance.id)
        if until is None:
            draft.act(service.key, _deregister(scene, removal, gained))
        else:
            detail = f"{removal.reason}; {verdict.why}: waits for a second listing"
            draft.hold_removal(service.key, removal.instance, "unconfirmed", detail, until)
    return verdict.remember


def stand(draft: Draft, service: ServiceView, wanted: Sequence[Removal], why: WithheldWhy) -> None:
    """Withhold all removals of a service."""
    for removal in wanted:
        draft.hold_removal(service.key, removal.instance, why, removal.reason)


def _deregister(scene: Scene, removal: Removal, gained: Mapping[str, int]) -> Deregister:
    attributes = removal.instance.attributes
    lives = removal.why == "unselected"
    replaced = lives or (removal.why in ("unready", "gone") and gained.get(removal.node, 0) > 0)
    return Deregister(
        namespace=removal.service.namespace,
        service=removal.service.service,
        id=removal.instance.id,
        owner=scene.owner,
        cluster=attributes[ep.CLUSTER],
        uid=attributes.get(ep.POD_UID, ""),
        node=removal.node,
        pod=pod_of(removal.instance),
        why=removal.why,
        reason=removal.reason,
        phase=2 if replaced else 1,
    )


def retire(scene: Scene, draft: Draft) -> None:
    """Remove services that we made, that are empty and that no document names (rule 2)."""
    if scene.conflicts or scene.policy.removals == "upsert-only":
        return
    for key, service in scene.services.items():
        if service.id and key not in scene.named and service.tags.get(OWNER_TAG) == scene.owner and not service.instances:
            reason = "made by us, empty, and no virtual node names it"
            draft.act(key, DeleteService(namespace=service.namespace, service=service.service, id=service.id, reason=reason))
