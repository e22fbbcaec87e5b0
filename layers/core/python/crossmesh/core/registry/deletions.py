"""Which of our instances Cloud Map need hold no longer, as the endpoint decision says. One that
must stay is withheld where a person should know.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from crossmesh.core.observed import Instance, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.adoption import nowhere, pod_of
from crossmesh.core.registry.decision import DecidedEndpoint
from crossmesh.core.registry.plan import RemovalWhy, WithheldWhy
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that should go (or be marked UNHEALTHY), why, and when the listing that says so
    began (seconds; 0 = no listing does).

    `after`: id of the instance in the same service that stands for the same pod and must be there
    first.
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


def deletion_candidates(
    draft: PlanBuilder, service: ServiceView, decided: Mapping[str, DecidedEndpoint]
) -> list[Deletion]:
    """Our instances of a service that may go or are unhealthy, as `decided` by id. Those that must
    stay are withheld, or their pods are.
    """
    found = []
    for instance in service.instances if decided else ():
        one = decided.get(instance.id)
        if one is None or one.why == "outlier":
            continue
        if one.fate != "must-stay":
            found.append(
                Deletion(
                    service=service,
                    instance=instance,
                    why=cast("RemovalWhy", one.why),
                    reason=one.reason,
                    begun=one.begun,
                )
            )
        elif one.why not in ("claimed", "implausible"):
            draft.hold_removal(service.key, instance, cast("WithheldWhy", one.why), one.reason)
    return found


def left_behind(
    indexed: IndexedInputs, draft: PlanBuilder, service: ServiceView, wanted: Sequence[ep.Endpoint]
) -> list[Deletion]:
    """What AWS's controller left and may go: its pod stands registered by us, or is proved to be
    nowhere. Only named where adoption is off.
    """
    left = indexed.left.get(service.key, ())
    if left and not indexed.adopting:
        told = (
            f"{service.key}: {len(left)} instances that AWS's controller registered (ids are addresses, no mark of"
            " ours); `crossmesh adopt` takes them over"
        )
        draft.notes.add(told)
    if not left or not indexed.adopting:
        return []
    ours = {(e.pod, e.attributes.get(ep.IPV4) or e.attributes.get(ep.IPV6)): e for e in wanted}
    views = list(indexed.seen.values())
    found = []
    for instance in left:
        pod, address = pod_of(instance), ep.address_of(instance)
        endpoint = ours.get((pod, address))
        if endpoint is not None:
            if endpoint.cluster not in indexed.controlled and endpoint.id != instance.id:
                reason = f"AWS's controller left it; pod {pod} of {endpoint.cluster} is registered as {endpoint.id}"
                found.append(
                    Deletion(service=service, instance=instance, why="replaced", reason=reason, after=endpoint.id)
                )
        elif not indexed.unseen and not indexed.controlled and nowhere(instance, views):
            reason = f"AWS's controller left it, and pod {pod} with address {address} is in no cluster"
            begun = min((view.begun for view in views), default=0.0)
            found.append(Deletion(service=service, instance=instance, why="left-behind", reason=reason, begun=begun))
    if waiting := len(left) - len(found):
        draft.notes.add(
            f"{service.key}: {waiting} instances that AWS's controller left stay until their pods are registered here,"
            " or proved gone in every cluster"
        )
    return found
