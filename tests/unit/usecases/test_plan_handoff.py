"""What a look hands on to its run, when the run may go by it, and what a look need not read again."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.kubernetes.clusters import LIMIT
from crossmesh.core.registry.plan import ManualOverrides, PlannerState, Register, TagService
from crossmesh.core.registry.planner import deployment_tag
from crossmesh.driver import drive
from crossmesh.effects import Batch, Step, batch, call, gather, to
from crossmesh.errors import RefusedError
from crossmesh.ports import Lease
from crossmesh.steps import look, release_lease, take_lease
from crossmesh.usecases import lease, registry, state
from crossmesh.usecases import look as looks
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.plan_handoff import GOOD_FOR, PlanHandoff

from tests.support.builders import context, pod
from tests.support.manifest_texts import HEAD, node
from tests.support.mesh_runs import app_mesh, declared_by, reconcile
from tests.support.model_mesh import ModelMesh
from tests.support.passes import MemoryWorld, played

ELSE = 8.0  # seconds for all else that a look does, and until its run has the lease


class Counting(MemoryWorld):
    """Counts what is asked, by method of a port."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()

    @property
    def ports(self) -> dict[str, object]:
        return {name: _Counted(name, port, self.asked) for name, port in super().ports.items()}

    def hint(self, where: Context) -> look.Response:
        self.count += 1
        return drive(look.run(look.Request(id=f"look-{self.count}", cause="hint"), where), self.ports)


class _Counted:
    def __init__(self, name: str, port: Any, asked: Counter[str]) -> None:
        self._name, self._port, self._asked = name, port, asked

    def __getattr__(self, method: str) -> Any:
        self._asked[f"{self._name}.{method}"] += 1
        return getattr(self._port, method)


def settled(*uids: str) -> Counting:
    """A world whose pods are registered, and whose lists are trusted."""
    world = Counting()
    for uid in uids:
        world.clusters.put("a", pod(uid))
    world.run(context(), world.look(context()).look)
    for _ in range(2):
        world.clock.sleep(registry.SETTLED + 1)
        assert world.look(context()).decision == "quiet"
    world.asked.clear()
    return world


def take(world: MemoryWorld, looked: look.Response, where: Context, execution: str = "arn:x") -> take_lease.Response:
    world.executions.alive.add(execution)
    return drive(take_lease.run(take_lease.Request(id=looked.id, execution=execution, look=looked.look), where), world.ports)


def test_a_run_goes_by_its_look_and_reads_the_registry_and_the_clusters_no_second_time() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    looked = world.look(context())
    plan = world.run(context(), looked.look)
    assert [type(action) for action in plan.actions] == [Register]
    assert world.pods_in() == {"u1", "u22"}
    assert world.asked["Clusters.observe"] == 2, "two clusters, once each"
    asked = {name: count for name, count in world.asked.items() if name.startswith("Registry.")}
    assert asked == {"Registry.revision": 1, "Registry.register": 1, "Registry.discover": 1}


def test_what_a_look_handed_on_can_be_replayed_from_the_keys_of_any_run() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    looked = world.look(context())
    kept = set(world.runs.objects)
    named = ("registry", "views/a", "views/b", "inputs", "operator", "outliers", "plan", "look")
    assert {state.key(looked.id, name) for name in named} <= kept


def test_a_look_that_waited_for_one_cluster_as_long_as_it_may_is_good_enough_for_its_run() -> None:
    """Otherwise its run would wait for the same cluster again, and everybody's pods with it."""
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    looked = world.look(context())
    world.clock.sleep(LIMIT + ELSE)
    assert take(world, looked, context()).ready


def another_run(world: MemoryWorld, _: look.Response) -> Context:
    world.run(context())
    return context()


def another_configuration(_: MemoryWorld, __: look.Response) -> Context:
    return msgspec.structs.replace(context(), config="c1")


def time_went_by(world: MemoryWorld, _: look.Response) -> Context:
    world.clock.sleep(GOOD_FOR + 1)
    return context()


def of_another_look(world: MemoryWorld, looked: look.Response) -> Context:
    handed = world.runs.objects[looked.look]
    world.runs.objects[looked.look] = handed.replace(b"runs/" + looked.id.encode(), b"runs/look-0")
    return context()


