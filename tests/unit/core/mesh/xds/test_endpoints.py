"""Endpoints follow the decision: what it does not let go stays, outliers are marked, whosever they are."""

from typing import Any

import pytest
from crossmesh.core.mesh.xds.declared import meshes
from crossmesh.core.mesh.xds.endpoints import Host, assignments, hosts
from crossmesh.core.mesh.xds.render import render
from crossmesh.core.observed import Instance
from crossmesh.core.registry.decision import DecidedEndpoint, EndpointDecision, Fate
from crossmesh.core.registry.endpoints import Endpoint
from crossmesh.core.settings import EnvoySettings

from tests.support.golden_envoy import GOLDEN, declared

KEY = "one.shop.local"
NAME = "cds_egress_shop_one_shop_http_8080"
TOPOLOGY = declared((GOLDEN / "routes.yaml").read_text())


def ready(ident: str, address: str) -> Endpoint:
    attributes = {"AWS_INSTANCE_IPV6" if ":" in address else "AWS_INSTANCE_IPV4": address, "REGION": "r", "AVAILABILITY_ZONE": "ra"}
    return Endpoint(
        id=ident, cluster="c", node="one_shop", namespace="shop.local", service="one", key=KEY, pod="shop/p", uid=ident, attributes=attributes
    )


def instance(ident: str, address: str, **more: str) -> Instance:
    return Instance(id=ident, attributes={"AWS_INSTANCE_IPV4": address, **more})


def decided(ident: str, fate: Fate) -> DecidedEndpoint:
    return DecidedEndpoint(
        service=KEY, id=ident, cluster="c", uid=ident, pod="shop/p", virtual_node="one_shop", fate=fate, why="unseen", reason=""
    )


def shown(found: dict[str, list[Host]], topology: Any = TOPOLOGY) -> dict[str, str]:
    """Health by address."""
    made = assignments(meshes(topology, "ipv4")[0], found)[NAME]
    return {
        one["endpoint"]["address"]["socket_address"]["address"]: one["health_status"]
        for zone in made.get("endpoints", ())
        for one in zone["lb_endpoints"]
    }


@pytest.mark.parametrize(
    ("fate", "health"), [("must-stay", "HEALTHY"), ("unhealthy", "UNHEALTHY"), ("may-go", None)], ids=["must stay", "unhealthy", "may go"]
)
def test_what_is_in_force_has_the_fate_that_was_decided(fate: Fate, health: str | None) -> None:
    decision = EndpointDecision(endpoints=(ready("a", "10.0.0.1"),), decided=(decided("b", fate),))
    found = shown(hosts(decision, {KEY: [instance("a", "10.0.0.1"), instance("b", "10.0.0.2")]}))
    assert found == {"10.0.0.1": "HEALTHY"} | ({"10.0.0.2": health} if health else {})


def test_a_ready_pod_that_a_canary_names_is_unhealthy() -> None:
    assert shown(hosts(EndpointDecision(endpoints=(ready("a", "10.0.0.1"),), decided=(decided("a", "unhealthy"),)), {})) == {
        "10.0.0.1": "UNHEALTHY"
    }


def test_what_must_stay_keeps_the_health_that_it_had() -> None:
    decision = EndpointDecision(decided=(decided("b", "must-stay"),))
    assert shown(hosts(decision, {KEY: [instance("b", "10.0.0.2")]}, {(KEY, "b")})) == {"10.0.0.2": "UNHEALTHY"}


def test_no_state_of_cloud_map_keeps_a_ready_pod_out() -> None:
    assert shown(hosts(EndpointDecision(endpoints=(ready("a", "10.0.0.1"),)), {})) == {"10.0.0.1": "HEALTHY"}


def test_foreign_instances_that_carry_the_nodes_attributes_are_in() -> None:
    with_attribute = (
        (GOLDEN / "routes.yaml").read_text().replace("serviceName: one}", "serviceName: one, attributes: [{key: version, value: a}]}")
    )
    topology = declared(with_attribute)
    found = hosts(EndpointDecision(), {KEY: [instance("ecs", "10.9.0.1", version="a"), instance("other", "10.9.0.2", version="b")]})
    assert shown(found, topology) == {"10.9.0.1": "HEALTHY"}


def test_a_family_that_the_mesh_does_not_use_is_out() -> None:
    found = hosts(EndpointDecision(endpoints=(ready("a", "10.0.0.1"), ready("b", "fd00::1"))), {})
    six = assignments(meshes(TOPOLOGY, "ipv6")[0], found)[NAME]["endpoints"][0]["lb_endpoints"]
    assert [one["endpoint"]["address"]["socket_address"]["address"] for one in six] == ["fd00::1"]
    assert shown(found) == {"10.0.0.1": "HEALTHY", "fd00::1": "HEALTHY"}


def test_a_node_without_a_host_has_an_empty_set_and_never_none() -> None:
    made = assignments(meshes(TOPOLOGY, "ipv4")[0], {})
    assert made[NAME].keys() == {"@type", "cluster_name"}
    wanted = {
        cluster["eds_cluster_config"]["service_name"]
        for proxy in render(TOPOLOGY, EnvoySettings()).proxies
        for cluster in proxy.clusters
        if "eds_cluster_config" in cluster
    }
    assert wanted <= made.keys()


def test_the_order_of_what_comes_in_decides_nothing() -> None:
    pods = tuple(ready(f"p{number}", f"10.0.0.{number}") for number in range(1, 9))
    one, other = (hosts(EndpointDecision(endpoints=order), {}) for order in (pods, pods[::-1]))
    mesh = meshes(TOPOLOGY, "ipv4")[0]
    assert assignments(mesh, one) == assignments(mesh, other)
    assert list(shown(one)) == list(shown(other))
