"""Instances that come and go (rule 10): a pod whose readiness or labels flap must not make the
whole deployment write without end.

A turn is a removal for unreadiness, a mark UNHEALTHY, or a change of attributes. After a few within
ten minutes the next add or change of that instance waits, each time twice as long. Nothing that
takes out a dead pod, or an unready one, ever waits for it, and no other instance does.
"""

from collections.abc import Mapping, Sequence

import msgspec

from crossmesh.core.observed import ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import Deregister, Register, RegistryAction, RegistryPlan, SetHealth
from crossmesh.core.registry.planning import IndexedInputs, PlanBuilder

WINDOW = 600.0  # seconds for which a turn counts
FREE = 4  # turns without a pause
# Seconds of the first pause, doubled by each turn more, and of the longest
FIRST, MOST = 30.0, 300.0
# Runs within the window that begin as they are asked for; seconds between two of those beyond,
# where only a hint asks
RUNS, FLOOR = 60, 10.0
_KEPT = 12  # turns of one instance that are remembered: more change nothing


def pause(turns: Sequence[float]) -> float:
    """How long after the last of these turns the instance's next registration waits."""
    beyond = len(turns) - FREE
    return min(MOST, FIRST * 2 ** (beyond - 1)) if beyond > 0 else 0.0


class Deferral(msgspec.Struct, frozen=True, kw_only=True):
    """A later look that is due at `until` (seconds since the epoch), and the look `by` whose
    execution waits for it.
    """

    by: str
    until: float


def earliest(ran: Sequence[float], now: float, plan: RegistryPlan) -> float:
    """When a run that a hint asks for may begin; 0 = at once. It waits if very many runs began
    lately and it would take out no dead pod's instance.
    """
    lately = [at for at in ran if now - at < WINDOW]
    dead = any(isinstance(action, Deregister) and action.why == "dead" for action in plan.actions)
    if len(lately) < RUNS or dead:
        return 0.0
    return max(lately) + FLOOR


def deferral(before: Deferral | None, look: str, now: float, due: float = 0.0) -> Deferral | None:
    """The later look that is due after this one. `due`: when this one should look again, 0 = it
    need not. Whoever is deferred first waits for all: a look that finds another waiting does not.

    A look that is not deferred drops its own: it saw what it would have waited for.
    """
    if before is not None and before.until > now and before.by != look:
        return before
    return Deferral(by=look, until=due) if due > now else None


def counted(ran: Sequence[float], now: float, *, begins: bool) -> tuple[float, ...]:
    """The times of the runs asked for lately, this one included."""
    return (*(at for at in ran if now - at < WINDOW), *((now,) if begins else ()))[-RUNS:]


def calm(
    indexed: IndexedInputs,
    draft: PlanBuilder,
    service: ServiceView,
    wanted: Sequence[ep.Endpoint],
    health: Mapping[str, str],
) -> list[ep.Endpoint]:
    """Those that may be written now; the others are withheld until their pause is over. What stands
    as it should is not touched anyway.
    """
    turns, now = indexed.memory.turns, indexed.inputs.registry.begun
    if not turns:
        return list(wanted)
    have, found = {i.id: i for i in service.instances}, []
    for endpoint in wanted:
        lately = [at for at in turns.get(endpoint.id, ()) if now - at < WINDOW]
        until = max(lately, default=0.0) + pause(lately)
        old = have.get(endpoint.id)
        stands = (
            old is not None
            and endpoint.attributes.items() <= old.attributes.items()
            and health.get(endpoint.id) != "UNHEALTHY"
        )
        if stands or now >= until:
            found.append(endpoint)
        else:
            told = (
                f"pod {endpoint.pod} of {endpoint.cluster} turned {len(lately)} times within {WINDOW / 60:.0f} minutes:"
                " its next registration waits"
            )
            draft.hold_add(endpoint, "churn", told, until)
    return found


def remembered(indexed: IndexedInputs, actions: Sequence[RegistryAction]) -> dict[str, tuple[float, ...]]:
    """The turns of the last ten minutes, those of this plan included."""
    now = indexed.inputs.registry.begun
    kept = {ident: tuple(at for at in times if now - at < WINDOW) for ident, times in indexed.memory.turns.items()}
    for ident in sorted({_turned(action) for action in actions} - {""}):
        kept[ident] = (*kept.get(ident, ()), now)[-_KEPT:]
    return {ident: times for ident, times in sorted(kept.items()) if times}


def _turned(action: RegistryAction) -> str:
    """The instance that an action turns, "" = none."""
    match action:
        case Deregister(why="unready") | SetHealth(status="UNHEALTHY") | Register(change=True):
            return action.id
    return ""
