"""Kill a run before or after every single call it makes, start again: the registry ends exact, foreign instances are untouched, and then it is quiet."""

from typing import Any

import pytest
from crossmesh.adapters.memory import MemoryRegistry
from crossmesh.core.observed import Pod
from crossmesh.effects import Step

from tests.support.builders import context, pod
from tests.support.cutting import cut
from tests.support.passes import MemoryWorld

FOREIGN = {"AWS_INSTANCE_IPV4": "10.9.9.9"}


def prepared() -> MemoryWorld:
    """Two clusters' pods registered, a foreign instance beside them; then pods leave, come, fall ill and move, so that a run has every kind of work."""
    world = MemoryWorld()
    for cluster in ("a", "b"):
        for index in range(4):
            world.clusters.put(cluster, pod(f"{cluster}{index}", "blue" if index % 2 else "red", ip=f"10.0.{index}.1"))
    world.run(context())
    service = next(iter(world.registry.services))
    world.registry.instances[service]["foreign"] = dict(FOREIGN)
    world.clusters.put("a", pod("a0", "red", terminating=True))
    world.clusters.put("a", pod("a9", "red"))
    world.clusters.put("b", pod("b1", "blue", ready=False))
    world.clusters.put("b", pod("b8", "blue"))
    world.registry.instances[service]["b.b3"]["color"] = "mauve"
    return world


def expected(world: MemoryWorld) -> set[str]:
    """uids of the ready pods."""
    pods: list[Pod] = [p for found in world.clusters.pods.values() for p in found.values()]
    return {p.uid for p in pods if p.ready}


def prepared_steps() -> tuple[MemoryWorld, Step[Any]]:
    """A fresh world and the steps of a run over it."""
    world = prepared()
    return world, world.steps(context(), "run-cut")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_killed_at_any_call_and_started_again_ends_exact(after: bool) -> None:
    at = 0
    while True:
        world, steps = prepared_steps()
        whole = cut(steps, world, at, after=after)
        world.executions.alive.clear()  # the killed execution is no longer RUNNING: its lease is taken over at once
        for _ in range(3):
            world.clock.sleep(30)
            world.run(context())
        assert world.pods_in() == expected(world), f"cut {'after' if after else 'before'} call {at}"
        service = next(iter(world.registry.services))
        assert world.registry.instances[service]["foreign"] == FOREIGN
        assert world.registry.instances[service]["b.b3"]["color"] == "blue"
        writes = len(world.registry.writes)
        world.run(context())
        assert len(world.registry.writes) == writes, "and then it is quiet"
        if whole:
            break
        at += 1
    assert at > 60


def test_no_live_pods_instance_ever_leaves_whatever_call_is_the_last() -> None:
    """At no moment of any cut run is an instance of a ready pod missing that was registered before."""
    at = 0
    while True:
        world, steps = prepared_steps()
        before = world.pods_in() & expected(world)
        watched: list[set[str]] = []

        def spy(service: str, instance: str, world: MemoryWorld = world, watched: list[set[str]] = watched) -> str:
            done = MemoryRegistry.deregister(world.registry, service, instance)
            watched.append(world.pods_in())
            return done

        world.registry.deregister = spy  # type: ignore[method-assign]
        whole = cut(steps, world, at, after=True)
        assert all(before <= found for found in watched)
        if whole:
            break
        at += 1
