"""A workflow that fails says so before its own time is up: an execution that times out counts as neither failed nor succeeded and runs no Catch."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from crossmesh.core.registry.churn import FLOOR

from tests.contract.template import written
from world.deploy import ROOT

EXPRESS = {
    name: json.loads((ROOT / resource["Properties"]["DefinitionUri"]).read_text())
    for name, resource in written()["Resources"].items()
    if resource["Type"] == "AWS::Serverless::StateMachine" and resource["Properties"].get("Type") == "EXPRESS"
}
SERVICE_LIMIT = 300  # seconds of an Express execution (Step Functions' quotas)
# Waits until a time that a step names, and how long they last at most: the floor between runs, to the next whole second
WAITS = {"$.look.wait_until": FLOOR + 1}
TWICE = 2  # how often a way may come through a state: the canary tries again once
SLOW = ("States.Timeout", "Sandbox.Timedout", "Lambda.Unknown")  # what a function that takes its whole time ends in, by who notices first


def waits(retrier: dict[str, Any]) -> float:
    """The longest that a retrier's pauses take in all."""
    pauses = [retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2) ** n for n in range(retrier["MaxAttempts"])]
    return sum(min(pause, retrier.get("MaxDelaySeconds", pause)) for pause in pauses)


def first(state: dict[str, Any], error: str) -> dict[str, Any] | None:
    """The retrier that takes an error: the first that names it. States.TaskFailed takes all but States.Timeout."""
    for retrier in state.get("Retry", ()):
        names = retrier["ErrorEquals"]
        if error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout"):
            return retrier  # type: ignore[no-any-return]
    return None


def longest(state: dict[str, Any]) -> float:
    """Seconds of a task that takes its whole time at each attempt, of a wait, of a map's longest item; else none."""
    if state["Type"] == "Wait":
        return float(state["Seconds"]) if "Seconds" in state else WAITS[state["TimestampPath"]]
    if state["Type"] == "Map":
        return way(state["ItemProcessor"])
    if state["Type"] != "Task":
        return 0.0
    tried = [(retrier["MaxAttempts"], waits(retrier)) if (retrier := first(state, error)) else (0, 0.0) for error in SLOW]
    return max((1 + attempts) * float(state["TimeoutSeconds"]) + pauses for attempts, pauses in tried)


def onward(state: dict[str, Any]) -> Iterator[str]:
    """Every state that may come next."""
    yield from (choice["Next"] for choice in (*state.get("Choices", ()), *state.get("Catch", ())))
    yield from (state[key] for key in ("Next", "Default") if key in state)


def way(machine: dict[str, Any]) -> float:
    """The longest way from start to end."""

    def rest(name: str, seen: tuple[str, ...]) -> float:
        state = machine["States"][name]
        following = [rest(one, (*seen, name)) for one in onward(state) if (*seen, name).count(one) < TWICE]
        return longest(state) + max(following, default=0.0)

    return rest(machine["StartAt"], ())


@pytest.mark.parametrize("name", sorted(EXPRESS))
def test_the_longest_way_ends_before_the_execution_does(name: str) -> None:
    limit = EXPRESS[name]["TimeoutSeconds"]
    assert way(EXPRESS[name]) <= limit < SERVICE_LIMIT


def test_a_run_that_was_started_already_is_not_tried_again() -> None:
    start = EXPRESS["Look"]["States"]["Start run"]
    retrier = first(start, "StepFunctions.ExecutionAlreadyExistsException")
    assert retrier is not None
    assert retrier["MaxAttempts"] == 0
    assert start["Catch"][0] == {"ErrorEquals": ["StepFunctions.ExecutionAlreadyExistsException"], "ResultPath": None, "Next": "Done"}


def tasks(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every task that calls a function, those in maps too."""
    for name, state in machine["States"].items():
        if state["Type"] == "Task" and state["Resource"] != "${StartExecution}":
            yield name, state
        if "ItemProcessor" in state:
            yield from tasks(state["ItemProcessor"])


RECONCILE = json.loads((ROOT / "statemachines" / "reconcile.asl.json").read_text())


@pytest.mark.parametrize(("name", "state"), list(tasks(RECONCILE)), ids=lambda value: value if isinstance(value, str) else "")
def test_a_run_outlasts_an_account_with_little_concurrency(name: str, state: dict[str, Any]) -> None:
    """A new account runs 10 functions at once, and a map starts 40: those that are refused come later, and no cluster is called unseen for it."""
    retrier = first(state, "Lambda.TooManyRequestsException")
    assert retrier is not None
    assert retrier["MaxAttempts"] >= 6, name
    assert 40 <= waits(retrier) <= 120, name
    others = [r for r in state["Retry"] if r is not retrier]
    assert others, f"{name}: what is not throttling keeps its own count"
