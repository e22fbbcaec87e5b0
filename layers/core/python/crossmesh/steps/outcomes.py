"""What became of a plan's actions so far: outcomes that parts of `Apply registry` kept, and what `Verify registry` proved of them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from crossmesh.core.actions import Deregister, Outcome, Register, RegistryAction, RegistryPlan
from crossmesh.ports import RunStore
from crossmesh.steps import store
from crossmesh.steps.calls import Step, call
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
    found: dict[int, Outcome] = {}
    for key in keys:
        for outcome in (yield from store.load(key, tuple[Outcome, ...])):
            found[outcome.action] = outcome
    return found


def done(run: Run, plan: RegistryPlan, stages: Iterable[int]) -> Step[Done]:
    """What the actions of these stages came to."""
    added: list[Register] = []
    unproved = stale = 0
    for stage in stages:
        outcomes = yield from settled(run, stage)
        verified = yield from store.find(store.key(run.id, f"verified/{stage}"), dict[str, Any])
        lacking = set(verified["missing"]) if verified is not None else set(range(len(plan.actions)))
        for index, action in stage_of(plan, stage):
            if index in lacking or index not in outcomes or outcomes[index].result != "applied":
                unproved += 1
                stale += isinstance(action, Deregister) and action.why in ("dead", "gone")
            elif isinstance(action, Register) and not action.change:
                added.append(action)
    return Done(added=tuple(added), unproved=unproved, stale=stale)
