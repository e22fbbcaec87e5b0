"""A plan that somebody changed in the run store between the function that made it and the one that carries it out does no harm."""

from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.observed import RegistryView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import CreateService, Deregister, Register, RegistryPlan, SetHealth
from crossmesh.driver import drive
from crossmesh.errors import RefusedError
from crossmesh.steps import apply_registry, look, take_lease
from crossmesh.usecases import state

from tests.support.builders import NAMESPACE, context, node, pod
from tests.support.passes import MemoryWorld

PAYROLL = "payroll"
HERE = context(node())


def forged(*actions: Any, service: str = PAYROLL) -> tuple[MemoryWorld, apply_registry.Request]:
    """A run under way whose plan and registry were replaced; in a foreign service stands an instance that nobody marked."""
    world = MemoryWorld()
    world.clusters.put("a", pod("u1"))
    foreign = world.registry.create_service(
        CreateService(namespace=NAMESPACE, service=service, namespace_id="ns-1", dns=True, tags={}, creator="x", reason="x")
    )[0]
    world.registry.register(foreign, "alice", {"AWS_INSTANCE_IPV4": "10.9.9.9"}, "t")
    world.executions.alive.add("arn")
    run = drive(take_lease.run(take_lease.Request(id="r", execution="arn"), HERE), world.ports).run
    planned = drive(look.run(look.Request(run=run), HERE), world.ports).planned
    assert planned is not None
    plan = RegistryPlan(actions=actions, begun=world.clock.time)
    world.runs.put(planned.plan, codec.encode(plan))
    key = state.key("r", "registry")
    registry = codec.decode(world.runs.get(key), RegistryView)
    (known,) = [msgspec.structs.replace(registry.services[0], service=service, id=foreign)]
    world.runs.put(key, codec.encode(msgspec.structs.replace(registry, services=(*registry.services, known))))
    return world, apply_registry.Request(run=run, plan=planned.plan, stage=1, digest=planned.digest)


def instances(world: MemoryWorld, service: str = PAYROLL) -> dict[str, dict[str, str]]:
    found = world.registry._service(NAMESPACE, service)
    return world.registry.instances.get(found.id, {})


def evil(**changes: Any) -> Register:
    marks = {ep.OWNER: HERE.settings.owner, ep.CLUSTER: "a", ep.POD_UID: "u9", "AWS_INSTANCE_IPV4": "6.6.6.6"}
    given = {
        "namespace": NAMESPACE,
        "service": PAYROLL,
        "id": "evil",
        "cluster": "a",
        "node": "n",
        "pod": "p/q",
        "attributes": marks,
        "reason": "x",
    }
    return Register(**{**given, **changes})


REMOVE = Deregister(namespace=NAMESPACE, service=PAYROLL, id="alice", owner="", cluster="", uid="", node="", pod="/", why="gone", reason="x")


def test_a_plan_that_was_changed_is_not_carried_out() -> None:
    world, request = forged(evil(), REMOVE)
    with pytest.raises(RefusedError, match="somebody changed it in the run store"):
        drive(apply_registry.run(request, HERE), world.ports)
    assert set(instances(world)) == {"alice"}


@pytest.mark.parametrize(
    "action",
    [
        evil(),
        REMOVE,
        msgspec.structs.replace(REMOVE, owner="other"),
        SetHealth(
            namespace=NAMESPACE, service=PAYROLL, id="alice", owner="", cluster="", uid="", node="", pod="/", status="UNHEALTHY", reason="x"
        ),
        CreateService(namespace=NAMESPACE, service="hr", namespace_id="ns-1", dns=True, tags={}, creator="x", reason="x"),
    ],
    ids=lambda action: type(action).__name__ + getattr(action, "owner", ""),
)
def test_what_no_manifest_names_is_not_touched_even_where_the_digest_is_lost(action: Any) -> None:
    world, request = forged(action)
    before = dict(world.registry.services)
    done = drive(apply_registry.run(msgspec.structs.replace(request, digest=""), HERE), world.ports)
    assert done.applied == 0
    assert instances(world) == {"alice": {"AWS_INSTANCE_IPV4": "10.9.9.9"}}
    assert world.registry.services == before


@pytest.mark.parametrize("marks", [{ep.OWNER: "other"}, {ep.OWNER: ""}, {ep.CLUSTER: "unknown"}])
def test_an_instance_carries_this_owner_and_a_cluster_of_the_settings(marks: dict[str, str]) -> None:
    plain = evil(service="color")
    world, request = forged(evil(service="color", attributes={**plain.attributes, **marks}), service="color")
    drive(apply_registry.run(msgspec.structs.replace(request, digest=""), HERE), world.ports)
    assert set(instances(world, "color")) == {"alice"}
