"""Adds and changes of one service: what its endpoints lack in Cloud Map, in an order that never
depends on that of the inputs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from crossmesh.core.bounds import text
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.observed import Instance, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.ownership_conflict import deployment_tag
from crossmesh.core.registry.plan import CreateService, Register, TagService
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder
from crossmesh.core.registry.service_demands import lack, records_of, satisfied
from crossmesh.core.registry.shared_addresses import holders, may_take_over

SERVICE_LIMIT = 1_000  # instances per service, fixed (Cloud Map quotas page)


def ensure_service(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, wanted: Sequence[ep.Endpoint]
) -> None:
    """The service exists and carries our deployment's mark, before anything is written into it."""
    if not wanted:
        return
    mark = {deployment_tag(indexed.owner): indexed.inputs.deployment}
    if not service.id:
        action = CreateService(
            namespace=service.namespace,
            service=service.service,
            namespace_id=service.namespace_id,
            dns=service.namespace_type == "DNS_PRIVATE",
            api_only=service.namespace_type == "DNS_PUBLIC",
            ipv6=ep.IPV4 not in wanted[0].attributes,
            tags={OWNER_TAG: indexed.owner, **mark},
            creator=f"{indexed.owner}/{service.key}",
            reason=f"{wanted[0].node} names it and it does not exist",
        )
        draft.act(service.key, action)
    elif deployment_tag(indexed.owner) not in service.tags:
        reason = "leave this deployment's mark before writing into it"
        draft.act(
            service.key,
            TagService(namespace=service.namespace, service=service.service, arn=service.arn, tags=mark, reason=reason),
        )


def write_conflict_tags(indexed: IndexedInputs, draft: PlanBuilder) -> None:
    """To another deployment of our owner: that we found it there, or that a person decided against
    it.
    """
    for key, tags in indexed.conflict.tags.items():
        service = indexed.services[key]
        reason = "another deployment uses this owner: tell it so"
        if deployment_tag(indexed.owner) in tags:
            reason = f"`crossmesh resume {key}`: this deployment is the one"
        draft.act(
            key,
            TagService(namespace=service.namespace, service=service.service, arn=service.arn, tags=tags, reason=reason),
        )


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Places left in a service: `now`, and `later`, once the instances `leaving` in phase 1 are
    gone. `more`: removals that will make room after that.
    """

    now: int
    later: int
    leaving: frozenset[str]
    more: bool


def capacity_of(service: ServiceView, leaving: frozenset[str], *, more: bool) -> Capacity:
    """The room beside what stands there, foreign instances included. `leaving`: ids of dead
    ones.
    """
    free = max(0, SERVICE_LIMIT - len(service.instances))
    return Capacity(now=free, later=free + len(leaving), leaving=leaving, more=more)


def register(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, wanted: Sequence[ep.Endpoint], room: Capacity
) -> dict[str, list[str]]:
    """Add and change; the ids that each virtual node gains. What has no room yet waits for the next
    pass, and freezes nothing else.
    """
    have, held = {i.id: i for i in service.instances}, holders(service)
    alone = service.key in indexed.memory.unshared
    gained: dict[str, list[str]] = {}
    touched: list[ep.Endpoint] = []
    newcomers = [endpoint for endpoint in wanted if endpoint.id not in have]
    if alone:
        newcomers = [e for e in newcomers if not _taken(draft, service, e, held, room)]
    for count, endpoint in enumerate(_in_turn(indexed, service, newcomers, room), start=1):
        if count > room.later:
            draft.hold_add(endpoint, "service-full", _FULL, until=indexed.inputs.registry.begun if room.more else 0.0)
            continue
        gained.setdefault(endpoint.node, []).append(endpoint.id)
        touched.append(endpoint)
        attributes = {**endpoint.attributes, ep.INIT_HEALTH: "HEALTHY"}
        reason = f"pod {endpoint.pod} of {endpoint.cluster} is ready"
        holder = held[endpoint.address].id if endpoint.address in held else ""
        phase = 2 if count > room.now or (alone and holder) else 1
        draft.act(service.key, replace(_register(service, endpoint, attributes, reason), shares=holder, phase=phase))
    touched += [
        endpoint
        for endpoint in wanted
        if endpoint.id in have and _changed(indexed, draft, service, endpoint, have[endpoint.id])
    ]
    draft.notes |= set(_dropped(service.key, touched))
    return gained


def _taken(
    draft: PlanBuilder, service: ServiceView, endpoint: ep.Endpoint, held: Mapping[str, Instance], room: Capacity
) -> bool:
    """Withhold an add that the service would refuse, for another instance holds its address and
    does not leave.
    """
    holder = held.get(endpoint.address)
    if holder is None or holder.id in room.leaving:
        return False
    told = (
        f"instance {holder.id} has its address {endpoint.address}, and {service.key} takes no second one: deregister"
        " that one, or `crossmesh adopt`"
    )
    draft.hold_add(endpoint, "address-taken", told)
    return True


def _changed(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, endpoint: ep.Endpoint, old: Instance
) -> bool:
    """Plan what differs in the instance that stands under an endpoint's id, if it is the
    endpoint's.
    """
    wanted = {**old.attributes, **endpoint.attributes}
    if may_take_over(indexed, service, old, endpoint):
        reason = (
            f"AWS's controller left it; {service.key} takes no second instance with the address of pod {endpoint.pod}"
        )
        draft.act(service.key, replace(_register(service, endpoint, wanted, reason), change=True, adopts=True))
    elif not _same_pod(old, endpoint):
        whose = (
            "an instance without our mark"
            if old.attributes.get(ep.OWNER) != indexed.owner
            else "an instance of another cluster or pod"
        )
        draft.hold_add(endpoint, "foreign-id", f"{whose} stands under this id in {service.key}")
        return False
    elif not endpoint.attributes.items() <= old.attributes.items():
        draft.act(service.key, replace(_register(service, endpoint, wanted, _difference(endpoint, old)), change=True))
    else:
        return False
    return True


def _in_turn(
    indexed: IndexedInputs, service: ServiceView, newcomers: Sequence[ep.Endpoint], room: Capacity
) -> Sequence[ep.Endpoint]:
    """Newcomers by id; where not all find room, the cluster that has least there first, so that
    none takes the places of all.
    """
    if len(newcomers) <= room.later:
        return newcomers
    turns = Counter(i.attributes.get(ep.CLUSTER, "") for i in indexed.ours[service.key] if i.id not in room.leaving)
    placed = []
    for endpoint in newcomers:
        placed.append((turns[endpoint.cluster], endpoint.id, endpoint))
        turns[endpoint.cluster] += 1
    chosen = sorted(placed, key=lambda place: place[:2])
    return [
        *sorted((e for _, _, e in chosen[: room.later]), key=attrgetter("id")),
        *(e for _, _, e in chosen[room.later :]),
    ]


def _same_pod(old: Instance, endpoint: ep.Endpoint) -> bool:
    """Whether an instance is the one that we registered for the pod. The id alone does not tell:
    others may use it.
    """
    return all(old.attributes.get(mark) == endpoint.attributes[mark] for mark in (ep.OWNER, ep.CLUSTER, ep.POD_UID))


# Labels named in one note, notes of one service, bytes of a label's name
_NAMED, _KINDS, _LABEL = 5, 10, 80


def _dropped(key: str, endpoints: Sequence[ep.Endpoint]) -> Iterator[str]:
    """Which labels are no attributes, once for all pods alike: their number and length are
    whoever's who writes pods.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for endpoint in endpoints:
        if endpoint.dropped:
            alike.setdefault((endpoint.cluster, endpoint.dropped), []).append(endpoint.pod)
    for (cluster, labels), pods in sorted(alike.items(), key=lambda item: item[1])[:_KINDS]:
        told = ", ".join(text(label, _LABEL) for label in labels[:_NAMED])
        told += f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else ""
        others = f" and {len(pods) - 1:,} more like it" if len(pods) > 1 else ""
        reserved = all(map(ep.reserved, labels))
        why = (
            "Cloud Map and readers of zones keep these names"
            if reserved
            else "left out to fit Cloud Map's attribute limits"
        )
        yield f"{pods[0]} of {cluster}{others}: labels {told} {'left out: ' + why if reserved else why}"
    if len(alike) > _KINDS:
        yield (
            f"{key}: labels of {len(alike) - _KINDS:,} more kinds of pods left out to fit Cloud Map's attribute limits"
        )