@pytest.mark.parametrize("between", [another_run, another_configuration, time_went_by, of_another_look])
def test_a_run_looks_for_itself_where_the_look_may_not_be_what_it_would_see(
    between: Callable[[MemoryWorld, look.Response], Context],
) -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    looked = world.look(context())
    taken = take(world, looked, between(world, looked))
    assert (taken.held, taken.ready, taken.planned) == (False, False, None)


def test_a_look_that_began_under_anothers_lease_hands_nothing_on() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    first = take(world, world.look(context()), context(), "arn:first")
    assert first.ready
    looked = world.look(context())
    assert looked.decision == "apply"
    drive(release_lease.run(release_lease.Request(run=first.run), context()), world.ports)
    assert not take(world, looked, context()).ready


def test_a_lease_taken_twice_by_one_execution_is_still_by_the_look_and_keeps_who_asked() -> None:
    """Its answer was lost, and the state tries again."""
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    looked = world.look(context())
    assert take(world, looked, context()).ready
    assert world.state.ask_again("run", world.state.leases["run"])
    again = take(world, looked, context())
    assert again.ready
    assert world.state.leases["run"].again


def test_who_met_a_look_is_answered_by_its_run_which_goes_once_more() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    real = world.clusters.observe

    def met(*args: Any, **more: Any) -> Any:
        assert world.state.ask_again("look", world.state.leases["look"])
        return real(*args, **more)

    world.clusters.observe = met  # type: ignore[method-assign]
    looked = world.look(context())
    taken = take(world, looked, context())
    assert taken.ready
    released = drive(release_lease.run(release_lease.Request(run=taken.run), context()), world.ports)
    assert released.again
    world.clusters.observe = real  # type: ignore[method-assign]
    world.clusters.put("a", pod("u333"))
    seen = drive(look.run(look.Request(run=released.run), context()), world.ports)
    assert seen.run == released.run
    assert seen.planned is not None
    assert (seen.planned.plan, seen.planned.actions) == (state.key(released.run.id, "plan"), 2)


def test_a_hint_that_meets_a_run_reads_nothing_of_what_is_being_written() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    take(world, world.look(context()), context(), "arn:first")
    world.asked.clear()
    hinted = world.hint(context())
    assert (hinted.decision, hinted.look) == ("asked", "")
    assert not [name for name in world.asked if name.startswith(("Registry.", "Clusters."))]
    assert world.state.leases["run"].again
    world.executions.alive.clear()
    world.clock.sleep(lease.FRESH)
    hinted = world.hint(context())
    assert hinted.decision == "apply", "its execution was stopped: the lease holds nobody up"
    assert not take(world, hinted, context(), "arn:second").held


def test_a_look_that_crashed_is_no_obstacle_to_its_next_try() -> None:
    world = settled("u1")
    step = look.run(look.Request(id="look-x"), context())
    assert not played(step, world, lambda asked: not isinstance(asked, Batch) or asked.calls[0].method != "observe")
    assert world.look(context()).decision == "held"
    assert drive(look.run(look.Request(id="look-x"), context()), world.ports).decision == "quiet"


# --- what a look need not read again ------------------------------------------------------------------------------------------------------------


def changed(world: Counting, uid: str) -> None:
    """A pod more, registered by a run that goes by its look."""
    world.clusters.put("a", pod(uid))
    world.run(context(), world.look(context()).look)
    world.asked.clear()


def test_after_a_run_of_ours_only_the_instances_are_listed_once_and_once_more_when_settled() -> None:
    world = settled("u1")
    changed(world, "u22")
    assert world.look(context()).decision == "quiet"
    assert world.asked["Registry.list_instances"] == 1
    assert world.asked["Registry.find_services"] == 0
    world.clock.sleep(registry.SETTLED + 1)
    for _ in range(2):
        world.look(context())
    assert world.asked["Registry.list_instances"] == 2
    assert world.asked["Registry.find_services"] == 0


def test_another_hand_that_writes_makes_the_services_and_their_tags_read_again() -> None:
    """A second deployment with our owner: it left its mark, and then it writes."""
    world = settled("u1")
    (service,) = world.registry.services
    found = world.registry.services[service]
    world.registry.services[service] = msgspec.structs.replace(found, tags={**found.tags, deployment_tag("prod"): "2/us-east-1/other"})
    assert world.look(context()).decision == "quiet", "no revision tells of a tag"
    world.registry.register(service, "a.other", {"AWS_INSTANCE_IPV4": "10.9.9.9"}, "t")
    world.clusters.put("a", pod("u22"))
    world.look(context())
    assert any("2/us-east-1/other" in note for note in world.telemetry.reports[-1].notes)
    assert world.telemetry.reports[-1].adds == 0


