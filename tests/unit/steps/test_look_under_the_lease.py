"""A run that may not go by its look's plan sees and plans for itself, under its lease, by the look's function."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.registry.plan import Deregister, PlannerState, RegistryPlan
from crossmesh.driver import drive
from crossmesh.ports import Lease
from crossmesh.steps import look, report_run, take_lease
from crossmesh.usecases import registry, state
from crossmesh.usecases.context import Context, Run

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld

HERE = context()
ELSEWHERE = msgspec.structs.replace(HERE, config="another layer")


def standing(*uids: str) -> MemoryWorld:
    """A world whose pods are registered; then a minute passes."""
    world = MemoryWorld()
    for uid in uids:
        world.clusters.put("a", pod(uid))
    world.run(HERE, world.look(HERE).look)
    world.clock.sleep(60)
    return world


def taken(world: MemoryWorld, asked: str = "", name: str = "r") -> Run:
    world.executions.alive.add("arn:r")
    lease = drive(take_lease.run(take_lease.Request(id=name, execution="arn:r", look=asked), HERE), world.ports)
    assert not lease.held
    return lease.run


def looked(world: MemoryWorld, run: Run, where: Context = HERE) -> look.Response:
    return drive(look.run(look.Request(run=run), where), world.ports)


def planned(world: MemoryWorld, run: str = "r") -> RegistryPlan:
    return codec.decode(world.runs.get(state.key(run, "plan")) or b"", RegistryPlan)


@pytest.mark.parametrize("passes", [0, 1])
def test_a_run_of_another_configuration_plans_nothing_and_ends_superseded(passes: int) -> None:
    world = standing("u1")
    world.clusters.put("a", pod("u2"))
    run = msgspec.structs.replace(taken(world), passes=passes)
    before = set(world.runs.objects)
    answer = looked(world, run, ELSEWHERE)
    assert (answer.decision, answer.run) == ("superseded", run)
    assert answer.planned is not None
    assert (answer.planned.plan, answer.planned.first_stage, answer.planned.gates) == ("", 0, 0)
    assert set(world.runs.objects) == before, "nothing was kept of it"
    assert looked(world, run).actions == 1, "the same run under its own configuration"
    reported = drive(report_run.run(report_run.Request(run=run), ELSEWHERE), world.ports)
    assert (reported.kind, reported.look_again) == ("superseded", True)


def test_what_the_look_saw_terminating_is_dead_though_the_run_finds_it_gone() -> None:
    """Nobody else remembers it: the look writes no planner's state."""
    world = standing("u1", "u2", "u3")
    world.clusters.put("a", pod("u1", terminating=True))
    asking = world.look(HERE)
    assert asking.decision == "apply"
    world.clusters.remove("a", "u1")
    found = world.state.read_lease("run")
    world.state.write_lease("run", Lease(epoch=(found.epoch if found else 0) + 1, holder="", expires=0.0), found)  # another run came and went
    run = taken(world, asking.look, asking.id)
    looked(world, run)
    (gone,) = [action for action in planned(world, run.id).actions if isinstance(action, Deregister)]
    assert (gone.uid, gone.why) == ("u1", "dead")
    kept = codec.decode(world.runs.get(state.key(run.id, "inputs")) or b"", PlannerState)
    assert [key for key in kept.terminating if "u1" in key], "a replay starts from what was planned from"


def test_without_such_a_look_its_absence_is_a_removal_like_any_other() -> None:
    world = standing("u1", "u2", "u3")
    world.clusters.remove("a", "u1")
    run = taken(world)
    looked(world, run)
    assert [action.why for action in planned(world).actions if isinstance(action, Deregister)] == ["gone"], "one of three: the guard lets it go"


@pytest.mark.parametrize(("passes", "times"), [(0, 1), (1, 0)])
def test_the_first_pass_reads_the_registry_anew_and_the_next_only_what_moved(passes: int, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another deployment's mark is a tag, of which no revision tells; within a run only this run writes."""
    world = standing("u1")
    for _ in range(2):
        world.clock.sleep(registry.SETTLED + 1)
        world.look(HERE)
    asked: list[object] = []
    find = world.registry.find_services
    monkeypatch.setattr(world.registry, "find_services", lambda *args: (asked.append(args), find(*args))[1])
    looked(world, msgspec.structs.replace(taken(world), passes=passes))
    assert len(asked) == times
