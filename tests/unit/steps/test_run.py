"""A run's steps over in-memory ports: lease, apply, verify, memory."""

import msgspec
import pytest
from crossmesh.core.observed import Unseen
from crossmesh.core.registry.plan import Outcome
from crossmesh.driver import drive, execute
from crossmesh.effects import Batch, Call
from crossmesh.errors import LeaseLost
from crossmesh.steps import apply_registry
from crossmesh.usecases import state

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld


def world_with(*uids: str) -> MemoryWorld:
    world = MemoryWorld()
    for uid in uids:
        world.clusters.put("a", pod(uid))
    return world


def test_a_run_makes_the_registry_exact_and_the_next_writes_nothing() -> None:
    world = world_with("u1", "u22")
    world.clusters.put("b", pod("v1", "red"))
    world.run(context())
    assert world.pods_in() == {"u1", "u22", "v1"}
    writes = list(world.registry.writes)
    world.run(context())
    assert world.registry.writes == writes


def test_a_killed_pod_leaves_and_its_successor_comes() -> None:
    world = world_with("u1", "u22")
    world.run(context())
    world.clusters.put("a", pod("u1", terminating=True))
    world.clusters.put("a", pod("u333"))
    world.run(context())
    assert world.pods_in() == {"u22", "u333"}


def test_a_dark_cluster_costs_nothing_and_the_other_goes_on() -> None:
    world = world_with("u1", "u22")
    world.run(context())
    world.clusters.failing["a"] = Unseen(cluster="a", cause="timeout")
    world.clusters.put("b", pod("v1"))
    for _ in range(5):
        world.clock.sleep(60)
        world.run(context())
    assert world.pods_in() == {"u1", "u22", "v1"}


def test_a_quiet_look_asks_for_no_run_and_a_change_does() -> None:
    world = world_with("u1")
    world.run(context())
    assert world.look(context()).decision == "quiet"
    world.clusters.put("a", pod("u22"))
    assert world.look(context()).decision == "apply"
    assert world.look(msgspec.structs.replace(context(), mode="observe")).decision == "observe"


def test_a_look_notices_an_instance_removed_behind_our_back() -> None:
    world = world_with("u1")
    world.run(context())
    assert world.look(context()).decision == "quiet"
    service = next(iter(world.registry.services))
    world.registry.deregister(service, "a.u1")
    assert world.look(context()).decision == "apply"


def test_what_a_look_saw_terminating_is_remembered_by_its_run() -> None:
    """All pods Terminating at the look, gone at the run: they leave at once, though the run never saw them Terminating."""
    world = world_with(*(f"u{i}" for i in range(10)))
    world.run(context())
    for i in range(10):
        world.clusters.put("a", pod(f"u{i}", terminating=True))
    looked = world.look(context())
    for i in range(10):
        world.clusters.remove("a", f"u{i}")
    world.run(context(), looked.look)
    assert world.pods_in() == set()


def test_a_run_whose_lease_was_taken_stops_before_the_next_write() -> None:
    world = world_with("u1", "u22")
    steps = world.steps(context(), "run-x")
    answer, stolen = None, False
    with pytest.raises(LeaseLost):  # noqa: PT012 - the loop drives the run call by call
        while True:
            asked = steps.send(answer)
            if isinstance(asked, Batch) and any(call.method == "register" for call in asked.calls):
                pytest.fail("it wrote without the lease")
            if (isinstance(asked, Call) and asked.method == "observe") or isinstance(asked, Batch):
                world.executions.alive.clear()
            if (
                isinstance(asked, Call)
                and asked.port == "State"
                and asked.method == "read_lease"
                and stolen is False
                and world.runs.get("runs/run-x/plan.json")
            ):
                found = world.state.leases["run"]
                world.state.leases["run"] = msgspec.structs.replace(found, holder="arn:other", epoch=found.epoch + 1)
                stolen = True
            try:
                answer = [execute(c, world.ports) for c in asked.calls] if isinstance(asked, Batch) else execute(asked, world.ports)
            except LeaseLost as error:
                steps.throw(error)
    assert stolen
    assert world.registry.instances.get("srv-1", {}) == {}


def test_a_held_lease_sets_again_and_a_dead_holder_is_replaced_at_once() -> None:
    from crossmesh.steps import take_lease

    world = MemoryWorld()
    world.executions.alive.add("arn:one")
    first = drive(take_lease.run(take_lease.Request(id="one", execution="arn:one"), context()), world.ports)
    assert not first.held
    second = drive(take_lease.run(take_lease.Request(id="two", execution="arn:two"), context()), world.ports)
    assert second.held
    assert world.state.leases["run"].again
    world.executions.alive.clear()
    third = drive(take_lease.run(take_lease.Request(id="three", execution="arn:three"), context()), world.ports)
    assert not third.held
    assert third.run.epoch == first.run.epoch + 1


def test_an_instance_that_changed_hands_since_the_plan_is_stale_not_removed() -> None:
    world = world_with("u1", "u22")
    world.run(context())
    world.clusters.put("a", pod("u1", terminating=True))
    steps = world.steps(context(), "run-y")
    answer = None
    try:
        while True:
            asked = steps.send(answer)
            if world.runs.get("runs/run-y/plan.json"):
                world.registry.instances["srv-1"]["a.u1"]["crossmesh/owner"] = "somebody-else"
            answer = [execute(c, world.ports) for c in asked.calls] if isinstance(asked, Batch) else execute(asked, world.ports)
    except StopIteration:
        pass
    assert "a.u1" in world.registry.instances["srv-1"]
    outcomes = drive(state.load("runs/run-y/outcomes/1-0000.json", tuple[Outcome, ...]), world.ports)
    assert [o.result for o in outcomes] == ["stale"]


def test_another_configuration_supersedes_the_run_before_it_writes() -> None:
    world = world_with("u1")
    request = apply_registry.Request(run=_run_with("other"), plan="nowhere", stage=1)
    assert drive(apply_registry.run(request, context()), world.ports).superseded
    assert world.registry.writes == []


def _run_with(config: str) -> object:
    from crossmesh.usecases.context import Run

    return Run(id="r", execution="arn:r", epoch=1, config=config)
