"""A change that CloudTrail tells of: one read decides whether to look; strangers' writes cost no look, whatever their number."""

from typing import Any

import pytest
from crossmesh.core.reporting.report import Report, forms
from crossmesh.driver import drive
from crossmesh.effects import Batch, Call
from crossmesh.steps import look, report_look

from tests.sim import asl
from tests.sim.application import load
from tests.support.builders import NAMESPACE, context, pod
from tests.support.passes import MemoryWorld, played

HERE = context()


@pytest.fixture
def world() -> MemoryWorld:
    """One registered pod, and a look that saw it."""
    made = MemoryWorld()
    made.clusters.put("a", pod("u1"))
    made.run(HERE, made.look(HERE).look)
    made.look(HERE)
    return made


def register(service: str) -> dict[str, Any]:
    asked = {"serviceId": service, "instanceId": "i"}
    return {"eventSource": "servicediscovery.amazonaws.com", "eventName": "RegisterInstance", "requestParameters": asked}


def ours(world: MemoryWorld) -> str:
    return str(world.registry._service(NAMESPACE, "color").id)


def decided(world: MemoryWorld, detail: dict[str, Any]) -> str:
    return drive(look.run(look.Request(id="x", cause="drift", detail=detail), HERE), world.ports).decision


def test_a_strangers_write_costs_one_read_and_a_write_into_ours_a_look(world: MemoryWorld) -> None:
    assert decided(world, register("srv-stranger")) == "foreign"
    assert decided(world, register(ours(world))) == "ours"
    asked: list[Call | Batch] = []
    played(look.run(look.Request(id="x", detail=register("srv-stranger")), HERE), world, lambda one: asked.append(one) is None)
    assert len(asked) == 1


def test_before_the_first_look_every_change_is_looked_at() -> None:
    assert decided(MemoryWorld(), register("srv-stranger")) == "ours"


def test_a_look_that_failed_forgets_nothing_of_what_is_ours(world: MemoryWorld) -> None:
    drive(report_look.run(report_look.Request(id="f", failure={"Error": "x", "Cause": "y"}), HERE), world.ports)
    assert (decided(world, register("srv-stranger")), decided(world, register(ours(world)))) == ("foreign", "ours")


def test_while_a_service_of_ours_is_missing_unknown_ones_are_looked_at_twice_a_minute() -> None:
    world = MemoryWorld()
    world.look(HERE)  # no run: nothing is created
    said = []
    for _ in range(60):
        world.clock.time += 1.0
        said.append(decided(world, register("srv-new")))
        if said[-1] == "ours":
            world.look(HERE)
    assert said.count("ours") == 2


def looks(world: MemoryWorld, event: dict[str, Any]) -> int:
    """Looks that the deployed state machine takes for an event of EventBridge."""
    taken = 0
    flow = asl.flow(load().machines["Look"].definition, event, {"Execution": {"Id": "arn", "Name": "x"}}, None)
    answer: Any = None
    while True:
        try:
            asked = flow.send(answer)
        except StopIteration:
            return taken
        answer = None
        if isinstance(asked, asl.Invoke):
            assert asked.resource == "LookFunction"
            detail = asked.payload.get("detail")
            taken += detail is None
            answer = {"decision": decided(world, detail) if detail is not None else "quiet", "look_again": False}


def test_184_foreign_writes_in_a_minute_cost_no_look_and_none_of_ours_is_missed(world: MemoryWorld) -> None:
    events = [{"source": "aws.servicediscovery", "detail": register(f"srv-stranger{n % 7}")} for n in range(184)]
    assert sum(looks(world, event) for event in events) == 0
    mine = {"source": "aws.servicediscovery", "detail": register(ours(world))}
    assert sum(looks(world, event) for event in (*events[:20], mine, *events[20:40], mine)) == 2


def test_a_trigger_without_an_event_looks_as_before(world: MemoryWorld) -> None:
    for cause in ("drift", "schedule", "hint", "alarm"):
        assert looks(world, {"cause": cause}) == 1


def test_a_report_that_had_to_be_shortened_leaves_every_change_to_a_look() -> None:
    *_, shortest = forms(Report(id="r", kind="quiet", at=1.0, config="c"))
    assert shortest.concerns is None
