"""Two instances of one service with one address: AWS does not say whether it takes them. Taking over ends rightly in both cases, and nothing is asked twice."""

from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.core.observed import Pod
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.usecases import state

from tests.support.builders import context, pod
from tests.support.modelled import ModelledWorld

MARKS = ("crossmesh/owner", "crossmesh/cluster", "crossmesh/pod-uid")
A = {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 60}]}}


def theirs(of: Pod) -> dict[str, str]:
    """As AWS's controller writes a pod."""
    return {
        "AWS_INSTANCE_IPV4": of.ip,
        "AWS_INSTANCE_PORT": "8080",
        "k8s.io/namespace": of.namespace,
        "k8s.io/pod": of.name,
        "appmesh.k8s.aws/mesh": "demo",
        "appmesh.k8s.aws/virtualNode": "blue_demo",
    }


class Taken(ModelledWorld):
    """A service with A records that holds instances; notes each address that is registered no more while its pod lives."""

    def __init__(self, same: str, **made: Any) -> None:
        super().__init__(namespace=False)
        self.model.settings.same_address = same
        self.space = self.namespace()
        self.id = self.service("color", self.space, **(made or A))
        self.gaps: list[str] = []

    def put(self, ident: str, attributes: dict[str, str]) -> None:
        self.model.call("RegisterInstance", {"ServiceId": self.id, "InstanceId": ident, "Attributes": attributes})

    def addresses(self) -> list[str]:
        return sorted(a["AWS_INSTANCE_IPV4"] for a in self.held(self.space, "color").values())

    def _answer(self, service: str, operation: str, request: dict[str, Any]) -> Any:
        try:
            return super()._answer(service, operation, request)
        finally:
            if operation in ("RegisterInstance", "DeregisterInstance"):
                living = {p.ip for pods in self.clusters.pods.values() for p in pods.values() if p.ready}
                self.gaps += sorted(living & self.watched - set(self.addresses()))

    watched: frozenset[str] = frozenset()

    def passes(self, where: Any, count: int) -> None:
        for _ in range(count):
            self.look(where)
            self.run(where)
            self.clock.sleep(40.0)


@pytest.mark.parametrize("same", ["taken", "refused", "failed"])
@pytest.mark.parametrize("wish", ["settings", "command"])
def test_taking_over_ends_with_our_marks_on_every_pod_and_no_pod_is_ever_away(same: str, wish: str) -> None:
    world = Taken(same)
    pods = [pod(f"u{i}", ip=f"10.0.0.{i + 1}") for i in range(5)]
    for one in pods:
        world.clusters.put("a", one)
        world.put(one.ip, theirs(one))
    world.watched = frozenset(world.addresses())
    where = context(adopt=wish == "settings")
    if wish == "command":
        world.state.write(state.OPERATOR, codec.encode(ManualOverrides(adopt=50.0)))
    world.passes(where, 4)
    held = world.held(world.space, "color")
    assert sorted(a["crossmesh/pod-uid"] for a in held.values()) == [p.uid for p in pods], "each once"
    assert {a["crossmesh/cluster"] for a in held.values()} == {"a"}
    assert world.gaps == []
    assert (sorted(held) == [p.ip for p in pods]) is (same != "taken"), "under their own ids only where two with one address are refused"
    world.writes()
    world.passes(where, 2)
    assert world.writes() == []
    if wish == "command":
        assert codec.decode(world.state.documents[state.MEMORY], PlannerState).adopted == 50.0
    for one in pods[:2]:  # their pods go as all others do
        world.clusters.remove("a", one.uid)
        world.clusters.put("a", pod(f"n{one.uid}", ip=f"10.0.1.{one.ip[-1]}"))
    world.passes(where, 3)
    assert world.addresses() == ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.1.1", "10.0.1.2"]


@pytest.mark.parametrize("same", ["refused", "failed"])
def test_what_is_refused_once_is_withheld_by_name_and_asked_no_more(same: str) -> None:
    world = Taken(same)
    world.put("by-hand", {"AWS_INSTANCE_IPV4": "10.0.0.1"})
    world.clusters.put("a", pod("u1", ip="10.0.0.1"))
    world.clusters.put("a", pod("u22", ip="10.0.0.2"))
    world.passes(context(), 3)
    world.writes()
    plan = world.run(context())
    assert world.writes() == []
    assert [(held.why, held.pod) for held in plan.withheld] == [("address-taken", "demo/pod-u1")]
    assert "instance by-hand has its address 10.0.0.1" in plan.withheld[0].detail
    assert world.addresses() == ["10.0.0.1", "10.0.0.2"]
    world.model.call("DeregisterInstance", {"ServiceId": world.id, "InstanceId": "by-hand"})
    world.passes(context(), 2)
    assert "a.u1" in world.held(world.space, "color"), "it goes ahead by itself"


@pytest.mark.parametrize("same", ["taken", "refused", "failed"])
def test_a_new_pod_with_a_dead_ones_address_is_registered(same: str) -> None:
    world = Taken(same)
    old = pod("u1", ip="10.0.0.1")
    world.clusters.put("a", old)
    world.passes(context(), 1)
    world.clusters.put("a", pod("u1", ip="10.0.0.1", terminating=True))
    world.clusters.put("b", pod("v22", ip="10.0.0.1"))
    world.passes(context(), 3)
    assert set(world.held(world.space, "color")) == {"b.v22"}
    world.clusters.put("b", pod("v22", ip="10.0.0.1", terminating=True))
    world.clusters.put("a", pod("u333", ip="10.0.0.1"))
    refused = world.asked.count("RegisterInstance")
    world.passes(context(), 1)
    assert set(world.held(world.space, "color")) == {"a.u333"}, "in one pass, the dead first, once the service is known for it"
    assert world.asked.count("RegisterInstance") == refused + 1


def test_two_clusters_that_claim_one_left_instance_take_it_over_neither() -> None:
    """Which of them speaks the truth nobody can tell."""
    world = Taken("refused")
    one = pod("u1", ip="10.0.0.1")
    world.put(one.ip, theirs(one))
    world.clusters.put("a", one)
    world.clusters.put("b", msgspec.structs.replace(pod("v22", ip="10.0.0.1"), name=one.name))
    world.passes(context(adopt=True), 4)
    (held,) = world.held(world.space, "color").values()
    assert not any(mark in held for mark in MARKS)


def test_a_service_without_records_keeps_two_with_one_address() -> None:
    world = Taken("refused", Type="HTTP")
    world.put("by-hand", {"AWS_INSTANCE_IPV4": "10.0.0.1"})
    world.clusters.put("a", pod("u1", ip="10.0.0.1"))
    world.passes(context(), 1)
    assert world.addresses() == ["10.0.0.1", "10.0.0.1"]


def test_a_failure_of_another_kind_says_nothing_of_the_service() -> None:
    """Ours comes beside theirs at the next try, and theirs leaves."""
    world = Taken("taken")
    one = pod("u1", ip="10.0.0.1")
    world.put(one.ip, theirs(one))
    world.clusters.put("a", one)
    world.denied = [("RegisterInstance", "a.u1")]
    world.passes(context(adopt=True), 1)
    world.denied = []
    world.passes(context(adopt=True), 2)
    assert set(world.held(world.space, "color")) == {"a.u1"}
