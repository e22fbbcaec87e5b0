"""Custom health (rule 5): where the Cloud Map service was made with it, an instance whose pod lives but is unwell is marked UNHEALTHY and stays.

Cloud Map takes about 30 s to show what was asked for, and asking again is no faster (API model, HealthCheckCustomConfig); so what was asked lately counts
as shown.
"""

from collections.abc import Mapping, Sequence

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import SetHealth
from crossmesh.core.adoption import pod_of
from crossmesh.core.judging import Removal
from crossmesh.core.scene import Draft, Scene
from crossmesh.core.views import Instance, ServiceView

LAG = 60.0  # seconds that an answer may still show the old status; AWS says 30


def health_of(scene: Scene, service: ServiceView) -> dict[str, str]:
    """Instance id -> status, what was asked for lately included; empty where the service has no custom health."""
    if not service.custom_health:
        return {}
    now = scene.inputs.registry.begun
    asked = {i: status for i, (status, at) in scene.memory.asked.items() if now - at < LAG}
    return {i.id: asked.get(i.id) or service.health.get(i.id, "UNKNOWN") for i in scene.ours[service.key]}


def sick(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint]) -> list[Removal]:
    """Instances of ready pods that a canary names: held until the pod is another one or the canary takes its word back, never deregistered for it."""
    if not scene.inputs.sick:
        return []
    have = {i.id: i for i in scene.ours[service.key]}
    found = []
    for endpoint in wanted:
        said, instance = scene.inputs.sick.get(endpoint.id), have.get(endpoint.id)
        if said is None or instance is None or said.uid != endpoint.uid:
            continue
        if not service.custom_health:
            draft.notes.add(
                f"{endpoint.pod} of {endpoint.cluster} is sick ({said.evidence}) and stays: {service.key} was made without custom health"
            )
            continue
        reason = f"pod {endpoint.pod} of {endpoint.cluster} is sick: {said.evidence}"
        found.append(Removal(service=service, instance=instance, why="sick", reason=reason, begun=scene.seen[endpoint.cluster].begun))
    return found


def recover(
    scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint], unwell: Sequence[Removal], health: Mapping[str, str]
) -> None:
    """Mark those HEALTHY again whose pods are ready and that nobody calls sick."""
    if "UNHEALTHY" not in health.values():
        return
    still, have = {removal.instance.id for removal in unwell}, {i.id: i for i in scene.ours[service.key]}
    for endpoint in wanted:
        if health.get(endpoint.id) == "UNHEALTHY" and endpoint.id not in still:
            mark(scene, draft, service, have[endpoint.id], "HEALTHY", f"pod {endpoint.pod} of {endpoint.cluster} is ready again")


def mark(scene: Scene, draft: Draft, service: ServiceView, instance: Instance, status: str, reason: str) -> None:
    """Plan a change of health."""
    attributes = instance.attributes
    action = SetHealth(
        namespace=service.namespace,
        service=service.service,
        id=instance.id,
        owner=scene.owner,
        cluster=attributes.get(ep.CLUSTER, ""),
        uid=attributes.get(ep.POD_UID, ""),
        node=attributes.get(ep.VIRTUAL_NODE, ""),
        pod=pod_of(instance),
        status="HEALTHY" if status == "HEALTHY" else "UNHEALTHY",
        reason=reason,
    )
    draft.act(service.key, action)
