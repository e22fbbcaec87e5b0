"""How many round trips lie between a hint and the first RegisterInstance: each is tens of milliseconds on AWS, and none comes back unnoticed."""

from collections import Counter
from typing import Any

from crossmesh.driver import _side_by_side, execute
from crossmesh.effects import Batch, Step
from crossmesh.steps import apply_registry, look, take_lease

from tests.support.builders import context, node, pod
from tests.support.passes import MemoryWorld

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
            calls = asked.calls if isinstance(asked, Batch) else (asked,)
            self.registered = self.registered or any(call.method == "register" for call in calls)
            if not self.registered and any(call.port not in FREE for call in calls):
                self.trips[name] += 1
            answer = _side_by_side(asked, self.ports) if isinstance(asked, Batch) else execute(asked, self.ports)


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
    asked = trips.drive("look", look.run(look.Request(id="l", cause="hint"), where))
    assert asked.decision == "apply"
    world.executions.alive.add("arn:r")
    taken = trips.drive("take lease", take_lease.run(take_lease.Request(id="l", execution="arn:r", look=asked.look), where))
    assert taken.ready
    assert not trips.registered
    request = apply_registry.Request(run=taken.run, plan=taken.planned.plan, stage=1)
    trips.drive("apply", apply_registry.run(request, where))
    assert trips.registered
    assert trips.trips == {"look": 7, "take lease": 2, "apply": 2}
