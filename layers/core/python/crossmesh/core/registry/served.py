"""The endpoint decision where a mesh backend serves endpoints itself: what it serves is in force,
too, whatever Cloud Map says of it. Pure.

A pod that was published and never registered is judged like a registered one. Its removal waits for
the deletion guard, which counts all endpoints in force here. No state of Cloud Map keeps a pod in
or out; only of instances that are not ours it alone tells.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from crossmesh.core.keys import instance_key
from crossmesh.core.observed import Instance, Pod
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import nowhere, pod_of
from crossmesh.core.registry.decision import DecidedEndpoint, EndpointDecision, Fate, claims, judged_instance
from crossmesh.core.registry.deletion_guard import Candidate, ServiceCounts, guard
from crossmesh.core.registry.plan import RemovalWhy, Withheld, WithheldWhy
from crossmesh.core.registry.planning import IndexedInputs

# Not counted by the deletion guard, as for Cloud Map
_CERTAIN = ("dead", "forgotten")


class ServedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided of all that is in force. `confirming`: begin of the first listing that wanted
    a removal, by instance's key; `withheld`: removals of what Cloud Map does not hold.
    """

    endpoints: EndpointDecision = EndpointDecision()
    confirming: dict[str, float] = {}
    withheld: tuple[Withheld, ...] = ()
    again_at: float = 0.0


def decide(
    indexed: IndexedInputs,
    wanted: Iterable[ep.Endpoint],
    claimed: Iterable[ep.Claimed],
    judged: Iterable[DecidedEndpoint],
) -> ServedDecision:
    """`judged`: what was decided of the registry's own instances, before its deletion guard."""
    wanted, claimed, served = tuple(wanted), tuple(claimed), indexed.inputs.registry.served or {}
    kept = {(endpoint.key, endpoint.id) for endpoint in wanted}
    of_registry = {(key, one.id) for key, instances in indexed.ours.items() for one in instances}
    doubts = claims(claimed)
    decisions = list(judged)
    for key, instances in served.items():
        for instance in instances:
            place = (key, instance.id)
            if place not in kept | of_registry and instance.attributes.get(ep.OWNER) == indexed.owner:
                decisions.append(judged_instance(indexed, key, instance, doubts))
    decisions += _foreign(indexed, served, wanted)
    decisions, confirming, again_at = _guarded(indexed, served, wanted, decisions)
    withheld = tuple(
        Withheld(
            what="deregister",
            service=one.service,
            id=one.id,
            cluster=one.cluster,
            pod=one.pod,
            why="unconfirmed",
            detail=one.reason,
            until=one.until,
        )
        for one in decisions
        if one.why == "unconfirmed" and (one.service, one.id) not in of_registry
    )
    found = EndpointDecision(
        endpoints=wanted,
        decided=tuple(decisions),
        claimed=claimed,
        others=_others(indexed, served, kept, decisions),
    )
    return ServedDecision(endpoints=found, confirming=confirming, withheld=withheld, again_at=again_at)


def _others(
    indexed: IndexedInputs,
    served: Mapping[str, tuple[Instance, ...]],
    kept: set[tuple[str, str]],
    decisions: Iterable[DecidedEndpoint],
) -> dict[str, tuple[Instance, ...]]:
    """What stays in force without being a ready pod's endpoint, by service's key."""
    leaving = {(one.service, one.id) for one in decisions if one.fate == "may-go"}
    found: dict[str, tuple[Instance, ...]] = {}
    for key in sorted(indexed.named | served.keys()):
        service = indexed.services.get(key)
        there = {instance.id: instance for instance in (service.instances if service is not None else ())}
        # What others write into Cloud Map changes nothing of a host of ours
        there |= {
            one.id: one
            for one in served.get(key, ())
            if one.id not in there or one.attributes.get(ep.OWNER) == indexed.owner
        }
        staying = [one for ident, one in sorted(there.items()) if (key, ident) not in kept | leaving]
        if staying:
            found[key] = tuple(staying)
    return found


def _foreign(
    indexed: IndexedInputs, served: Mapping[str, tuple[Instance, ...]], wanted: Iterable[ep.Endpoint]
) -> Iterator[DecidedEndpoint]:
    """Instances that are not ours, where they are not simply in."""
    addresses: dict[str, set[str]] = defaultdict(set)
    for endpoint in wanted:
        addresses[endpoint.key].add(endpoint.address)
    for key in sorted(indexed.named | served.keys()):
        service = indexed.services.get(key)
        listed = {one.id: one for one in (service.instances if service is not None else ())}
        left = {one.id for one in indexed.left.get(key, ())}
        for ident, instance in sorted(({one.id: one for one in served.get(key, ())} | listed).items()):
            if instance.attributes.get(ep.OWNER) == indexed.owner:
                continue
            verdict = _absent(indexed, key, ident, listed)
            if verdict is None and ident in left:
                verdict = _left(indexed, instance, addresses[key])
            if verdict is not None:
                fate, why, reason = verdict
                yield DecidedEndpoint(
                    service=key,
                    id=ident,
                    cluster="",
                    uid="",
                    pod=pod_of(instance),
                    virtual_node=instance.attributes.get(ep.VIRTUAL_NODE, ""),
                    fate=fate,
                    why=why,
                    reason=reason,
                )


