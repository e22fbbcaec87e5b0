"""A deployment's life in memory: it only observes first, is upgraded under a run, is deleted and made again, and meets other deployments.

The same through the real stack is a world's work; here each turn is cheap enough to be tried at every point.
"""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryRunStore, MemoryState
from crossmesh.core.registry.ownership_conflict import LIFE
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, RegistryPlan
from crossmesh.core.reporting.report import Report
from crossmesh.driver import drive, execute
from crossmesh.steps import report_run, take_lease
from crossmesh.usecases import state
from crossmesh.usecases.context import Context

from tests.support.builders import NAMESPACE, context, pod
from tests.support.passes import MemoryWorld

RUN = "arn:run-1"


def filled() -> MemoryWorld:
    """Two clusters with three pods each."""
    world = MemoryWorld()
    for cluster in ("a", "b"):
        for number in range(3):
            world.clusters.put(cluster, pod(f"{cluster}{number}"))
    return world


def upgraded(where: Context) -> Context:
    """The next `sam deploy` with another configuration."""
    return msgspec.structs.replace(where, config="c1")


def test_a_first_deployment_that_only_observes_plans_and_writes_nothing() -> None:
    world = filled()
    observing = context(mode="observe")
    found = world.look(observing)
    assert (found.decision, found.actions > 0) == ("observe", True)
    taken = drive(take_lease.run(take_lease.Request(id="r", execution=RUN), observing), world.ports)
    assert taken.held, "whoever starts a run by hand is held off, too"
    assert world.registry.writes == []
    world.run(context())
    assert len(world.pods_in()) == 6


def test_a_deployment_made_again_with_nothing_but_its_name_takes_up_the_same_instances_and_writes_nothing() -> None:
    world = filled()
    world.run(context())
    world.registry.writes.clear()
    world.state, world.runs = MemoryState(), MemoryRunStore()  # a new table and bucket; the old ones are kept, for people
    assert world.look(context()).actions == 0
    world.run(context())
    assert world.registry.writes == []
    assert len(world.pods_in()) == 6
    world.clusters.remove("a", "a0")
    world.clusters.put("a", pod("a9"))
    world.run(context())
    assert "a9" in world.pods_in()


@pytest.mark.parametrize("cut", [1, 5, 10, 20, 30, 40, 60, 80])
def test_an_upgrade_under_a_run_supersedes_it_and_loses_neither_confirmations_nor_wishes(cut: int) -> None:
    """The run's first `cut` calls are made by the old version, all others by the new one; the next look goes on."""
    world = filled()
    world.run(context())
    for number in range(3):
        world.clusters.remove("b", f"b{number}")  # a mass removal: it waits for its confirmation
    world.run(context())
    pending = codec.decode(world.state.read(state.MEMORY) or b"", PlannerState).pending_deletions
    assert len(pending) == 3
    wish = codec.encode(ManualOverrides(resumed={"x.demo.local": 1.0}))
    world.state.write(state.OPERATOR, wish)
    world.clusters.put("a", pod("new", "red"))  # of another node: an add of the same one would stand for a removal
    steps, answer = world.steps(context(), "old"), None
    for _ in range(cut):
        try:
            asked = steps.send(answer)
        except StopIteration:
            break
        many = getattr(asked, "calls", None)
        answer = [execute(one, world.ports) for one in many] if many is not None else execute(asked, world.ports)
    steps.close()  # the old version's code is gone; the state machine's next call meets the new one
    world.executions.alive.clear()
    kept = codec.decode(world.state.read(state.MEMORY) or b"", PlannerState).pending_deletions
    assert kept.items() <= pending.items() | kept.items()
    assert set(kept) == set(pending), "what waits for confirmation goes on waiting"
    assert world.state.read(state.OPERATOR) == wish
    assert len(world.pods_in()) >= 6, "nothing was removed unconfirmed"
    world.clock.sleep(60)
    world.run(upgraded(context()))
    world.run(upgraded(context()))
    assert world.pods_in() == {"a0", "a1", "a2", "new"}


