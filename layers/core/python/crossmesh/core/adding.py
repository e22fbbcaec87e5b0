"""Adds and changes of one service: what its endpoints lack in Cloud Map, in an order that never depends on that of the inputs."""

from collections.abc import Sequence

import msgspec

from crossmesh.core import endpoints as ep
from crossmesh.core.actions import CreateService, Register, TagService
from crossmesh.core.neighbour import deployment_tag
from crossmesh.core.scene import OWNER_TAG, Draft, Scene
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
            ipv6=ep.IPV4 not in wanted[0].attributes,
            tags={OWNER_TAG: scene.owner, **mark},
            creator=f"{scene.owner}/{service.key}",
            reason=f"{wanted[0].node} names it and it does not exist",
        )
        draft.act(service.key, action)
    elif deployment_tag(scene.owner) not in service.tags:
        reason = "leave this deployment's mark before writing into it"
        draft.act(service.key, TagService(namespace=service.namespace, service=service.service, arn=service.arn, tags=mark, reason=reason))


def say(scene: Scene, draft: Draft) -> None:
    """To another deployment of our owner: that we found it there, or that a person decided against it."""
    for key, tags in scene.conflict.tags.items():
        service = scene.services[key]
        reason = "another deployment uses this owner: tell it so"
        if deployment_tag(scene.owner) in tags:
            reason = f"`crossmesh resume {key}`: this deployment is the one"
        draft.act(key, TagService(namespace=service.namespace, service=service.service, arn=service.arn, tags=tags, reason=reason))


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Places left in a service: `now`, and `later`, once the instances that leave in phase 1 are gone. `more`: removals that will make room after that."""

    now: int
    later: int
    more: bool


def room_in(service: ServiceView, leaving: int, *, more: bool) -> Room:
    """The room beside what stands there, foreign instances included."""
    free = max(0, SERVICE_LIMIT - len(service.instances))
    return Room(now=free, later=free + leaving, more=more)


def register(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint], room: Room) -> dict[str, list[str]]:
    """Add and change; the ids that each virtual node gains. What has no room yet waits for the next pass, in the order of ids, and freezes nothing else."""
    have = {i.id: i for i in service.instances}
    gained: dict[str, list[str]] = {}
    count = 0
    for endpoint in wanted:
        old = have.get(endpoint.id)
        if old is None:
            if count >= room.later:
                draft.hold_add(endpoint, "service-full", _FULL, until=scene.inputs.registry.begun if room.more else 0.0)
                continue
            count += 1
            gained.setdefault(endpoint.node, []).append(endpoint.id)
            attributes = {**endpoint.attributes, ep.INIT_HEALTH: "HEALTHY"}
            reason = f"pod {endpoint.pod} of {endpoint.cluster} is ready"
            _add(draft, service, endpoint, attributes, reason, phase=1 if count <= room.now else 2)
        elif old.attributes.get(ep.OWNER) != scene.owner:
            draft.hold_add(endpoint, "foreign-id", f"an instance without our mark stands under this id in {service.key}")
        elif not endpoint.attributes.items() <= old.attributes.items():
            _add(draft, service, endpoint, {**old.attributes, **endpoint.attributes}, _difference(endpoint, old), change=True)
    return gained


_FULL = f"the service holds its {SERVICE_LIMIT} instances, Cloud Map's fixed limit: give the virtual node a second service, or run fewer pods"


def admitted(scene: Scene, draft: Draft, service: ServiceView, wanted: Sequence[ep.Endpoint]) -> list[ep.Endpoint]:
    """Those that may be written: not of a cluster where AWS's controller would undo it, and of the family of addresses that the service's records hold."""
    records = service.records or (("AAAA",) if wanted and ep.IPV4 not in wanted[0].attributes else ("A",))
    if service.namespace_type == "HTTP":
        needed: tuple[str, ...] = ()
    else:
        needed = tuple(key for record, key in (("A", ep.IPV4), ("AAAA", ep.IPV6)) if record in records)
    if not scene.controlled and all(key in e.attributes for e in wanted for key in needed):
        return list(wanted)
    have = {i.id for i in scene.ours[service.key]}
    found = []
    for endpoint in wanted:
        missing = [key for key in needed if key not in endpoint.attributes]
        if endpoint.cluster in scene.controlled:
            if endpoint.id not in have:
                draft.hold_add(endpoint, "controller", f"AWS's controller runs in {endpoint.cluster}; see the notes")
        elif missing:
            told = f"{service.key} has {' and '.join(records)} records and the pod no {', '.join(missing)}: give its virtual node a service of its own"
            draft.hold_add(endpoint, "address-family", told)
        else:
            found.append(endpoint)
    return found


def _difference(endpoint: ep.Endpoint, old: Instance) -> str:
    drift = sorted(k for k, v in endpoint.attributes.items() if old.attributes.get(k) != v)
    shown = ", ".join(f"{k}: {old.attributes.get(k, 'none')} → {endpoint.attributes[k]}" for k in drift[:3])
    return f"attributes differ: {shown}" + (f" and {len(drift) - 3} more" if len(drift) > 3 else "")


def _add(
    draft: Draft, service: ServiceView, endpoint: ep.Endpoint, attributes: dict[str, str], reason: str, *, change: bool = False, phase: int = 1
) -> None:
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
            phase=phase,
        ),
    )
