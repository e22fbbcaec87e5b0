"""What clusters are asked about: the pods of registered instances, found in one reading of the registry however many clusters there are."""

from typing import Any

import pytest
from crossmesh.core.observed import Instance, RegistryView, ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import ManualOverrides, PlannerState
from crossmesh.usecases import observation

from tests.support.builders import NAMESPACE, context


class Attributes(dict[str, str]):
    """Counts how often an instance is read."""

    reads = 0

    def get(self, *arguments: Any) -> Any:
        Attributes.reads += 1
        return super().get(*arguments)


def view(clusters: int, each: int = 3, kind: type = dict) -> RegistryView:
    marks = [(f"c{n}", f"u{n}-{i}") for n in range(clusters) for i in range(each)]
    held = [
        Instance(id=uid, attributes=kind({ep.OWNER: "prod", ep.CLUSTER: name, ep.POD_UID: uid, ep.NAMESPACE: "demo", ep.POD: f"pod-{uid}"}))
        for name, uid in marks
    ]
    return RegistryView(begun=1.0, services=(ServiceView(namespace=NAMESPACE, service="color", id="srv-1", instances=tuple(held)),))


def asked(clusters: int, registry: RegistryView) -> dict[str, tuple[Any, ...]]:
    """The pods that each cluster is asked about."""
    where = context(clusters=tuple(f"c{n}" for n in range(clusters)))
    known = observation.registered(where, registry, PlannerState(), ManualOverrides())
    calls = {f"c{n}": observation.observation_call(where, f"c{n}", known, PlannerState(), ManualOverrides()) for n in range(clusters)}
    return {name: one.args[2] for name, one in calls.items()}


def test_each_cluster_is_asked_about_its_own_registered_pods_alone() -> None:
    found = asked(3, view(3))
    assert {name: [pod.uid for pod in pods] for name, pods in found.items()} == {f"c{n}": [f"u{n}-{i}" for i in range(3)] for n in range(3)}
    assert found["c1"][0].name == "pod-u1-0"


def test_instances_of_another_owner_are_not_asked_about() -> None:
    registry = view(1)
    theirs = Instance(id="x", attributes={ep.OWNER: "other", ep.CLUSTER: "c0", ep.POD_UID: "x"})
    service = registry.services[0]
    mixed = RegistryView(
        begun=1.0, services=(ServiceView(namespace=NAMESPACE, service="color", id="s", instances=(*service.instances, theirs)),)
    )
    assert [pod.uid for pod in asked(1, mixed)["c0"]] == ["u0-0", "u0-1", "u0-2"]


@pytest.mark.parametrize("clusters", [2, 20])
def test_an_instance_is_read_once_however_many_clusters_there_are(clusters: int) -> None:
    Attributes.reads = 0
    registry = view(2, 30, Attributes)
    asked(clusters, registry)
    assert Attributes.reads == 60 * 5
