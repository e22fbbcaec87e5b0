"""The brake on removals (rule 6): safe against a glitch, and it still converges.

Removals that are matched by an add of the same virtual node are exempt. If the rest exceeds max(1, `confirm_above`) of the service, or would empty a virtual
node, each of them waits for a second listing begun at least `confirm_after` later. Each has its own clock, so newcomers never reset those waiting.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from crossmesh.core.settings import Policy


class BrakeVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting`: instance id -> when it may go (seconds); `remember`: id -> begin of its first listing; `why` the brake is on ("" = off)."""

    waiting: dict[str, float]
    remember: dict[str, float]
    why: str = ""


def confirm(
    removals: Mapping[str, str],
    begun: Mapping[str, float],
    *,
    standing: Mapping[str, int],
    adds: Mapping[str, int],
    registered: int,
    remembered: Mapping[str, float],
    policy: Policy,
) -> BrakeVerdict:
    """Decide which of a service's `removals` (instance id -> virtual node) wait.

    `begun`: id -> begin of the listing that wants it removed; `standing`: node -> instances of ours that are not dead; `adds`: node -> new instances
    in the same plan; `registered`: instances of ours in the service; `remembered`: confirmations of earlier passes.
    """
    by_node: dict[str, list[str]] = defaultdict(list)
    for instance, node in sorted(removals.items()):
        by_node[node].append(instance)
    net: Counter[str] = Counter()
    candidates: list[str] = []
    emptied = []
    for node, instances in sorted(by_node.items()):
        exempt = min(len(instances), adds.get(node, 0))
        net[node] = len(instances) - exempt
        candidates += instances[exempt:]
        if net[node] and adds.get(node, 0) + standing.get(node, 0) - len(instances) <= 0:
            emptied.append(node)
    limit = max(1.0, policy.confirm_above * registered)
    total = sum(net.values())
    if total <= limit and not emptied:
        return BrakeVerdict(waiting={}, remember={})
    why = f"it would empty {', '.join(emptied)}" if emptied else f"{total} of {registered} removed at once is above {policy.confirm_above:.0%}"
    waiting, remember = {}, {}
    for instance in candidates:
        first = min(remembered.get(instance, begun[instance]), begun[instance])
        remember[instance] = first
        if begun[instance] < first + policy.confirm_after:
            waiting[instance] = first + policy.confirm_after
    return BrakeVerdict(waiting=waiting, remember=remember, why=why)
