"""A 200 is not success (rule 8), and what a run could not settle it looks at again by itself, slower each time."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.registry.plan import Deregister, Outcome, Register, RegistryPlan
from crossmesh.driver import drive
from crossmesh.errors import Conflict, RefusedError
from crossmesh.ports import Operation
from crossmesh.steps.report_run import next_look
from crossmesh.usecases import state

from tests.support.builders import context, node, pod
from tests.support.controller_instances import theirs
from tests.support.passes import MemoryWorld, played


def world_with(*uids: str) -> MemoryWorld:
    world = MemoryWorld()
    for uid in uids:
        world.clusters.put("a", pod(uid, ip=f"10.0.0.{len(uid)}"))
    return world


def outcomes(world: MemoryWorld, run: str, stage: int = 1) -> list[tuple[str, str]]:
    found = drive(state.load(f"runs/{run}/outcomes/{stage}-0000.json", tuple[Outcome, ...]), world.ports)
    return [(o.result, o.detail) for o in found]


def refuse(world: MemoryWorld, method: str, *errors: Exception) -> None:
    """The next calls of a method of Cloud Map are refused."""
    left, real = list(errors), getattr(world.registry, method)

    def refusing(*args: Any) -> Any:
        if left:
            raise left.pop(0)
        return real(*args)

    setattr(world.registry, method, refusing)


def test_an_opposite_intent_is_waited_for_and_planned_again() -> None:
    """DuplicateRequest: somebody's deregistration of the instance is under way while we register it. It is never counted as our own success."""
    world = world_with("u1")
    refuse(world, "register", Conflict("DuplicateRequest", "under way", "op-other"))
    world.run(context())
    assert outcomes(world, "run-1")[1:] == [("busy", "DuplicateRequest: under way")]
    assert world.look_again == [pytest.approx(world.clock.now() + 2, abs=2)]
    world.run(context())
    assert world.pods_in() == {"u1"}
    assert world.look_again[1:] == [0.0]


def test_setbacks_back_off_and_then_leave_it_to_the_schedule() -> None:
    world = world_with("u1")
    refuse(world, "register", *(RefusedError("ResourceLimitExceeded", "2,000 in the namespace") for _ in range(8)))
    waits = []
    for _ in range(8):
        world.run(context())
        due = world.look_again[-1]
        waits.append(round(due - world.clock.now()) if due else 0)
    assert waits == [3, 5, 9, 17, 33, 0, 0, 0]  # whole seconds for Step Functions: one more than 2, 4, … 32
    world.run(context())
    assert world.pods_in() == {"u1"}
    assert world.look_again[-1] == 0.0


def test_a_full_namespace_fails_its_own_action_only() -> None:
    world = world_with("u1", "u22", "u333")
    refuse(world, "register", RefusedError("ResourceLimitExceeded", "2,000 in the namespace"))
    world.run(context())
    assert [result for result, _ in outcomes(world, "run-1")] == ["applied", "failed", "applied", "applied"]
    assert len(world.pods_in()) == 2


def test_an_operation_that_fails_late_is_found_out_soon_and_tried_again() -> None:
    world = world_with("u1", "u22")
    real = world.registry.register

    def lost(service: str, instance: str, attributes: dict[str, str], token: str) -> str:
        operation = real(service, instance, attributes, token)
        if instance == "a.u22" and len(world.registry.writes) < 4:
            del world.registry.instances[service][instance]
            world.registry.operations[operation] = Operation(id=operation, status="FAIL", code="INTERNAL_FAILURE", message="x")
        return operation

    world.registry.register = lost  # type: ignore[method-assign]
    began = world.clock.now()
    world.run(context())
    assert world.pods_in() == {"u1"}
    assert world.clock.now() - began < 10, "not the whole patience"
    assert world.look_again[-1] > 0
    world.run(context())
    assert world.pods_in() == {"u1", "u22"}


def test_a_service_deleted_meanwhile_is_made_again() -> None:
    world = world_with("u1", "u22")
    world.run(context())
    world.clusters.put("a", pod("u1", terminating=True))
    world.clusters.put("a", pod("u4444"))

    def deleted(_: object) -> bool:
        if world.runs.get("runs/run-gone/plan.json"):
            world.registry.services.pop("srv-1", None)
            world.registry.instances.pop("srv-1", None)
        return True

    assert played(world.steps(context(), "run-gone"), world, deleted)
    assert {result for result, _ in outcomes(world, "run-gone")} == {"stale"}
    assert world.look_again[-1] > 0
    world.run(context())
    assert world.pods_in() == {"u22", "u4444"}


