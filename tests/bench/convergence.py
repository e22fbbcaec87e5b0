"""How long N changes take at a modelled rate: the deployed apply step against the world's own model of Cloud Map, under a virtual clock.

The floor is T(N) = max(0, (N - burst) / rate) + the operation's lag; a first run knows no rate, later ones start from the learned one.
"""

import random
from collections.abc import Callable
from typing import Any

from crossmesh.adapters.memory import MemoryClock, MemoryState
from crossmesh.core.observed import Pod
from crossmesh.errors import Throttled
from crossmesh.steps.apply_registry import PACES

from tests.support.builders import context, node
from tests.support.passes import MemoryWorld
from world.aws.models.cloud_map import CloudMap, CloudMapSettings
from world.aws.models.errors import AwsError

CALL_S = 0.02  # seconds a call takes, side by side or not


class ThrottledWorld(MemoryWorld):
    """The in-memory world with the model's token buckets before register and deregister, counting calls and refusals."""

    def __init__(self, rate: float, burst: float) -> None:
        super().__init__()
        self.refused = self.asked = 0
        rates = {"RegisterInstance": (rate, burst), "DeregisterInstance": (rate, burst)}
        self.model = CloudMap(self.clock.now, random.Random(1), settings=CloudMapSettings(rates=rates))
        register, deregister = self.registry.register, self.registry.deregister

        def guarded(operation: str, call: Callable[..., str]) -> Callable[..., str]:
            def ask(*args: Any) -> str:
                self.asked += 1
                try:
                    self.model.call(operation, {"ServiceId": "srv-none", "InstanceId": "i", "Attributes": {}})
                except AwsError as error:
                    if "Throttl" in error.code or "LimitExceeded" in error.code:
                        self.refused += 1
                        raise Throttled(error.code) from error
                return call(*args)

            return ask

        self.registry.register = guarded("RegisterInstance", register)  # type: ignore[method-assign]
        self.registry.deregister = guarded("DeregisterInstance", deregister)  # type: ignore[method-assign]


def one(count: int, rate: float, burst: float, learned: bytes | None) -> tuple[float, int, bytes | None]:
    """Register `count` pods; seconds of virtual time, refusals, and what was learned."""
    world = ThrottledWorld(rate, burst)
    where = context(*(node(f"n{i}", service=f"s{i}", color=f"c{i}") for i in range(-(-count // 1_000))))
    if learned:
        world.state.write(PACES, learned)
    for index in range(count):
        labels = {"version": f"n{index // 1_000}"}
        world.clusters.put(
            "a",
            Pod(namespace="demo", name=f"p{index}", uid=f"u{index:05}", ip="10.0.0.1", labels=labels, phase="Running", containers_ready=True),
        )
    began = world.clock.time
    ticking(world.clock, world)
    world.run(where)
    taken = world.clock.time - began
    registered = sum(len(instances) for instances in world.registry.instances.values())
    assert registered == count, f"{registered} of {count}"
    return taken, world.refused, _learned(world.state)


def ticking(clock: MemoryClock, world: ThrottledWorld) -> None:
    """Every window of calls takes time: the driver makes them side by side, so a window costs one call's time."""
    discover = world.registry.discover

    def slow(*args: Any) -> Any:
        clock.sleep(CALL_S)
        return discover(*args)

    world.registry.discover = slow  # type: ignore[method-assign]
    lease = world.state.read_lease

    def read(name: str) -> Any:
        clock.sleep(CALL_S)  # read before each window
        return lease(name)

    world.state.read_lease = read  # type: ignore[method-assign]


def _learned(state: MemoryState) -> bytes | None:
    return state.read(PACES)


def convergence(row: Callable[[str, str, str], None]) -> None:
    """Rates and sizes that are promised."""
    for rate, burst in ((50.0, 100.0), (5.0, 20.0), (4.0, 80.0)):
        learned: bytes | None = None
        for count in (10, 100, 500, 1_000, 2_000):
            floor = max(0.0, (count - burst) / rate) + 1
            first, refused, knows = one(count, rate, burst, None)
            learned = knows or learned
            again, refused_again, _ = one(count, rate, burst, learned)
            told = f"first run {first / floor:.2f} × ({first:.1f} s, {refused} throttled)"
            told += f"; learned {again / floor:.2f} × ({again:.1f} s, {refused_again} throttled)"
            row(f"convergence, N = {count} at {rate:g}/s burst {burst:g}", "≤ 1.5 ×, then ≤ 1.2 × (T(N) + 1 s)", told)
