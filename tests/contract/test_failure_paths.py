"""Every way on which a workflow can fail ends in a report and then in Fail: walked from every catch, through every choice."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.template import written
from world.deploy import ROOT

MACHINES = {
    name: json.loads((ROOT / resource["Properties"]["DefinitionUri"]).read_text())
    for name, resource in written()["Resources"].items()
    if resource["Type"] == "AWS::Serverless::StateMachine"
}
REPORTS = {"ReportLookFunctionArn", "ReportRunFunctionArn", "JudgeCanaryFunctionArn"}
REPORTED_ELSEWHERE = {
    ("Look", "Classify change"): "the change is taken for ours and looked at, so nothing fails",
    ("Reconcile", "Start later look"): "the run is reported already; the schedule looks within a minute, so nothing fails",
    ("Reconcile", "Start look"): "the run is reported already; the schedule looks within a minute, so nothing fails",
    ("Canary", "List canaries"): "no canary was asked, so there is no verdict to keep; the alarm on failed executions tells",
    ("Canary", "Check each canary"): "each item judges, and keeps its verdict, before the map fails",
    ("Canary", "Diagnose canary"): "the verdict is kept by the item that failed",
    ("Canary", "Start look"): "the verdict is kept by the item that failed",
}
# Of these, what stops nothing
LEADS_ON = {("Reconcile", "Start later look"), ("Reconcile", "Start look"), ("Look", "Classify change")}

DONE_BEFORE = {("Look", "Start run"): ["StepFunctions.ExecutionAlreadyExistsException"]}  # no failure: a try whose answer was lost did it


def catches() -> list[tuple[str, str]]:
    """(machine, state) of every state that does something at the top level."""
    return [
        (machine, name)
        for machine, body in MACHINES.items()
        for name, state in body["States"].items()
        if state["Type"] in ("Task", "Map", "Parallel")
    ]


def following(state: dict[str, Any]) -> list[str]:
    """Where a state goes when it succeeds, by every choice."""
    if state["Type"] == "Choice":
        return [choice["Next"] for choice in state["Choices"]] + ([state["Default"]] if "Default" in state else [])
    return [state["Next"]] if "Next" in state else []


def ways(machine: str, start: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every way from a state to an end that repeats no state."""
    states = MACHINES[machine]["States"]
    if start in seen:
        return
    onward = following(states[start])
    if not onward:
        yield (*seen, start)
    for name in onward:
        yield from ways(machine, name, (*seen, start))


def reports(machine: str, way: tuple[str, ...]) -> bool:
    """Whether something on the way tells people."""
    return any(MACHINES[machine]["States"][name].get("Resource", "")[2:-1] in REPORTS for name in way)


@pytest.mark.parametrize(("machine", "name"), catches())
def test_what_fails_is_caught_whole(machine: str, name: str) -> None:
    assert ["States.ALL"] in [catch["ErrorEquals"] for catch in MACHINES[machine]["States"][name].get("Catch", ())]


@pytest.mark.parametrize(("machine", "name"), [one for one in catches() if one not in REPORTED_ELSEWHERE])
def test_what_fails_is_reported_and_then_fails(machine: str, name: str) -> None:
    states = MACHINES[machine]["States"]
    telling = states[name].get("Resource", "")[2:-1] in REPORTS
    for catch in states[name]["Catch"]:
        if catch["ErrorEquals"] == DONE_BEFORE.get((machine, name)):
            continue
        found = list(ways(machine, catch["Next"]))
        assert found
        for way in found:
            already = telling or "Report" in name or _told_before(machine, name)
            assert reports(machine, way) or already, f"{name} fails unreported: {way}"
        assert any(states[way[-1]]["Type"] == "Fail" for way in found), f"{name}: no way fails"


def _told_before(machine: str, name: str) -> bool:
    """Whether every way from the start to the state passes a report."""
    start = MACHINES[machine]["StartAt"]
    before = [way[: way.index(name)] for way in ways(machine, start) if name in way]
    caught = [
        (*way[: way.index(source) + 1], *onward[: onward.index(name)])
        for source, state in MACHINES[machine]["States"].items()
        for catch in state.get("Catch", ())
        for onward in ways(machine, catch["Next"])
        if name in onward
        for way in ways(machine, start)
        if source in way
    ]
    return bool(before or caught) and all(reports(machine, way) for way in (*before, *caught))


@pytest.mark.parametrize(("machine", "name"), sorted(REPORTED_ELSEWHERE))
def test_what_is_reported_elsewhere_is_there_and_fails_all_the_same(machine: str, name: str) -> None:
    ends = {way[-1] for catch in MACHINES[machine]["States"][name]["Catch"] for way in ways(machine, catch["Next"])}
    kinds = {MACHINES[machine]["States"][end]["Type"] for end in ends}
    assert ("Fail" in kinds) == ((machine, name) not in LEADS_ON)


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_a_fail_says_what_to_do_next(machine: str) -> None:
    fails = [state for state in MACHINES[machine]["States"].values() if state["Type"] == "Fail"]
    assert fails
    assert all(state["Error"] and len(state["Cause"]) > 40 for state in fails)
