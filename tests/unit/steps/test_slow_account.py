"""1,000 changes at 5 calls a second: more than one function's time, so the loop of the state machine carries on; killed midway, it ends exact."""

from typing import Any

import pytest
from crossmesh.adapters.memory import MemoryClock
from crossmesh.effects import Batch, Call
from crossmesh.errors import Throttled

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld, played

PODS, RATE, BURST = 1_000, 5.0, 100.0
FUNCTION_TIMEOUT, MACHINE_TIMEOUT = 60.0, 3_600.0  # seconds: template.yaml and reconcile.asl.json


class Bucket:
    """Cloud Map's token bucket over the world's clock."""

    def __init__(self, clock: MemoryClock) -> None:
        self.clock, self.tokens, self.at = clock, BURST, clock.now()

    def take(self) -> None:
        now = self.clock.now()
        self.tokens, self.at = min(BURST, self.tokens + (now - self.at) * RATE), now
        if self.tokens < 1:
            raise Throttled("ThrottlingException: Rate exceeded")
        self.tokens -= 1


def slow_world() -> MemoryWorld:
    world = MemoryWorld()
    bucket, register = Bucket(world.clock), world.registry.register

    def throttled(*args: Any) -> str:
        bucket.take()
        return register(*args)

    world.registry.register = throttled  # type: ignore[method-assign]
    for index in range(PODS):
        world.clusters.put("a" if index % 2 else "b", pod(f"u{index:04}", ip=f"10.0.{index // 250}.{index % 250}"))
    return world


def drive_until(world: MemoryWorld, stop_after: float) -> list[float]:
    """A run, killed once so many seconds have passed; when each part of its work ended, as seconds since its beginning."""
    began, parts = world.clock.now(), list[float]()

    def go_on(asked: Call | Batch) -> bool:
        if isinstance(asked, Call) and asked.method == "put" and "/outcomes/" in asked.args[0]:
            parts.append(world.clock.now() - began)
        return world.clock.now() - began < stop_after

    played(world.steps(context(), f"run-{len(world.runs.objects)}"), world, go_on)
    world.executions.alive.clear()
    return parts


def test_the_loop_carries_on_over_several_calls_and_stays_within_every_time() -> None:
    world = slow_world()
    parts = drive_until(world, MACHINE_TIMEOUT)
    assert len(world.pods_in()) == PODS
    assert len(parts) >= 5
    assert all(later - earlier < FUNCTION_TIMEOUT for earlier, later in zip([0.0, *parts], parts, strict=False))
    floor = (PODS - BURST) / RATE
    assert parts[-1] < 1.2 * floor + 1


@pytest.mark.parametrize("seconds", [10.0, 90.0, 150.0])
def test_killed_midway_and_begun_again_it_ends_exact(seconds: float) -> None:
    world = slow_world()
    drive_until(world, seconds)
    assert 0 < len(world.pods_in()) < PODS
    drive_until(world, MACHINE_TIMEOUT)
    assert len(world.pods_in()) == PODS
    registered = [write[2] for write in world.registry.writes if write[0] == "register"]
    assert len(registered) <= PODS + 32, "at most the calls in flight were made twice"


def test_an_id_that_another_hand_takes_while_we_write_stays_theirs() -> None:
    world = slow_world()
    began, last, theirs = world.clock.now(), "b.u0998", {"AWS_INSTANCE_IPV4": "192.0.2.1"}

    def go_on(_: Call | Batch) -> bool:
        (instances,) = world.registry.instances.values() or ({},)
        if world.clock.now() - began > 60 and instances and last not in instances:
            instances[last] = theirs
        return True

    played(world.steps(context(), "run-0"), world, go_on)
    (instances,) = world.registry.instances.values()
    assert len(instances) == PODS
    assert instances.pop(last) == theirs
    assert all(attributes["AWS_INSTANCE_IPV4"].startswith("10.0.") for attributes in instances.values())