_Verdict = tuple[Fate, RemovalWhy | WithheldWhy, str]


def _absent(indexed: IndexedInputs, key: str, ident: str, listed: Mapping[str, Instance]) -> _Verdict | None:
    """What follows from Cloud Map's not listing an instance; None where it does."""
    if key not in indexed.named:
        return "may-go", "gone", f"no virtual node names the service {key}"
    if ident in listed:
        return None
    service = indexed.services.get(key)
    if service is None or service.problem is not None or not service.namespace_type:
        return "must-stay", "unreadable", f"Cloud Map does not tell of {key}"
    return "may-go", "gone", f"Cloud Map lists it in {key} no longer"


def _left(indexed: IndexedInputs, instance: Instance, ours: set[str]) -> _Verdict | None:
    """What the clusters say of an instance that AWS's controller left."""
    pod, address = pod_of(instance), ep.address_of(instance)
    if address in ours:
        return "may-go", "replaced", f"AWS's controller left it, and pod {pod} stands for itself"
    if not indexed.unseen and nowhere(instance, list(indexed.seen.values())):
        return "may-go", "left-behind", f"AWS's controller left it, and its pod {pod} has ended"
    found = _pod(indexed, pod, address)
    if found is not None and found.dead:
        return "may-go", "dead", f"AWS's controller left it, and its pod {pod} is ending"
    if found is not None and not found.ready:
        return "unhealthy", "unready", f"AWS's controller left it, and its pod {pod} is not ready"
    return None


def _pod(indexed: IndexedInputs, pod: str, address: str) -> Pod | None:
    for view in indexed.seen.values():
        for one in view.pods:
            if one.ip == address and f"{one.namespace}/{one.name}" == pod:
                return one
    return None


def _guarded(
    indexed: IndexedInputs,
    served: Mapping[str, tuple[Instance, ...]],
    wanted: Iterable[ep.Endpoint],
    decisions: list[DecidedEndpoint],
) -> tuple[list[DecidedEndpoint], dict[str, float], float]:
    """The decisions after the deletion guard, service by service; clocks to remember; when the
    first of those that wait may go (0 = none waits).
    """
    going: dict[str, list[DecidedEndpoint]] = defaultdict(list)
    for one in decisions:
        if one.fate == "may-go" and one.uid:
            going[one.service].append(one)
    new: dict[str, Counter[str]] = defaultdict(Counter)
    for endpoint in wanted if going else ():
        new[endpoint.key][endpoint.node] += 1
    waiting: dict[tuple[str, str], tuple[float, str]] = {}
    confirming: dict[str, float] = {}
    for key, leaving in going.items():
        there = {one.id: one for one in (*served.get(key, ()), *indexed.ours.get(key, ()))}
        ours = {ident: one for ident, one in there.items() if one.attributes.get(ep.OWNER) == indexed.owner}
        standing = Counter(one.attributes.get(ep.VIRTUAL_NODE, "") for one in ours.values())
        known = Counter(endpoint.node for endpoint in wanted if endpoint.key == key and endpoint.id in ours)
        standing.subtract(one.virtual_node for one in leaving if one.why in _CERTAIN and one.id in ours)
        rows = [
            Candidate(
                instance=one.id,
                virtual_node=one.virtual_node,
                begun=one.begun,
                first=indexed.confirming(key, one.id),
            )
            for one in leaving
            if one.why not in _CERTAIN
        ]
        counts = ServiceCounts(standing=standing, adds=new[key] - known, registered=len(ours))
        verdict = guard(rows, counts, indexed.policy)
        confirming |= {instance_key(key, ident): first for ident, first in verdict.remember.items()}
        waiting |= {(key, ident): (until, verdict.why) for ident, until in verdict.waiting.items()}
    after = [
        msgspec.structs.replace(
            one,
            fate="must-stay",
            why="unconfirmed",
            reason=f"{one.reason}; {held[1]}: waits for a second listing",
            until=held[0],
        )
        if (held := waiting.get((one.service, one.id)))
        else one
        for one in decisions
    ]
    return after, confirming, min((until for until, _ in waiting.values()), default=0.0)
