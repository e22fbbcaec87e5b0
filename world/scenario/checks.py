"""What must hold in a scenario: check -> the complaint ("" = it holds). Each takes the stage and its argument from the file."""

import time
from collections.abc import Callable
from typing import Any

from world.clusters.client import wait_for
from world.scenario.stage import Stage

Check = Callable[[Stage, Any], str]


def instances(stage: Stage, argument: str) -> str:
    """`exact`: the ready pods and no others; `unchanged`: those of the beginning, to the attribute."""
    if argument == "exact":
        return "" if stage.exact() else f"registered {sorted(stage.app.pods())}, ready {sorted(stage.ready())}"
    found = stage.ours()
    lost, come = sorted(stage.before.keys() - found.keys()), sorted(found.keys() - stage.before.keys())
    return "" if found == stage.before else f"instances lost {lost}, come {come}, or attributes changed"


def registered(stage: Stage, argument: int) -> str:
    """So many instances of ours."""
    found = len(stage.ours())
    return "" if found == argument else f"{found} instances, not {argument}"


def unseen(stage: Stage, argument: dict[str, list[str]]) -> str:
    """The last look did not see exactly these clusters, for one of these causes each."""
    assert stage.looked is not None, "look first"
    found = {line.name: line.cause for line in stage.looked.clusters if line.cause}
    fits = found.keys() == argument.keys() and all(found[name] in causes for name, causes in argument.items())
    return "" if fits else f"unseen: {found or 'none'}"


def decision(stage: Stage, argument: str) -> str:
    """What the last look decided."""
    assert stage.looked is not None, "look first"
    return "" if stage.looked.kind == argument else f"the look was {stage.looked.kind}"


def withheld(stage: Stage, argument: dict[str, int]) -> str:
    """What the last look withheld, by why."""
    assert stage.looked is not None, "look first"
    return "" if stage.looked.withheld_counts == argument else f"withheld: {stage.looked.withheld_counts}"


def writes(stage: Stage, argument: int) -> str:
    """So many writes to Cloud Map and the mesh since `count_calls`."""
    verbs = ("Register", "Deregister", "Create", "Update", "Delete", "Tag", "Untag")
    found = {e["operation"]: e["count"] for e in stage.app.calls()["calls"] if e["operation"].startswith(verbs)}
    return "" if sum(found.values()) == argument else f"writes: {found or 'none'}"


def foreign(stage: Stage, _: Any) -> str:
    """What somebody else registered is there as it was."""
    found = stage.app.instances()
    gone = [name for name, attributes in stage.foreign.items() if not attributes.items() <= found.get(name, {}).items()]
    return f"foreign instances touched: {gone}" if gone else ""


def becomes_exact(stage: Stage, argument: float) -> str:
    """The registry becomes exact within so many seconds, with hints."""
    began = time.monotonic()
    try:
        stage.settle(argument)
    except TimeoutError as error:
        return str(error)
    return "" if time.monotonic() - began <= argument + 5 else "too late"


def answers(stage: Stage, argument: list[str]) -> str:
    """Requests bring exactly these bodies, within some seconds."""

    def brought() -> bool:
        return set(stage.app.mix(12)) == set(argument)

    try:
        wait_for(brought, 20, f"answers of exactly {argument}")
    except TimeoutError:
        return f"requests bring {dict(stage.app.mix(12))}"
    return ""


CHECKS: dict[str, Check] = {
    check.__name__: check for check in (instances, registered, unseen, decision, withheld, writes, foreign, becomes_exact, answers)
}