def test_a_mark_of_another_deployment_is_noticed_with_the_next_full_reading_at_the_latest() -> None:
    world = settled("u1")
    (service,) = world.registry.services
    found = world.registry.services[service]
    world.registry.services[service] = msgspec.structs.replace(found, tags={**found.tags, deployment_tag("prod"): "2/us-east-1/other"})
    world.clock.sleep(registry.FULL_EVERY)
    world.look(context())
    assert any("2/us-east-1/other" in note for note in world.telemetry.reports[-1].notes)


def test_a_mark_that_a_run_left_is_read_again_at_once() -> None:
    """A service that somebody else made: no revision tells that it carries our mark now, and looks would ask for a run again and again."""
    world = settled("u1")
    (service,) = world.registry.services
    world.registry.services[service] = msgspec.structs.replace(world.registry.services[service], tags={})
    world.clock.sleep(registry.FULL_EVERY)
    plan = world.run(context(), world.look(context()).look)
    assert [type(action) for action in plan.actions] == [TagService]
    assert deployment_tag("prod") in world.registry.services[service].tags
    assert world.look(context()).decision == "quiet"


def test_a_revision_that_is_behind_what_we_proved_is_not_believed() -> None:
    """Else what we registered would count as removed by another writer, and be registered again."""
    world = settled("u1")
    real = world.registry.revision
    (found,) = world.registry.services.values()
    before = real(found.namespace, found.service)
    changed(world, "u22")
    world.registry.revision = lambda *_: before  # type: ignore[method-assign]
    assert world.look(context()).decision == "quiet"
    assert world.asked["Registry.list_instances"] == 1
    assert codec.decode(world.state.documents[state.MEMORY], PlannerState).lost == {}


def test_after_a_run_that_left_something_unsettled_all_is_read_anew() -> None:
    world = settled("u1")
    memory = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    world.state.write(state.MEMORY, codec.encode(msgspec.structs.replace(memory, unsettled_runs=1)))
    world.look(context())
    assert (world.asked["Registry.find_services"], world.asked["Registry.list_instances"]) == (1, 1)


def test_once_all_is_settled_a_run_forgets_the_setback_and_looks_are_quiet_again() -> None:
    """Else every look until the next change would list every service."""
    world = settled("u1")
    memory = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    world.state.write(state.MEMORY, codec.encode(msgspec.structs.replace(memory, unsettled_runs=1)))
    found = world.look(context())
    assert (found.decision, found.actions) == ("apply", 0)
    world.run(context(), found.look)
    world.clock.sleep(registry.SETTLED + 1)
    world.look(context())  # what was read beside the setback is listed once more
    world.asked.clear()
    assert world.look(context()).decision == "quiet"
    assert world.asked["Registry.list_instances"] == 0


def test_once_a_service_is_gone_a_run_forgets_it_and_looks_are_quiet_again() -> None:
    """Somebody deleted it, and no document names it: else every look would ask for it, and read all others anew."""
    world = settled("u1")
    memory = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    services = {**memory.services, "old.demo.local": ("srv-gone", "arn:aws:servicediscovery:us-east-1:111122223333:service/srv-gone")}
    service_names = {**memory.service_names, "old.demo.local": ("demo.local", "old")}
    world.state.write(state.MEMORY, codec.encode(msgspec.structs.replace(memory, services=services, service_names=service_names)))
    found = world.look(context())
    assert (found.decision, found.actions) == ("apply", 0)
    world.run(context(), found.look)
    assert "old.demo.local" not in codec.decode(world.state.documents[state.MEMORY], PlannerState).service_names
    world.look(context())  # what was read beside it is listed once more
    world.clock.sleep(registry.SETTLED + 1)
    world.look(context())
    world.asked.clear()
    assert world.look(context()).decision == "quiet"
    assert (world.asked["Registry.find_services"], world.asked["Registry.list_instances"]) == (0, 0)


