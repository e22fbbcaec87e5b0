"""Adds and changes of one service: what its endpoints lack in Cloud Map, in an order that never depends on that of the inputs."""

from collections.abc import Sequence

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import CreateService, Register, TagService
from crossmesh.core.scene import OWNER_TAG, Draft, Scene, deployment_tag
from crossmesh.core.views import Instance, ServiceView

SERVICE_LIMIT = 1_000  # instances per service, fixed (Cloud Map quotas page)


def ensure(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint]) -> None:
    """The service exists and carries our deployment's mark, before anything is written into it."""
    if not wanted:
        return
    mark = {deployment_tag(scene.owner): scene.inputs.deployment}
    if not service.id:
        action = CreateService(
            namespace=service.namespace,
            service=service.service,
            namespace_id=service.namespace_id,
            dns=service.namespace_type == "DNS_PRIVATE",
            ipv6=scene.inputs.ipv6,
            tags={OWNER_TAG: scene.owner, **mark},
            creator=f"{scene.owner}/{service.key}",
            reason=f"{wanted[0].node} names it and it does not exist",
        )
        draft.act(service.key, action)
    elif deployment_tag(scene.owner) not in service.tags:
        reason = "leave this deployment's mark before writing into it"
        draft.act(service.key, TagService(namespace=service.namespace, service=service.service, arn=service.arn, tags=mark, reason=reason))


def register(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint], leaving: int) -> dict[str, int]:
    """Add and change; how many instances each virtual node gains. `leaving`: dead instances that go in the same plan and so make room."""
    owner, mark = scene.owner, ep.OWNER
    have = {i.id: i for i in service.instances}
    room = SERVICE_LIMIT - len(have) + leaving
    gained: dict[str, int] = {}
    for endpoint in wanted:
        old = have.get(endpoint.id)
        if old is None:
            if room <= 0:
                draft.hold_add(endpoint, "service-full", f"{service.key} holds its {SERVICE_LIMIT} instances, Cloud Map's fixed limit")
                continue
            room -= 1
            gained[endpoint.node] = gained.get(endpoint.node, 0) + 1
            attributes = {**endpoint.attributes, ep.INIT_HEALTH: "HEALTHY"}
            _add(draft, service, endpoint, attributes, f"pod {endpoint.pod} of {endpoint.cluster} is ready")
        elif old.attributes.get(mark) != owner:
            draft.hold_add(endpoint, "foreign-id", f"an instance without our mark stands under this id in {service.key}")
        elif not endpoint.attributes.items() <= old.attributes.items():
            _add(draft, service, endpoint, {**old.attributes, **endpoint.attributes}, _difference(endpoint, old), change=True)
    return gained


def _difference(endpoint: ep.Endpoint, old: Instance) -> str:
    drift = sorted(k for k, v in endpoint.attributes.items() if old.attributes.get(k) != v)
    shown = ", ".join(f"{k}: {old.attributes.get(k, 'none')} → {endpoint.attributes[k]}" for k in drift[:3])
    return f"attributes differ: {shown}" + (f" and {len(drift) - 3} more" if len(drift) > 3 else "")


def _add(draft: Draft, service: ServiceView, endpoint: ep.Endpoint, attributes: dict[str, str], reason: str, *, change: bool = False) -> None:
    if endpoint.dropped:
        draft.notes.add(
            f"{endpoint.pod} of {endpoint.cluster}: labels {', '.join(endpoint.dropped)} left out to fit Cloud Map's attribute limits"
        )
    draft.act(
        service.key,
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
        ),
    )
