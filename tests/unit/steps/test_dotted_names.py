"""Services and namespaces with dots of their own, from registering to the removal of the service, over the model of Cloud Map."""

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.registry.plan import PlannerState
from crossmesh.core.topology import CloudMap, VirtualNode
from crossmesh.usecases import state

from tests.support.builders import context, node, pod
from tests.support.modelled import ModelledWorld


def at(name: str, namespace: str, service: str) -> VirtualNode:
    """A virtual node in a service of a namespace."""
    return msgspec.structs.replace(node(name), cloud_map=CloudMap(namespace=namespace, service=service))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("prod.local", "api-1.5"), ("5.prod.local", "api-1")),
        (("prod.local", "_http._tcp"), ("_tcp.prod.local", "_http")),
        (("c.d", "a.b"), ("b.c.d", "a")),
    ],
)
def test_two_places_that_look_alike_are_two(first: tuple[str, str], second: tuple[str, str]) -> None:
    world = ModelledWorld(namespace=False)
    ids = {name: world.namespace(name) for name, _ in (first, second)}
    where = context(at("blue", *first), at("red", *second))
    world.clusters.put("a", pod("u1"))
    world.clusters.put("a", pod("v1", "red", ip="10.0.0.9"))
    world.look(where)
    world.run(where)
    assert set(world.held(ids[first[0]], first[1])) == {"a.u1"}
    assert set(world.held(ids[second[0]], second[1])) == {"a.v1"}
    world.writes()
    assert world.look(where).decision == "quiet"
    world.run(where)
    assert world.writes() == []


@pytest.mark.parametrize("service", ["api-1.5", "_http._tcp", "a.b.c"])
def test_a_service_that_nothing_names_any_more_is_found_again_and_removed(service: str) -> None:
    world = ModelledWorld(namespace=False)
    space = world.namespace("prod.local")
    world.clusters.put("a", pod("u1"))
    before = context(at("blue", "prod.local", service), node("red"))
    for _ in range(2):  # a service is remembered by the pass after the one that made it
        world.run(before)
    assert set(world.held(space, service)) == {"a.u1"}
    after = msgspec.structs.replace(before, topology=context(at("blue", "prod.local", "other")).topology, config="c1")
    for _ in range(4):
        world.clock.sleep(30.0)
        world.look(after)
        world.run(after)
    assert list(world.model.namespaces[space].services) == ["other"]


def test_a_memory_of_before_names_were_kept_finds_the_service_by_its_id() -> None:
    world = ModelledWorld(namespace=False)
    space = world.namespace("prod.local")
    world.clusters.put("a", pod("u1"))
    for _ in range(2):
        world.run(context(at("blue", "prod.local", "api-1.5")))
    found = codec.decode(world.state.documents[state.MEMORY], PlannerState)
    (place,) = found.services.values()
    old = msgspec.structs.replace(found, services={"api-1.5.prod.local": place}, service_names={})
    world.state.write(state.MEMORY, codec.encode(old))
    world.run(context(at("blue", "prod.local", "other")))
    world.clock.sleep(30.0)
    world.run(context(at("blue", "prod.local", "other")))
    assert world.held(space, "api-1.5") == {}
    assert set(world.held(space, "other")) == {"a.u1"}