@pytest.mark.parametrize("mode", ["paused", "observe"])
def test_where_nothing_may_be_written_a_setback_asks_for_no_run(mode: str) -> None:
    world = settled("u1")
    memory = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    world.state.write(state.MEMORY, codec.encode(msgspec.structs.replace(memory, unsettled_runs=1)))
    if mode == "paused":
        world.state.write(state.OPERATOR, codec.encode(ManualOverrides(paused=1.0)))
    assert world.look(msgspec.structs.replace(context(), mode="apply" if mode == "paused" else mode)).decision == "quiet"


# --- the mesh keeps no pod waiting --------------------------------------------------------------------------------------------------------------


WITH_MESH = (HEAD, node("cart"))
CHANGED = (HEAD, node("cart", port=9090))


def meshed() -> Counting:
    """A world whose mesh is as declared, which a look has seen, and in which a pod is about to be registered."""
    world, where = Counting(), declared_by(*WITH_MESH)
    world.mesh = ModelMesh(world.clock.now)  # type: ignore[assignment]
    world.registry.namespaces["shop.local"] = ("ns-2", "DNS_PRIVATE")
    assert reconcile(world, where).failed == 0
    world.executions.alive.clear()
    world.state.leases.clear()
    assert drive(look.run(look.Request(id="before", cause="schedule"), where), world.ports).decision == "quiet"
    world.clusters.put("a", msgspec.structs.replace(pod("u1"), namespace="shop", labels={"app": "cart"}))
    world.asked.clear()
    return world


def handed(world: MemoryWorld, looked: look.Response) -> PlanHandoff:
    return codec.decode(world.runs.objects[looked.look], PlanHandoff)


def mesh_reads(world: Counting) -> int:
    return sum(count for name, count in world.asked.items() if name.startswith("AppMeshApi."))


def test_a_hint_of_pods_reads_no_mesh_that_was_in_order_a_moment_ago_nor_does_its_run() -> None:
    world, where = meshed(), declared_by(*WITH_MESH)
    looked = world.hint(where)
    found = handed(world, looked).planned
    assert found is not None
    assert (looked.decision, found.mesh, mesh_reads(world)) == ("apply", False, 0)


def schedule(world: Counting) -> tuple[Context, str]:
    return declared_by(*WITH_MESH), "schedule"


def long_ago(world: Counting) -> tuple[Context, str]:
    world.clock.sleep(looks.MESH_EVERY)
    return declared_by(*WITH_MESH), "hint"


def other_documents(_: Counting) -> tuple[Context, str]:
    return declared_by(*CHANGED), "hint"


@pytest.mark.parametrize("differently", [schedule, long_ago, other_documents])
def test_any_other_look_reads_the_mesh(differently: Callable[[Counting], tuple[Context, str]]) -> None:
    world = meshed()
    where, cause = differently(world)
    looked = drive(look.run(look.Request(id="l", cause=cause), where), world.ports)
    assert looked.decision == "apply"
    assert mesh_reads(world) > 0
    found = handed(world, looked).planned
    assert found is not None
    assert found.mesh == (differently is other_documents), "the run looks at the mesh where it is not in order"


def test_a_mesh_that_was_not_in_order_is_looked_at_by_the_next_run_whoever_asked_for_it() -> None:
    world, where = meshed(), declared_by(*WITH_MESH)
    app_mesh(world).model._resources.popitem()
    drive(look.run(look.Request(id="l", cause="schedule"), where), world.ports)
    looked = world.hint(where)
    found = handed(world, looked).planned
    assert found is not None
    assert found.mesh


def test_a_run_that_was_asked_again_looks_at_the_mesh_only_where_it_is_not_in_order() -> None:
    world, where = meshed(), declared_by(*WITH_MESH)
    run = Run(id="r~1", execution="arn:r", config=where.config, passes=1)
    for order in (True, False):
        if not order:
            app_mesh(world).model._resources.popitem()
            drive(look.run(look.Request(id="l", cause="schedule"), where), world.ports)
        seen = drive(look.run(look.Request(run=run), where), world.ports)
        assert seen.planned is not None
        assert seen.planned.mesh is not order


# --- once more ----------------------------------------------------------------------------------------------------------------------------------


