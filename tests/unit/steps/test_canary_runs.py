"""Executions of a canary never pile up: a scheduled one and a requested one at most, however long they take and however many are asked for."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.settings import CanarySettings, Expect
from crossmesh.driver import drive
from crossmesh.errors import TransientError
from crossmesh.ports import Lease
from crossmesh.steps import judge_canary, list_canaries
from crossmesh.usecases import canary_runs
from crossmesh.usecases.canary import Probed
from crossmesh.usecases.context import Context

from tests.support.builders import context, node
from tests.support.passes import MemoryWorld

NAMES = ("checkout", "front")
SCHEDULE: dict[str, Any] = {"cause": "schedule", "canary": "", "requests": 0}
ASKED: dict[str, Any] = {"canary": "front", "requests": 5}


@pytest.fixture
def where() -> Context:
    canaries = tuple(CanarySettings(name=name, url="http://front.example", requests=3, expect=Expect(status=200)) for name in NAMES)
    base = context(node("blue"))
    return msgspec.structs.replace(base, settings=msgspec.structs.replace(base.settings, canaries=canaries))


def begun(world: MemoryWorld, where: Context, execution: str, asked: object = None) -> tuple[str, ...]:
    """Which canaries an execution runs."""
    found = drive(list_canaries.run(list_canaries.Request(id=execution, asked=asked if asked is not None else SCHEDULE), where), world.ports)
    missing = set(NAMES if asked is None else ("front",)) - set(found.canaries)
    assert all(name in found.problem for name in missing), found.problem
    assert found.found == bool(found.canaries), "an execution without a canary ends before it makes anything of an empty list"
    return found.canaries


def judged(world: MemoryWorld, where: Context, execution: str, canary: str, *, requested: bool = False, attempt: int = 2) -> None:
    probed = (Probed(canary=canary, samples="", problem="no answer"),)
    drive(judge_canary.run(judge_canary.Request(id=execution, probed=probed, requested=requested, attempt=attempt), where), world.ports)


def test_a_canary_that_takes_longer_than_its_period_is_not_run_beside_itself(where: Context) -> None:
    world = MemoryWorld()
    assert begun(world, where, "e1") == NAMES
    for minute in range(1, 5):
        world.clock.sleep(60.0)
        assert begun(world, where, f"tick-{minute}") == ()
    judged(world, where, "e1", "front")
    assert begun(world, where, "e2") == ("front",), "the other one still runs"
    judged(world, where, "e1", "checkout")
    judged(world, where, "e2", "front")
    assert begun(world, where, "e3") == NAMES


def test_a_flood_of_requests_is_one_more_execution_beside_the_scheduled_one(where: Context) -> None:
    world = MemoryWorld()
    assert begun(world, where, "e1") == NAMES
    assert [begun(world, where, f"asked-{n}", ASKED) for n in range(50)] == [("front",)] + [()] * 49
    judged(world, where, "asked-0", "front", requested=True)
    assert begun(world, where, "asked-50", ASKED) == ("front",)
    assert begun(world, where, "e2") == (), "requests end no scheduled one"


def test_requests_hold_up_no_scheduled_execution(where: Context) -> None:
    world = MemoryWorld()
    assert begun(world, where, "asked-0", ASKED) == ("front",)
    assert begun(world, where, "e1") == NAMES


def test_an_execution_that_died_holds_its_canary_until_no_execution_can_live_longer(where: Context) -> None:
    world = MemoryWorld()
    begun(world, where, "e1")
    world.clock.sleep(canary_runs.LIFE - 1.0)
    assert begun(world, where, "e2") == ()
    world.clock.sleep(2.0)
    assert begun(world, where, "e3") == NAMES
    judged(world, where, "e1", "front")
    assert begun(world, where, "e4") == (), "whoever comes back late ends nothing of the next one"


def test_a_function_that_is_tried_again_goes_on_with_its_own(where: Context) -> None:
    world = MemoryWorld()
    assert begun(world, where, "e1") == begun(world, where, "e1") == NAMES


def test_a_first_try_that_is_repeated_ends_nothing(where: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_canary, "flake_of", lambda _: "a lost answer")
    world = MemoryWorld()
    begun(world, where, "e1")
    judged(world, where, "e1", "front", attempt=1)
    assert begun(world, where, "e2") == ()


def test_of_two_that_begin_at_once_one_runs(where: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    world = MemoryWorld()
    write, met = world.state.write_lease, []

    def between(name: str, lease: Lease | None, expected: Lease | None, **more: Any) -> bool:
        if not met:
            met.append(name)
            assert begun(world, where, "other") == NAMES
        return write(name, lease, expected, **more)

    monkeypatch.setattr(world.state, "write_lease", between)
    assert begun(world, where, "e1") == ()


def test_what_makes_no_sense_takes_nothing(where: Context) -> None:
    world = MemoryWorld()
    drive(list_canaries.run(list_canaries.Request(id="e1", asked={"canary": "nobody"}), where), world.ports)
    assert world.state.leases == {}


def test_a_table_that_gives_no_answer_is_an_error_and_no_second_execution(where: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    world = MemoryWorld()

    def silent(*_: Any) -> None:
        raise TransientError("no answer")

    monkeypatch.setattr(world.state, "read_lease", silent)
    with pytest.raises(TransientError):
        drive(list_canaries.run(list_canaries.Request(id="e1"), where), world.ports)
