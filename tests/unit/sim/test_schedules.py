"""The simulator plays the shipped machines; every schedule kept in tests/sim/scenarios holds every property, for ever."""

import msgspec
import pytest

from tests.sim import asl
from tests.sim.application import ROOT, load
from tests.sim.play import play
from tests.sim.schedule import Fault, decode, encode
from tests.support.sim_schedules import WORK

SCENARIOS = sorted((ROOT / "tests/sim/scenarios").glob("*.json"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_kept_schedule_holds_every_property(path) -> None:
    schedule = decode(path.read_bytes())
    outcome = play(schedule)
    assert (outcome.property, outcome.detail) == ("", "")
    assert outcome.looks > 1, "it played"
    assert encode(schedule) == path.read_bytes(), "kept as the simulator writes them"


def test_a_schedule_plays_the_same_way_each_time() -> None:
    schedule = msgspec.structs.replace(WORK, seed=7, lag=0.3, faults=(Fault(at=40, do="crash"), Fault(at=60, do="lost")))
    first: list[str] = []
    second: list[str] = []
    assert play(schedule, first) == play(schedule, second)
    assert first == second
    assert len(first) > 100
    assert any("crash" not in line and line.endswith("lost") for line in first), "the fault struck"


@pytest.mark.parametrize("do", ["crash", "kill", "orphan", "throttle", "lost", "crash-after", "late-failure"])
def test_whatever_goes_wrong_at_any_of_these_calls_it_ends_exact_and_quiet(do: str) -> None:
    """Every call and every fault is `make proof`'s; this is one in eleven."""
    whole = play(WORK).calls
    assert whole > 100
    for at in range(0, whole, 11):
        outcome = play(msgspec.structs.replace(WORK, faults=(Fault(at=at, do=do, arg=30.0),)))
        assert (outcome.property, outcome.detail) == ("", ""), f"{do} at call {at}"


def test_what_the_interpreter_does_not_know_it_refuses() -> None:
    machine = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "x", "HeartbeatSeconds": 3, "End": True}}}
    with pytest.raises(asl.UnknownFeature, match="HeartbeatSeconds"):
        asl.check(machine)
    machine["States"]["A"] = {"Type": "Parallel", "Branches": [], "End": True}
    with pytest.raises(asl.UnknownFeature, match="Parallel"):
        asl.check(machine)
    with pytest.raises(asl.UnknownFeature, match="intrinsic"):
        asl.path("States.Format('x')", {}, {})
    with pytest.raises(asl.Unsound, match="not in"):
        asl.path("$.a.b", {"a": {}}, {})


def test_every_function_and_machine_of_the_template_can_be_played() -> None:
    application = load()
    assert {"Look", "Reconcile", "Canary"} <= application.machines.keys()
    resources = {
        state["Resource"] for machine in application.machines.values() for state in machine.definition["States"].values() if "Resource" in state
    }
    for resource in resources - {asl.START}:
        assert hasattr(application.functions[resource].module, "run"), resource