def test_a_run_that_finds_itself_superseded_says_so_and_asks_for_another_look() -> None:
    world = filled()
    taken = drive(take_lease.run(take_lease.Request(id="r", execution=RUN), context()), world.ports)
    found = drive(report_run.run(report_run.Request(run=taken.run), upgraded(context())), world.ports)
    assert (found.kind, found.look_again) == ("superseded", True)
    assert codec.decode(world.state.read("run") or b"", Report).kind == "superseded"


def second_deployment(world: MemoryWorld, **changes: object) -> tuple[MemoryWorld, Context]:
    """Another deployment on the same registry, over a cluster of its own, with its own state."""
    other = MemoryWorld()
    other.registry, other.clock, other.clusters.clock = world.registry, world.clock, world.clock
    other.clusters.put("z", pod("z1"))
    base = context(clusters=("z",), owner=str(changes.get("owner", "prod")))
    return other, msgspec.structs.replace(base, deployment="1/us-east-1/other")


def test_two_deployments_of_two_owners_share_a_service_in_peace() -> None:
    world = filled()
    other, theirs = second_deployment(world, owner="second")
    for _ in range(2):
        world.run(context())
        other.run(theirs)
    world.registry.writes.clear()
    world.run(context())
    other.run(theirs)
    assert world.registry.writes == []
    assert len(world.pods_in()) == 7


EARLIER, LATER = "1/us-east-1/crossmesh", "1/us-east-1/other"


def two_of_one_owner() -> tuple[MemoryWorld, MemoryWorld, Context]:
    """An earlier deployment at work, and a later one with its owner that has looked once; pods are wanted by both."""
    world = filled()
    world.run(context())
    before = world.pods_in()
    other, theirs = second_deployment(world)
    world.registry.writes.clear()
    world.clock.sleep(60)
    other.run(theirs)
    assert {write[0] for write in world.registry.writes} == {"tag"}, "the later one says that it is there, and writes nothing else"
    assert world.pods_in() == before
    world.registry.writes.clear()
    return world, other, theirs


def quiet_within(world: MemoryWorld, where: Context, most: int) -> int:
    """A minute's look after another until one is quiet; how many that took. Runs are made as looks ask for them."""
    for number in range(most):
        world.clock.sleep(60)
        looked = world.look(where)
        if looked.decision == "quiet":
            return number
        world.run(where, looked.look)
    raise AssertionError(f"not quiet within {most} minutes")


def names(plan: RegistryPlan) -> str:
    """What people read."""
    return " ".join(plan.notes)


def test_two_deployments_of_one_owner_by_mistake_both_stop_and_name_each_other() -> None:
    world, other, theirs = two_of_one_owner()
    world.clusters.put("a", pod("u-new"))
    world.clusters.remove("b", next(iter(world.clusters.pods["b"])))
    for plan in (world.run(context()), other.run(theirs)):
        assert plan.conflict
        assert EARLIER in names(plan)
        assert LATER in names(plan)
        assert "conflict" in {held.why for held in plan.withheld}
    assert world.registry.writes == [], "and neither goes on: not even with what is dead"


def test_a_conflict_costs_a_mark_every_quarter_of_an_hour_and_no_run_a_minute() -> None:
    world, other, theirs = two_of_one_owner()
    runs = 0
    for _ in range(60):
        world.clock.sleep(60)
        for one, where in ((world, context()), (other, theirs)):
            looked = one.look(where)
            if looked.decision == "apply":
                one.run(where, looked.look)
                runs += 1
    marks = [write for write in world.registry.writes if write[0] == "tag"]
    assert marks == world.registry.writes
    assert 2 <= len(marks) <= 5
    assert runs <= len(marks) + 1, "the earlier one records once that it found the later"
    assert world.run(context()).conflict, "and the word against it held all the time"


def test_the_earlier_goes_on_by_itself_once_the_later_is_gone() -> None:
    world, _, _ = two_of_one_owner()
    assert world.run(context()).conflict
    world.clusters.put("a", pod("u-new"))
    world.clock.sleep(LIFE + 60)
    assert "u-new" not in world.pods_in()
    world.run(context())
    assert "u-new" in world.pods_in()
    assert quiet_within(world, context(), 3) <= 1


