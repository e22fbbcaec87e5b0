"""What became of a plan's actions so far: outcomes that parts of `Apply registry` kept, and what
`Verify registry` proved of them.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh.core.keys import service_key
from crossmesh.core.registry.plan import Deregister, Outcome, Register, RegistryAction, RegistryPlan
from crossmesh.effects import Step, call, gather
from crossmesh.ports import RunStore
from crossmesh.usecases import state
from crossmesh.usecases.context import Run

GATE_OPEN = "open"  # what `Open gates` records of a gate that it opened


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """`added`: instances that this run added and discovery showed (one that is missing later was
    removed by another writer); `unproved`: actions that were not carried out or not seen to be;
    `stale`: removals of dead instances among them; `unshared`: keys of services that refused an add
    whose address another instance held.
    """

    added: tuple[Register, ...] = ()
    unproved: int = 0
    stale: int = 0
    unshared: tuple[str, ...] = ()


def stage_of(plan: RegistryPlan, stage: int) -> list[tuple[int, RegistryAction]]:
    """The actions of a stage with their index in the plan."""
    return [(index, action) for index, action in enumerate(plan.actions) if max(action.phase, 1) == stage]


def outcomes_of_stage(run: Run, stage: int) -> Step[dict[int, Outcome]]:
    """The outcomes of a stage so far, by index in the plan."""
    keys = yield from call(RunStore.list, state.key(run.id, f"outcomes/{stage}-").removesuffix(".json"))
    parts = yield from state.load_all(dict.fromkeys(keys, tuple[Outcome, ...]))
    return {outcome.action: outcome for part in parts for outcome in part}


def done(run: Run, plan: RegistryPlan, stages: Iterable[int]) -> Step[Done]:
    """What the actions of these stages came to."""
    added: list[Register] = []
    unshared = set[str]()
    unproved = stale = 0
    asked = list(stages)
    found = yield from gather(
        *(outcomes_of_stage(run, stage) for stage in asked), *(_verified(run, stage) for stage in asked)
    )
    for stage, outcomes, missing in zip(asked, found[: len(asked)], found[len(asked) :], strict=True):
        lacking = set(range(len(plan.actions))) if missing is None else missing[0]
        for index, action in stage_of(plan, stage):
            if index in lacking or index not in outcomes or outcomes[index].result != "applied":
                unproved += 1
                stale += isinstance(action, Deregister) and action.why in ("dead", "gone")
                if (
                    isinstance(action, Register)
                    and action.shares
                    and _was_refused(action, outcomes.get(index), missing)
                ):
                    unshared.add(service_key(action.namespace, action.service))
            elif isinstance(action, Register) and not action.change:
                added.append(action)
    return Done(added=tuple(added), unproved=unproved, stale=stale, unshared=tuple(sorted(unshared)))


def arrived(run: Run, plan: RegistryPlan) -> Step[frozenset[str]]:
    """AWS names of the virtual nodes of which this run registered or changed an instance that
    discovery showed.
    """
    found = set[str]()
    for stage in plan.stages:
        outcomes, verified = yield from gather(outcomes_of_stage(run, stage), _verified(run, stage))
        for index, action in stage_of(plan, stage):
            shown = verified is not None and index not in verified[0]
            if isinstance(action, Register) and shown and index in outcomes and outcomes[index].result == "applied":
                found.add(action.node)
    return frozenset(found)


# What may say that the address is taken: AWS documents no error for it. A failure of another kind
# says nothing of the service.
_REFUSALS = ("InvalidInput:", "ResourceInUse:", "DuplicateRequest:", "INVALID_CHANGE_BATCH:")


def _was_refused(action: Register, outcome: Outcome | None, verified: tuple[set[int], dict[str, str]] | None) -> bool:
    """Whether the service refused an add: by its answer, or by the operation that it accepted."""
    told = outcome.detail if outcome is not None else ""
    return told.startswith(_REFUSALS) or (verified is not None and verified[1].get(action.id, "").startswith(_REFUSALS))


def _verified(run: Run, stage: int) -> Step[tuple[set[int], dict[str, str]] | None]:
    """Indexes of what a stage applied and discovery did not show, and why an operation failed, by
    instance id; None where nobody looked.
    """
    found = yield from state.load_optional(state.key(run.id, f"verified/{stage}"), dict[str, Any])
    return (set(found["missing"]), dict(found.get("failed", {}))) if found is not None else None
