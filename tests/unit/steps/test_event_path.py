"""How many round trips lie between a hint and the first RegisterInstance: each is tens of milliseconds on AWS, and none comes back unnoticed."""

from collections import Counter
from typing import Any

from crossmesh.steps import apply_registry, look, observe_cluster, observe_registry, plan_registry, take_lease
from crossmesh.steps.calls import Step, Together
from crossmesh.steps.drive import _side_by_side, perform

from tests.builders import context, node, pod
from tests.passes import MemoryWorld

FREE = {"Clock", "Telemetry"}


class Trips:
    """Drives steps and counts what they wait for: one call, or several side by side, is one trip. Stops counting at the first registration."""

    def __init__(self, world: MemoryWorld) -> None:
        self.ports = world.ports
        self.trips: Counter[str] = Counter()
        self.registered = False

    def drive(self, name: str, step: Step[Any]) -> Any:
        answer: Any = None
        while True:
            try:
                asked = step.send(answer)
            except StopIteration as end:
                return end.value
            calls = asked.calls if isinstance(asked, Together) else (asked,)
            self.registered = self.registered or any(call.method == "register" for call in calls)
            if not self.registered and any(call.port not in FREE for call in calls):
                self.trips[name] += 1
            answer = _side_by_side(asked, self.ports) if isinstance(asked, Together) else perform(asked, self.ports)


def test_a_ready_pod_is_registered_within_few_round_trips() -> None:
    world = MemoryWorld()
    where = context(node("blue"), node("red"))
    world.clusters.put("a", pod("first"))
    world.run(where)
    while world.look(where).decision != "quiet":
        world.run(where)
    world.clock.sleep(60.0)
    assert world.look(where).decision == "quiet"
    world.clusters.put("a", pod("second"))
    trips = Trips(world)
    asked = trips.drive("look", look.run(look.Request(id="l"), where))
    assert asked.decision == "apply"
    world.executions.alive.add("arn:r")
    run = trips.drive("take lease", take_lease.run(take_lease.Request(id="r", execution="arn:r", look=asked.look), where)).run
    seen = trips.drive("observe registry", observe_registry.run(observe_registry.Request(run=run), where))
    for cluster in seen.clusters:  # side by side in the Map, so one counts
        step = observe_cluster.run(observe_cluster.Request(run=run, cluster=cluster, registry=seen.registry), where)
        trips.drive(f"observe cluster {cluster}", step)
    planned = trips.drive("plan", plan_registry.run(plan_registry.Request(run=run, clusters=seen.clusters), where))
    assert not trips.registered
    trips.drive("apply", apply_registry.run(apply_registry.Request(run=run, plan=planned.plan, stage=1), where))
    assert trips.registered
    assert trips.trips["observe cluster a"] == trips.trips.pop("observe cluster b")
    assert sum(trips.trips.values()) <= 25, trips.trips
