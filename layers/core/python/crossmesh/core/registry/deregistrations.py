"""Removals of one service, by policy and deletion guard, and services that no document names."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from crossmesh.core.keys import OWNER_TAG, instance_key
from crossmesh.core.observed import ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import pod_of
from crossmesh.core.registry.custom_health import mark
from crossmesh.core.registry.deletion_guard import Candidate, ServiceCounts, guard
from crossmesh.core.registry.deletions import Deletion
from crossmesh.core.registry.plan import DeleteService, Deregister, WithheldWhy
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder

# Not counted by the deletion guard: the pod was seen ending, a person said so, or the same pod
# stands beside it.
_CERTAIN = ("dead", "forgotten", "replaced")
_UNWELL = ("unready", "outlier")  # only marked, where the service has custom health


class Additions(msgspec.Struct, frozen=True, kw_only=True):
    """The adds of a plan. `gained`: ids added in one service by virtual node; `added`: all, id ->
    service.

    `lacking`: ids whose add is withheld.
    """

    gained: Mapping[str, Sequence[str]]
    added: Mapping[str, str]
    lacking: Collection[str]


def plan_deregistrations(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    service: ServiceView,
    wanted: Sequence[Deletion],
    adds: Additions,
    health: Mapping[str, str],
) -> dict[str, float]:
    """Deregister (or mark UNHEALTHY) what may go now, withhold the rest; the confirmations to
    remember.

    `health`: instance id -> status.
    """
    gained, added = adds.gained, adds.added
    down = {i for i, status in health.items() if status == "UNHEALTHY"}
    wanted = [r for r in wanted if not (r.why in _UNWELL and r.instance.id in down)]
    standing = Counter(i.attributes.get(ep.VIRTUAL_NODE, "") for i in indexed.ours[service.key] if i.id not in down)
    if indexed.adopting:
        standing.update(i.attributes.get(ep.VIRTUAL_NODE, "") for i in indexed.left.get(service.key, ()))
    registered = sum(standing.values())
    standing.subtract(r.node for r in wanted if r.why in _CERTAIN and r.instance.id not in down)
    counted = [r for r in wanted if r.why not in _CERTAIN and r.instance.id not in down]
    rows = [
        Candidate(
            instance=r.instance.id,
            virtual_node=r.node,
            begun=r.begun,
            first=indexed.confirming(service.key, r.instance.id),
        )
        for r in counted
    ]
    counts = ServiceCounts(
        standing=standing, adds={node: len(ids) for node, ids in gained.items()}, registered=registered
    )
    verdict = guard(rows, counts, indexed.policy)
    successors = {node: iter(ids) for node, ids in gained.items()}
    for removal in wanted:
        until = verdict.waiting.get(removal.instance.id)
        own = removal.after or removal.instance.id  # the same pod's, in this service or another
        # No second look lets it go before that
        if until is not None and removal.why == "unselected" and own in adds.lacking:
            draft.hold_removal(
                service.key, removal.instance, "waits", f"{removal.reason}; {own} could not be added yet"
            )
        elif until is not None:
            detail = f"{removal.reason}; {verdict.why}: waits for a second listing"
            draft.hold_removal(service.key, removal.instance, "unconfirmed", detail, until)
        elif removal.why in _UNWELL and service.custom_health:
            mark(indexed, draft, service, removal.instance, "UNHEALTHY", removal.reason)
        else:
            successor = own
            if removal.why in ("unready", "gone"):
                successor = next(successors.get(removal.node, iter(())), "")
            if successor in adds.lacking:
                draft.hold_removal(
                    service.key, removal.instance, "waits", f"{removal.reason}; {successor} could not be added yet"
                )
            else:
                after = instance_key(added[successor], successor) if successor in added else ""
                draft.act(service.key, _deregister(removal, after))
    return {instance_key(service.key, ident): first for ident, first in verdict.remember.items()}


def withhold_all(draft: PlanBuilder, service: ServiceView, wanted: Sequence[Deletion], why: WithheldWhy) -> None:
    """Withhold all removals of a service."""
    for removal in wanted:
        draft.hold_removal(service.key, removal.instance, why, removal.reason)


def _deregister(removal: Deletion, after: str) -> Deregister:
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


def prune_empty_services(indexed: IndexedInputs, draft: PlanBuilder) -> None:
    """Remove services that we made, that are empty and that no document names (rule 2)."""
    if indexed.conflict.conflicting_deployments or indexed.policy.removals == "upsert-only":
        return
    for key, service in indexed.services.items():
        if (
            service.id
            and key not in indexed.named
            and service.tags.get(OWNER_TAG) == indexed.owner
            and not service.instances
        ):
            reason = "made by us, empty, and no virtual node names it"
            draft.act(
                key, DeleteService(namespace=service.namespace, service=service.service, id=service.id, reason=reason)
            )