def test_one_add_that_fails_keeps_only_what_waits_for_it() -> None:
    """Adoption of two pods: ours for one is refused, so theirs of that one stays and the other goes."""
    world, where = world_with("u1", "u22"), context(adopt=True)
    world.run(context())
    service = next(iter(world.registry.services))
    held = world.registry.instances[service]
    for uid in ("u1", "u22"):
        left = theirs(pod(uid, ip=f"10.0.0.{len(uid)}"))
        held[left.id] = dict(left.attributes)
        del held[f"a.{uid}"]
    refuse(world, "register", RefusedError("InternalFailure", "x"))
    world.run(where)
    assert sorted(held) == ["10.0.0.2", "a.u22"]
    world.run(where)
    assert sorted(held) == ["a.u1", "a.u22"]


def test_theirs_that_became_another_pods_since_the_plan_is_stale() -> None:
    world, where = world_with("u1"), context(adopt=True)
    world.run(context())
    held = world.registry.instances[next(iter(world.registry.services))]
    left = theirs(pod("u1", ip="10.0.0.2"))
    held[left.id] = dict(left.attributes)
    real = world.registry.list_instances

    def changed(service: str) -> Any:
        if world.runs.get("runs/run-2/plan.json"):
            held[left.id]["k8s.io/pod"] = "pod-of-somebody-else"
        return real(service)

    world.registry.list_instances = changed  # type: ignore[method-assign]
    world.run(where)
    assert left.id in held


def test_health_is_written_once_and_then_it_is_quiet() -> None:
    world = world_with("u1", "u22")
    for uid in range(9):
        world.clusters.put("a", pod(f"o{uid}"))
    world.run(context())
    service = next(iter(world.registry.services))
    world.registry.services[service] = msgspec.structs.replace(world.registry.services[service], custom_health=True)
    world.registry.statuses[service] = dict.fromkeys(world.registry.instances[service], "HEALTHY")
    world.run(context())
    world.clusters.put("a", pod("u1", ready=False))
    writes = len(world.registry.writes)
    assert world.look(context()).decision == "apply"
    world.run(context())
    assert world.registry.writes[writes:] == [("set-health", service, "a.u1", "UNHEALTHY")]
    assert world.look(context()).decision == "quiet"
    world.clock.sleep(700)
    assert world.look(context()).decision == "quiet"
    world.registry.statuses[service]["a.u22"] = "UNHEALTHY"  # by another writer; no revision moves
    assert world.look(context()).decision == "apply"
    world.clusters.put("a", pod("u1"))
    world.run(context())
    assert set(world.registry.statuses[service].values()) == {"HEALTHY"}


def test_a_gate_opens_after_discovery_shows_the_instance_and_once() -> None:
    where, world = context(readiness_gate=True), MemoryWorld()
    world.clusters.put("a", msgspec.structs.replace(pod("u1"), gate="closed"))
    assert world.look(where).decision == "apply"
    world.run(where)
    assert world.clusters.gates == [("a", "u1")]
    assert world.look(where).decision == "quiet"
    world.run(where)
    assert world.clusters.gates == [("a", "u1")]


def test_a_gate_stays_closed_where_discovery_does_not_show_the_instance_and_is_tried_again() -> None:
    where, world = context(readiness_gate=True), MemoryWorld()
    world.clusters.put("a", msgspec.structs.replace(pod("u1"), gate="closed"))
    real = world.registry.discover
    world.registry.discover = lambda namespace, service: ()  # type: ignore[method-assign,assignment]
    world.run(where)
    assert world.clusters.gates == []
    assert world.look_again[-1] > 0
    assert world.look(where).decision == "apply", "a closed gate alone is reason enough"
    world.registry.discover = real  # type: ignore[method-assign]
    world.run(where)
    assert world.clusters.gates == [("a", "u1")]


def test_a_plan_with_a_move_writes_add_proof_and_removal_in_that_order() -> None:
    where = context(node("blue", "color"), node("red", "front"))
    world = world_with("u1")
    world.run(where)
    world.clusters.put("a", pod("u1", "red"))
    world.clusters.put("a", pod("o1"))
    plan = world.run(where)
    assert [type(a).__name__ for a in plan.actions if isinstance(a, Register | Deregister)] == ["Register", "Register", "Deregister"]
    assert world.registry.writes[-1][0] == "deregister"
    assert (world.pods_in("color"), world.pods_in("front")) == ({"o1"}, {"u1"})


@pytest.mark.parametrize(
    ("again_at", "unsettled_runs", "expected"),
    [
        (0.0, 0, 0.0),
        (120.0, 0, 120.0),  # a confirmation
        (90.0, 0, 90.0),  # a window of a full service: at once
        (0.0, 2, 104.0),
        (120.0, 2, 104.0),  # the unsettled does not wait for the confirmation
        (103.0, 5, 103.0),  # nor the other way round
        (90.0, 1, 102.0),  # never without a pause where something failed
        (90.0, 50, 132.0),
        (120.0, 50, 120.0),
        (0.0, 6, 0.0),
    ],
)
def test_when_a_run_looks_again(again_at: float, unsettled_runs: int, expected: float) -> None:
    assert next_look(RegistryPlan(again_at=again_at), unsettled_runs, now=100.0) == expected
