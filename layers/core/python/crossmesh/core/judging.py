"""Which of our instances must go, and what proves it (rules 1, 2 and 4). Without proof an instance stays, withheld where a person should know."""

from collections.abc import Container, Sequence

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import RemovalWhy
from crossmesh.core.adoption import address_of, nowhere, pod_of
from crossmesh.core.scene import Draft, Scene
from crossmesh.core.views import Instance, ServiceView


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that should go (or be marked UNHEALTHY), why, and when the listing that says so began (seconds; 0 = no listing does).

    `after`: id of the instance in the same service that stands for the same pod and must be there first.
    """

    service: ServiceView
    instance: Instance
    why: RemovalWhy
    reason: str
    begun: float = 0.0
    after: str = ""

    @property
    def node(self) -> str:
        """AWS name of its virtual node."""
        return self.instance.attributes.get(ep.VIRTUAL_NODE, "")


_UNPROVED: tuple[RemovalWhy, str] = ("gone", "")  # absent from the list, and no GET has said so


def unwanted(scene: Scene, draft: Draft, service: ServiceView, wanted: Container[str], claimed: Container[str]) -> list[Removal]:
    """Our instances of a service that no endpoint wants. `wanted`: instance ids; `claimed`: uids of pods that several virtual nodes select."""
    found = []
    for instance in scene.ours[service.key]:
        if instance.id not in wanted:
            judged = _judge(scene, draft, service, instance, claimed)
            if judged:
                found.append(judged)
    return found


def _judge(scene: Scene, draft: Draft, service: ServiceView, instance: Instance, claimed: Container[str]) -> Removal | None:
    cluster = instance.attributes.get(ep.CLUSTER, "")
    if scene.operator.draining:
        return Removal(service=service, instance=instance, why="forgotten", reason="the registry is being drained")
    if scene.forgetting(cluster):
        return Removal(service=service, instance=instance, why="forgotten", reason=f"`crossmesh forget {cluster}`")
    if cluster not in scene.clusters:
        detail = f"cluster {cluster!r} is not in the settings; `crossmesh forget {cluster}` removes its instances"
        draft.hold_removal(service.key, instance, "orphaned", detail)
        return None
    if cluster in scene.unseen:
        draft.hold_removal(service.key, instance, "unseen", f"{cluster} is unseen: {scene.unseen[cluster].cause}")
        return None
    if cluster in scene.controlled:
        draft.hold_removal(service.key, instance, "controller", f"AWS's controller runs in {cluster}; see the notes")
        return None
    judged = _by_pod(scene, cluster, instance, claimed)
    if judged == _UNPROVED:
        draft.hold_removal(service.key, instance, "unseen", "the pod is absent from the list and no GET has confirmed it")
    elif judged is not None:
        why, reason = judged
        return Removal(service=service, instance=instance, why=why, reason=reason, begun=scene.seen[cluster].begun)
    return None


def _by_pod(scene: Scene, cluster: str, instance: Instance, claimed: Container[str]) -> tuple[RemovalWhy, str] | None:
    """What the view of a seen cluster says of an unwanted instance's pod."""
    view, uid = scene.seen[cluster], instance.attributes.get(ep.POD_UID, "")
    name, pod = pod_of(instance), scene.pods(cluster).get(uid)
    if pod is None:
        if instance.attributes.get(ep.NAMESPACE, "") not in view.versions:
            return "unselected", f"no virtual node selects pods in the namespace of {name}"
        if uid not in scene.gone[cluster]:
            return _UNPROVED
        if uid in scene.memory.terminating:
            return "dead", f"pod {name} of {cluster} was seen Terminating and is gone"
        return "gone", f"pod {name} of {cluster} is gone (GET: 404 or another uid)"
    if pod.dead:
        return "dead", f"pod {name} of {cluster} is {'Terminating' if pod.terminating else f'finished ({pod.phase})'}"
    if uid in claimed:
        return None
    if not pod.ready:
        return "unready", f"pod {name} of {cluster} is not ready"
    if zone := view.away(pod.node):
        return "unready", f"pod {name} of {cluster} is in zone {zone}, which traffic was shifted away from"
    return "unselected", f"pod {name} of {cluster} belongs to another service or to no virtual node now"


def left_behind(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint]) -> list[Removal]:
    """What AWS's controller left and may go: its pod stands registered by us, or is proved to be nowhere. Only named where adoption is off."""
    left = scene.left.get(service.key, ())
    if left and not scene.adopting:
        told = f"{service.key}: {len(left)} instances that AWS's controller registered (ids are addresses, no mark of ours); `crossmesh adopt` takes them over"
        draft.notes.add(told)
    if not left or not scene.adopting:
        return []
    ours = {(e.pod, e.attributes.get(ep.IPV4) or e.attributes.get(ep.IPV6)): e for e in wanted}
    views = list(scene.seen.values())
    found = []
    for instance in left:
        pod, address = pod_of(instance), address_of(instance)
        endpoint = ours.get((pod, address))
        if endpoint is not None:
            if endpoint.cluster not in scene.controlled:
                reason = f"AWS's controller left it; pod {pod} of {endpoint.cluster} is registered as {endpoint.id}"
                found.append(Removal(service=service, instance=instance, why="replaced", reason=reason, after=endpoint.id))
        elif not scene.unseen and not scene.controlled and nowhere(instance, views):
            reason = f"AWS's controller left it, and pod {pod} with address {address} is in no cluster"
            begun = min((view.begun for view in views), default=0.0)
            found.append(Removal(service=service, instance=instance, why="left-behind", reason=reason, begun=begun))
    if waiting := len(left) - len(found):
        draft.notes.add(
            f"{service.key}: {waiting} instances that AWS's controller left stay until their pods are registered here, or proved gone in every cluster"
        )
    return found
