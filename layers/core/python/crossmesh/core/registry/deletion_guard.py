"""Deletion guard (rule 6): a mass removal waits for a second listing. A confirmed one converges.

Removals matched by an add of the same virtual node are exempt. The rest waits if it exceeds
max(1, `confirm_above`) of the service or would empty a virtual node. Each removal waits for a
second listing, begun at least `confirm_after` later. Each has its own clock, so newcomers never
reset those that wait.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from crossmesh.core.settings import Policy


class GuardDecision(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting`: instance id -> when it may go (seconds); `remember`: id -> begin of its first
    listing; `why` the guard holds removals ("" = it does not).
    """

    waiting: dict[str, float]
    remember: dict[str, float]
    why: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An instance to remove. `begun`: begin of the listing that asks for it; `first`: of the first
    such listing.
    """

    instance: str
    virtual_node: str
    begun: float
    first: float | None = None


class ServiceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Instances of ours in a service. `registered`: all; by virtual node, `standing`: those not
    dead, `adds`: new in this plan.
    """

    standing: Mapping[str, int]
    adds: Mapping[str, int]
    registered: int


def guard(candidates: Sequence[Candidate], counts: ServiceCounts, policy: Policy) -> GuardDecision:
    """Decide which removals of a service wait."""
    by_node: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda one: one.instance):
        by_node[candidate.virtual_node].append(candidate)
    net: Counter[str] = Counter()
    counted: list[Candidate] = []
    standing, adds, registered = counts.standing, counts.adds, counts.registered
    emptied = []
    for node, instances in sorted(by_node.items()):
        exempt = min(len(instances), adds.get(node, 0))
        net[node] = len(instances) - exempt
        counted += instances[exempt:]
        if net[node] and adds.get(node, 0) + standing.get(node, 0) - len(instances) <= 0:
            emptied.append(node)
    limit = max(1.0, policy.confirm_above * registered)
    total = sum(net.values())
    if total <= limit and not emptied:
        return GuardDecision(waiting={}, remember={})
    why = (
        f"it would empty {', '.join(emptied)}"
        if emptied
        else f"{total} of {registered} removed at once is above {policy.confirm_above:.0%}"
    )
    waiting, remember = {}, {}
    for one in counted:
        first = min(one.begun if one.first is None else one.first, one.begun)
        remember[one.instance] = first
        if one.begun < first + policy.confirm_after:
            waiting[one.instance] = first + policy.confirm_after
    return GuardDecision(waiting=waiting, remember=remember, why=why)
