"""What became of a plan's actions so far: outcomes that parts of `Apply registry` kept, and what `Verify registry` proved of them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh.core.actions import Deregister, Outcome, Register, RegistryAction, RegistryPlan
from crossmesh.ports import RunStore
from crossmesh.steps import store
from crossmesh.steps.calls import Step, beside, call
from crossmesh.steps.context import Run


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """`added`: instances that this run added and discovery showed (one that is missing later was removed by another hand);
    `unproved`: actions that were not carried out or not seen to be; `stale`: removals of dead instances among them."""

    added: tuple[Register, ...] = ()
    unproved: int = 0
    stale: int = 0


def stage_of(plan: RegistryPlan, stage: int) -> list[tuple[int, RegistryAction]]:
    """The actions of a stage with their index in the plan."""
    return [(index, action) for index, action in enumerate(plan.actions) if max(action.phase, 1) == stage]


def settled(run: Run, stage: int) -> Step[dict[int, Outcome]]:
    """The outcomes of a stage so far, by index in the plan."""
    keys = yield from call(RunStore.list, store.key(run.id, f"outcomes/{stage}-").removesuffix(".json"))
    parts = yield from store.load_all(dict.fromkeys(keys, tuple[Outcome, ...]))
    return {outcome.action: outcome for part in parts for outcome in part}


def done(run: Run, plan: RegistryPlan, stages: Iterable[int]) -> Step[Done]:
    """What the actions of these stages came to."""
    added: list[Register] = []
    unproved = stale = 0
    asked = list(stages)
    found = yield from beside(*(settled(run, stage) for stage in asked), *(_verified(run, stage) for stage in asked))
    for stage, outcomes, missing in zip(asked, found[: len(asked)], found[len(asked) :], strict=True):
        lacking = set(range(len(plan.actions))) if missing is None else missing
        for index, action in stage_of(plan, stage):
            if index in lacking or index not in outcomes or outcomes[index].result != "applied":
                unproved += 1
                stale += isinstance(action, Deregister) and action.why in ("dead", "gone")
            elif isinstance(action, Register) and not action.change:
                added.append(action)
    return Done(added=tuple(added), unproved=unproved, stale=stale)


def _verified(run: Run, stage: int) -> Step[set[int] | None]:
    """Indexes of what a stage applied and discovery did not show; None where nobody looked."""
    found = yield from store.find(store.key(run.id, f"verified/{stage}"), dict[str, Any])
    return set(found["missing"]) if found is not None else None