def test_a_word_ends_by_the_clock_and_not_when_the_services_are_read_anew() -> None:
    world, _, _ = two_of_one_owner()
    world.clock.sleep(LIFE - 90)  # read last shortly before the word ends, and believed for as long as no revision moves
    world.run(context())
    for _ in range(3):
        world.look(context())
        world.clock.sleep(35)
    world.clusters.put("a", pod("u-new"))
    looked = world.look(context())
    assert looked.actions == 1, "not after up to 10 minutes more"
    world.run(context(), looked.look)
    assert "u-new" in world.pods_in()


def resume(world: MemoryWorld, service: str = f"color.{NAMESPACE}") -> None:
    """As the command line does it: only what is stopped can be resumed."""
    memory = codec.decode(world.state.read(state.MEMORY) or b"", PlannerState)
    assert service in memory.conflicting_deployments
    data = world.state.read(state.OPERATOR)
    asked = codec.decode(data, ManualOverrides) if data else ManualOverrides()
    world.clock.sleep(1)
    world.state.write(state.OPERATOR, codec.encode(msgspec.structs.replace(asked, resumed={service: world.clock.now()})))


def test_a_person_says_that_the_earlier_is_meant() -> None:
    world, other, theirs = two_of_one_owner()
    world.run(context())
    resume(world)
    world.clusters.put("a", pod("u-new"))
    world.run(context())
    assert "u-new" in world.pods_in()
    for _ in range(40):  # the later one goes on saying that it is there
        world.clock.sleep(60)
        other.run(theirs)
        assert not world.run(context()).conflict
    assert "z1" not in world.pods_in()


def test_a_person_says_that_the_later_is_meant_and_changes_her_mind() -> None:
    world, other, theirs = two_of_one_owner()
    world.run(context())
    resume(other)
    other.run(theirs)
    assert "z1" in world.pods_in()
    assert world.run(context()).conflict
    assert quiet_within(other, theirs, 4) <= 3, "what was read before the mark was taken over stops nobody"
    other.clock.sleep(900)
    other.run(theirs)
    assert not other.run(theirs).conflict
    resume(world)
    assert not world.run(context()).conflict
    other.clock.sleep(60)
    assert other.run(theirs).conflict, "the last word counts"
    assert not world.run(context()).conflict


def test_a_word_against_another_hand_is_none_against_a_deployment_that_comes_later() -> None:
    world = filled()
    world.state.write(state.OPERATOR, codec.encode(ManualOverrides(resumed={f"color.{NAMESPACE}": world.clock.now()})))
    world.run(context())
    world.clock.sleep(60)
    other, theirs = second_deployment(world)
    other.run(theirs)
    world.clock.sleep(60)
    assert world.run(context()).conflict


def test_a_later_one_that_only_observes_stops_nobody() -> None:
    world = filled()
    world.run(context())
    other, theirs = second_deployment(world)
    assert other.look(msgspec.structs.replace(theirs, mode="observe")).decision == "observe"
    assert not world.run(context()).conflict


def test_what_others_registered_is_never_touched_not_even_by_a_drain() -> None:
    """By hand, and as ECS does it: no mark of ours, whatever else they carry."""
    world = filled()
    world.run(context())
    (service,) = world.registry.services
    foreign = {
        "by-hand": {"AWS_INSTANCE_IPV4": "10.9.9.9"},
        "ecs-task": {"AWS_INSTANCE_IPV4": "10.9.9.8", "ECS_SERVICE_NAME": "s", "ECS_TASK_DEFINITION_FAMILY": "f"},
    }
    for name, attributes in foreign.items():
        world.registry.instances[service][name] = dict(attributes)
        world.registry.revisions[service] += 1
    world.run(context())
    world.state.write(state.OPERATOR, codec.encode(ManualOverrides(draining=world.clock.now())))
    for _ in range(3):
        world.run(context())
        world.clock.sleep(60)
    assert world.registry.instances[service] == foreign
