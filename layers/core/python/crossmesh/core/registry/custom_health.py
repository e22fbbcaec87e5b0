"""Custom health (rule 5): where the Cloud Map service was made with it, an instance whose pod lives
but is unwell is marked UNHEALTHY and stays.

Cloud Map takes about 30 s to show what was asked for, and asking again is no faster (API model,
HealthCheckCustomConfig); so what was asked lately counts as shown.
"""

from collections.abc import Mapping, Sequence

from crossmesh.core.observed import Instance, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import pod_of
from crossmesh.core.registry.decision import DecidedEndpoint
from crossmesh.core.registry.deletions import Deletion
from crossmesh.core.registry.plan import SetHealth
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder

LAG = 60.0  # seconds that an answer may still show the old status; AWS says 30


def health_of(indexed: IndexedInputs, service: ServiceView) -> dict[str, str]:
    """Instance id -> status, what was asked for lately included; empty where the service has no
    custom health.
    """
    if not service.custom_health:
        return {}
    now = indexed.inputs.registry.begun
    asked = {i: status for i, (status, at) in indexed.memory.asked.items() if now - at < LAG}
    return {i.id: asked.get(i.id) or service.health.get(i.id, "UNKNOWN") for i in indexed.ours[service.key]}


def is_unwell(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, decided: Mapping[str, DecidedEndpoint]
) -> list[Deletion]:
    """Outliers with a ready pod (from `decided`, by id): marked UNHEALTHY, never deregistered for
    it.
    """
    found = []
    for instance in indexed.ours[service.key] if indexed.inputs.outliers else ():
        one = decided.get(instance.id)
        if one is None or one.why != "outlier":
            continue
        if not service.custom_health:
            evidence = indexed.inputs.outliers[one.id].evidence
            draft.notes.add(
                f"{one.pod} of {one.cluster} is an outlier ({evidence}) and stays: {service.key} was made without"
                " custom health"
            )
            continue
        found.append(Deletion(service=service, instance=instance, why="outlier", reason=one.reason, begun=one.begun))
    return found


def recover(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    service: ServiceView,
    wanted: Sequence[ep.Endpoint],
    unwell: Sequence[Deletion],
    health: Mapping[str, str],
) -> None:
    """Mark instances HEALTHY again whose pods are ready and that are no outliers."""
    if "UNHEALTHY" not in health.values():
        return
    still, have = {removal.instance.id for removal in unwell}, {i.id: i for i in indexed.ours[service.key]}
    for endpoint in wanted:
        if health.get(endpoint.id) == "UNHEALTHY" and endpoint.id not in still:
            mark(
                indexed,
                draft,
                service,
                have[endpoint.id],
                "HEALTHY",
                f"pod {endpoint.pod} of {endpoint.cluster} is ready again",
            )


def mark(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, instance: Instance, status: str, reason: str
) -> None:
    """Plan a change of health."""
    attributes = instance.attributes
    action = SetHealth(
        namespace=service.namespace,
        service=service.service,
        id=instance.id,
        owner=indexed.owner,
        cluster=attributes.get(ep.CLUSTER, ""),
        uid=attributes.get(ep.POD_UID, ""),
        node=attributes.get(ep.VIRTUAL_NODE, ""),
        pod=pod_of(instance),
        status="HEALTHY" if status == "HEALTHY" else "UNHEALTHY",
        reason=reason,
    )
    draft.act(service.key, action)