_FULL = (
    f"the service holds its {SERVICE_LIMIT} instances, Cloud Map's fixed limit: give the virtual node a second service,"
    " or run fewer pods"
)


def registrable(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, wanted: Sequence[ep.Endpoint]
) -> list[ep.Endpoint]:
    """Those that may be written: not of a cluster where AWS's controller would undo it, and with
    all that the service's records and checks demand.
    """
    records = records_of(service, [e for e in wanted if e.cluster not in indexed.controlled])
    if not indexed.controlled and satisfied(service, records, wanted):
        return list(wanted)
    have = {i.id for i in indexed.ours[service.key]}
    found = []
    for endpoint in wanted:
        if endpoint.cluster in indexed.controlled:
            if endpoint.id not in have:
                draft.hold_add(endpoint, "controller", f"AWS's controller runs in {endpoint.cluster}; see the notes")
        elif held := lack(service, records, endpoint.attributes):
            draft.hold_add(endpoint, *held)
        else:
            found.append(endpoint)
    return found


def _difference(endpoint: ep.Endpoint, old: Instance) -> str:
    drift = sorted(k for k, v in endpoint.attributes.items() if old.attributes.get(k) != v)
    shown = ", ".join(
        f"{text(k, _LABEL)}: {text(old.attributes.get(k, 'none'), _LABEL)} → {text(endpoint.attributes[k], _LABEL)}"
        for k in drift[:3]
    )
    return f"attributes differ: {shown}" + (f" and {len(drift) - 3} more" if len(drift) > 3 else "")


def _register(service: ServiceView, endpoint: ep.Endpoint, attributes: dict[str, str], reason: str) -> Register:
    return Register(
        namespace=service.namespace,
        service=service.service,
        id=endpoint.id,
        cluster=endpoint.cluster,
        node=endpoint.node,
        pod=endpoint.pod,
        attributes=attributes,
        reason=reason,
    )
