"""Each type of namespace, record and health check: a pod is registered as Cloud Map documents it, or withheld by name, and nothing is asked that is refused."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.topology import VirtualNode

from tests.support.builders import context, node, pod
from tests.support.modelled import ModelledWorld


def records(*kinds: str, policy: str = "MULTIVALUE") -> dict[str, Any]:
    return {"DnsConfig": {"RoutingPolicy": policy, "DnsRecords": [{"Type": kind, "TTL": 60} for kind in kinds]}}


CHECKED = {"HealthCheckConfig": {"Type": "TCP"}}
V4, V6, PUBLIC = "10.0.0.1", "2600:1f14::7", "54.2.3.4"

CASES = [
    # type of namespace, how the service was made (None = by us), address, has a listener, why withheld
    ("PrivateDns", None, V4, True, ""),
    ("PrivateDns", None, V6, True, ""),
    ("PublicDns", None, V4, True, ""),
    ("Http", None, V4, True, ""),
    ("PrivateDns", {"Type": "HTTP"}, V4, True, ""),
    ("PrivateDns", {"Type": "HTTP"}, V6, True, ""),
    ("PrivateDns", records("A"), V4, True, ""),
    ("PrivateDns", records("A", policy="WEIGHTED"), V4, True, ""),
    ("PrivateDns", records("A"), V6, True, "address-family"),
    ("PrivateDns", records("AAAA"), V6, True, ""),
    ("PrivateDns", records("AAAA"), V4, True, "address-family"),
    ("PrivateDns", records("A", "AAAA"), V4, True, "address-family"),
    ("PrivateDns", records("SRV"), V4, True, ""),
    ("PrivateDns", records("SRV"), V6, True, ""),
    ("PrivateDns", records("SRV"), V4, False, "records"),
    ("PrivateDns", records("CNAME", policy="WEIGHTED"), V4, True, "records"),
    ("PublicDns", records("A"), V4, True, ""),
    ("PublicDns", {**records("A"), **CHECKED}, V4, True, "health-check"),
    ("PublicDns", {**records("A"), **CHECKED}, PUBLIC, True, ""),
    ("PublicDns", {**records("A"), **CHECKED}, PUBLIC, False, "records"),
    ("Http", CHECKED, V4, True, "health-check"),
]


@pytest.mark.parametrize(("kind", "made", "ip", "listens", "why"), CASES)
def test_a_pod_is_registered_or_withheld_and_aws_refuses_nothing(
    kind: str, made: dict[str, Any] | None, ip: str, listens: bool, why: str
) -> None:
    world = ModelledWorld(namespace=False)
    space = world.namespace(kind=kind)
    if made is not None:
        world.service("color", space, **made)
    blue: VirtualNode = node() if listens else msgspec.structs.replace(node(), listeners=())
    where = context(blue)
    world.clusters.put("a", pod("u1", ip=ip))
    world.writes()
    plan = world.run(where)
    assert [(held.why, held.pod) for held in plan.withheld] == ([(why, "demo/pod-u1")] if why else [])
    assert set(world.held(space, "color")) == (set() if why else {"a.u1"})
    if why:
        assert world.writes() == []
        assert ": " in plan.withheld[0].detail, "what is demanded, and the fix"
    world.writes()
    world.clock.sleep(40.0)
    world.look(where)
    world.run(where)
    assert world.writes() == [], "neither a refusal nor a pod that is there is asked for again"


def test_a_service_that_we_make_in_a_public_namespace_publishes_no_address() -> None:
    world = ModelledWorld(namespace=False)
    space = world.namespace(kind="PublicDns")
    world.clusters.put("a", pod("u1"))
    world.run(context())
    (made,) = world.model.namespaces[space].services.values()
    assert (made.kind, made.dns) == ("HTTP", None)


def test_a_cname_that_the_virtual_node_tells_is_registered() -> None:
    world = ModelledWorld(namespace=False)
    space = world.namespace()
    world.service("color", space, **records("CNAME", policy="WEIGHTED"))
    world.clusters.put("a", pod("u1"))
    assert world.run(context(node("blue", AWS_INSTANCE_CNAME="front.example.com"))).withheld == ()
    assert set(world.held(space, "color")) == {"a.u1"}