def test_a_run_goes_once_more_unasked_while_pods_are_on_their_way() -> None:
    """As in a rolling update: the next ones become ready while it verifies."""
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    world.clusters.put("a", pod("u333", ready=False))
    assert goes_on(world)
    world.clusters.put("a", pod("u4444", "other"))
    assert not goes_on(world), "it did nothing"
    world.clusters.put("a", pod("u333"))
    world.clusters.put("a", pod("u55555", "other", ready=False))
    assert not goes_on(world), "what is on its way is nobody's"


def test_a_run_that_left_something_unsettled_waits_before_it_tries_again() -> None:
    world = settled("u1")
    world.clusters.put("a", pod("u22"))
    world.clusters.put("a", pod("u333", ready=False))

    def refuse(*_: object) -> str:
        raise RefusedError("ResourceLimitExceeded", "no")

    world.registry.register = refuse  # type: ignore[method-assign,assignment]
    assert not goes_on(world)


def goes_on(world: Counting) -> bool:
    """Whether the run of a look taken now goes once more."""
    world.run(context(), world.look(context()).look)
    return world.more


@pytest.mark.parametrize("more", [True, False])
def test_who_went_once_more_often_enough_leaves_the_rest_to_a_look(more: bool) -> None:
    world = MemoryWorld()
    this = Run(id="r~5", execution="arn:r", epoch=1, passes=release_lease.PASSES_AT_MOST)
    world.state.write_lease("run", Lease(epoch=1, holder="arn:r", expires=world.clock.now() + 60, again=not more), None)
    released = drive(release_lease.run(release_lease.Request(run=this, more=more), context()), world.ports)
    assert (released.again, released.look) == (False, True)
    assert world.state.leases["run"].holder == ""


def test_who_was_not_asked_and_has_no_more_to_do_is_done() -> None:
    world = MemoryWorld()
    world.state.write_lease("run", Lease(epoch=1, holder="arn:r", expires=world.clock.now() + 60), None)
    released = drive(release_lease.run(release_lease.Request(run=Run(id="r", execution="arn:r", epoch=1)), context()), world.ports)
    assert (released.again, released.look, world.state.leases["run"].holder) == (False, False, "")


def test_many_removals_are_compared_with_one_fresh_list() -> None:
    world = settled("u1", "u22", "u333")
    for uid in ("u1", "u22"):
        world.clusters.put("a", pod(uid, terminating=True))
    looked = world.look(context())
    assert world.asked["Registry.list_instances"] == 0
    world.run(context(), looked.look)
    assert world.pods_in() == {"u333"}
    assert (world.asked["Registry.list_instances"], world.asked["Registry.deregister"], world.asked["Registry.discover"]) == (1, 2, 1)


# --- side by side -------------------------------------------------------------------------------------------------------------------------------


def adding(start: int, *, singly: bool) -> Step[int]:
    total = start
    for _ in range(2):
        total += (yield from call(Number.give, 1)) if singly else sum((yield from batch([to(Number.give, 1), to(Number.give, 2)])))
    return total


class Number:
    def give(self, what: int) -> int:
        if what < 0:
            raise RefusedError("Negative", "no")
        return what


def failing() -> Step[str]:
    try:
        yield from call(Number.give, -1)
    except RefusedError as error:
        return error.code
    return ""


def test_steps_side_by_side_ask_at_the_same_time_and_each_hears_its_own() -> None:
    rounds: list[int] = []
    found = drive(_counted(gather(adding(0, singly=True), adding(10, singly=False), failing()), rounds), {"Number": Number()})
    assert found == [2, 16, "Negative"]
    assert rounds == [4, 3]


def _counted(step: Step[Any], rounds: list[int]) -> Step[Any]:
    """The step, and how many calls it asks for each time."""
    answer = None
    while True:
        try:
            asked = step.send(answer)
        except StopIteration as end:
            return end.value
        rounds.append(len(asked.calls) if isinstance(asked, Batch) else 1)
        answer = yield asked


def test_the_first_error_ends_steps_side_by_side() -> None:
    def refused() -> Step[None]:
        yield from call(Number.give, -1)

    with pytest.raises(RefusedError):
        drive(gather(adding(0, singly=True), refused()), {"Number": Number()})


def test_a_look_document_of_an_older_version_hands_nothing_on_but_whom_it_saw_terminating() -> None:
    old = codec.encode({"actions": [], "memory": {"terminating": {"u1": 5.0}}})
    handed = codec.decode(old, PlanHandoff)
    assert (handed.planned, handed.memory.terminating) == (None, {"u1": 5.0})
