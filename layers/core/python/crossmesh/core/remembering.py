"""What the next pass must know of this one. What was recorded of an unseen cluster stays as it is."""

from collections.abc import Container, Mapping

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import Deregister, Memory, RegistryAction, SetHealth
from crossmesh.core.contest import Contest
from crossmesh.core.health import LAG
from crossmesh.core.scene import OWNER_TAG, Scene


def remember(
    scene: Scene, wanted: Container[str], actions: tuple[RegistryAction, ...], confirmations: Mapping[str, float], contest: Contest
) -> Memory:
    """The memory after this pass. `wanted`: ids of all endpoints."""
    memory, operator = scene.memory, scene.operator
    of_unseen = ((key, i.id) for key, found in scene.ours.items() for i in found if i.attributes.get(ep.CLUSTER, "") in scene.unseen)
    kept = {f"{key}/{i}": at for key, i in of_unseen if (at := scene.confirming(key, i)) is not None} if memory.confirmations else {}
    services = {
        key: (service.id, service.arn)
        for key, service in scene.services.items()
        if service.id and (key in scene.named or scene.ours[key] or service.tags.get(OWNER_TAG) == scene.owner)
    }
    leaving = {action.id for action in actions if isinstance(action, Deregister)}
    adopts = bool(scene.unseen) or any(
        scene.left.values()
    )  # a wish lasts until nothing is left: the brake may hold some, pods may not be ready yet
    left = {i.attributes.get(ep.CLUSTER, "") for found in scene.ours.values() for i in found} if operator.forget else set()
    return Memory(
        registered=dict(sorted((i, at) for i, at in contest.registered.items() if i not in leaving)),
        lost=dict(sorted(contest.lost.items())),
        contested=dict(sorted(contest.stopped.items())),
        forgotten={**memory.forgotten, **{c: at for c, at in operator.forget.items() if c not in left or c in scene.seen}},
        accepted={**memory.accepted, **{c: at for c, at in operator.accept.items() if c in scene.seen}},
        identities={**memory.identities, **{name: view.identity for name, view in scene.seen.items()}},
        versions={**memory.versions, **{name: dict(sorted(view.versions.items())) for name, view in scene.seen.items()}},
        terminating=dict(sorted(_terminating(scene, wanted).items())),
        confirmations=dict(sorted({**kept, **confirmations}.items())),
        services=dict(sorted(services.items())),
        adopted=memory.adopted if adopts else max(memory.adopted, operator.adopt),
        asked=_asked(scene, actions),
        setbacks=memory.setbacks,
        neighbours=dict(sorted(scene.conflict.neighbours.items())),
        overruled=dict(sorted(scene.conflict.overruled.items())),
    )


def _asked(scene: Scene, actions: tuple[RegistryAction, ...]) -> dict[str, tuple[str, float]]:
    """Which health was asked for lately."""
    now = scene.inputs.registry.begun
    recent = {i: (status, at) for i, (status, at) in scene.memory.asked.items() if now - at < LAG}
    return dict(sorted({**recent, **{a.id: (a.status, now) for a in actions if isinstance(a, SetHealth)}}.items()))


def _terminating(scene: Scene, wanted: Container[str]) -> dict[str, float]:
    """Registered pods once seen Terminating or finished, so wanted no more: when the first time. Forgotten with their instance."""
    old, found = scene.memory.terminating, {}
    for instances in scene.ours.values():
        for instance in instances:
            if instance.id in wanted:
                continue
            cluster, uid = instance.attributes.get(ep.CLUSTER, ""), instance.attributes.get(ep.POD_UID, "")
            if cluster in scene.seen:
                pod = scene.pods(cluster).get(uid)
                if (pod is None and uid in old) or (pod is not None and pod.dead):
                    found[uid] = old.get(uid, scene.seen[cluster].begun)
            elif uid in old and cluster in scene.unseen:
                found[uid] = old[uid]
    return found
