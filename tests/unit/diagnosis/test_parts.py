"""What a diagnosis stands on: the way, the openings, whom it may ask, what it remembers, how Kubernetes tells it — each by itself."""

from typing import Any

import msgspec
import pytest
from crossmesh.adapters.elb import _HOST
from crossmesh.adapters.instances import Instances
from crossmesh.adapters.kubernetes_detail import DeploymentList, NodeDetailList, PodDetailList, deployment_facts, node_facts, pod_facts
from crossmesh.core.canary import Sample
from crossmesh.core.facts import NetworkFacts, RuleFacts
from crossmesh.core.openings import needed
from crossmesh.core.reach import inside, path_of, port_of
from crossmesh.core.settings import CanarySettings, Expect
from crossmesh.core.sick import COOL_DOWN, Rested, Sick, reviewed
from crossmesh.core.views import Instance, Unseen
from crossmesh.core.way import way_of
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.diagnosis.world import CANARY, HALF, TOPOLOGY, VIEWS, registry

# --- the way ------------------------------------------------------------------------------------------------------------------------------


def names(way: Any) -> tuple[list[str], list[str]]:
    return [n.name for n in way.sources], [n.name for n in way.targets]


def test_the_way_leads_from_the_services_pods_to_the_nodes_with_a_share() -> None:
    assert names(way_of(TOPOLOGY, CANARY, HALF, {"app": "front"})) == (["front"], ["colorapp-blue", "colorapp-red"])
    only = {"colorapp-blue_appmesh-demo": HALF["colorapp-blue_appmesh-demo"]}
    assert names(way_of(TOPOLOGY, CANARY, only, {"app": "front"}))[1] == ["colorapp-blue"]


def test_without_a_service_those_ask_that_have_the_mixs_service_as_backend() -> None:
    by_url = msgspec.structs.replace(CANARY, service=None, url="https://shop.test")
    assert names(way_of(TOPOLOGY, by_url, HALF, {})) == (["front"], ["colorapp-blue", "colorapp-red"])
    blind = CanarySettings(name="c", url="https://shop.test", expect=Expect())
    assert names(way_of(TOPOLOGY, blind, {}, {})) == ([], [])


# --- openings -----------------------------------------------------------------------------------------------------------------------------


def network(cluster: str, group: str, *rules: RuleFacts, cidr: str = "172.16.0.0/16") -> NetworkFacts:
    return NetworkFacts(cluster=cluster, group=group, cidrs=(cidr,), rules=rules)


@pytest.mark.parametrize(
    ("rules", "is_open"),
    [
        ((), False),
        ((RuleFacts(protocol="tcp", first=8080, last=8080, groups=("sg-1",)),), True),
        ((RuleFacts(protocol="tcp", first=8000, last=9000, groups=("sg-9", "sg-1")),), True),
        ((RuleFacts(protocol="-1", groups=("sg-1",)),), True),
        ((RuleFacts(protocol="udp", first=8080, last=8080, groups=("sg-1",)),), False),
        ((RuleFacts(protocol="tcp", first=8081, last=9000, groups=("sg-1",)),), False),
        ((RuleFacts(protocol="tcp", first=8080, last=8080, groups=("sg-9",)),), False),
        ((RuleFacts(protocol="tcp", first=8080, last=8080, cidrs=("172.0.0.0/8",)),), True),
        ((RuleFacts(protocol="tcp", first=8080, last=8080, cidrs=("172.16.0.0/17",)),), False),
        ((RuleFacts(protocol="tcp", first=8080, last=8080, cidrs=("::/0",)),), False),
    ],
)
def test_a_port_is_open_where_a_rule_admits_the_group_or_all_of_its_addresses(rules: tuple[RuleFacts, ...], is_open: bool) -> None:
    way = way_of(TOPOLOGY, CANARY, HALF, {"app": "front"})
    places = {"front_appmesh-demo": {"a"}, "colorapp-blue_appmesh-demo": {"b"}, "colorapp-red_appmesh-demo": {"a"}}
    (found,) = needed(way.sources, way.targets, places, {"a": network("a", "sg-1"), "b": network("b", "sg-2", *rules)})
    assert (found.source, found.target, found.port, found.open) == ("a", "b", 8080, is_open)


def test_clusters_that_share_a_group_are_open_and_unknown_networks_are_not_judged() -> None:
    way = way_of(TOPOLOGY, CANARY, HALF, {"app": "front"})
    places = {"front_appmesh-demo": {"a"}, "colorapp-blue_appmesh-demo": {"b"}}
    assert [o.open for o in needed(way.sources, way.targets, places, {"a": network("a", "sg"), "b": network("b", "sg")})] == [True]
    assert [o.open for o in needed(way.sources, way.targets, places, {})] == [None]


# --- whom a diagnosis may ask (server-side request forgery) -------------------------------------------------------------------------------

VPC = ("172.16.0.0/16", "100.64.0.0/16", "2600:1f18::/56")


@pytest.mark.parametrize("address", ["172.16.3.4", "100.64.0.9", "2600:1f18::5"])
def test_addresses_of_the_network_are_asked(address: str) -> None:
    assert inside(address, VPC)


LITERAL = "169.254.169.254 169.254.170.2 fd00:ec2::254 fe80::1 127.0.0.1 ::1 0.0.0.0 224.0.0.1 8.8.8.8 10.0.0.1"
DISGUISED = "::ffff:172.16.3.4 ::ffff:169.254.169.254 172.16.3.4.evil.test 172.16.3.4/24 2886730500 0xac100304"


@pytest.mark.parametrize("address", [*LITERAL.split(), *DISGUISED.split(), ""])
def test_nothing_else_is(address: str) -> None:
    assert not inside(address, VPC)
    assert not inside(address, ()), "an unknown network lets nothing through"
    assert Instances().ask(address, 80, "/", 0.2, VPC).error == "forbidden"


@given(st.ip_addresses())
def test_metadata_and_link_local_are_never_asked_even_where_a_network_claims_them(address: Any) -> None:
    everything = ("0.0.0.0/0", "::/0")
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        assert not inside(str(address), everything)


def test_only_a_declared_port_and_path_are_asked() -> None:
    nodes = [n for n in TOPOLOGY.nodes if n.name == "colorapp-blue"]
    held = {"AWS_INSTANCE_IPV4": "172.16.0.9"}
    ports = [port_of(Instance(id="i", attributes={**held, "AWS_INSTANCE_PORT": p}), nodes) for p in ("8080", "22", "x", "")]
    assert ports == [8080, 0, 0, 0]
    checked = msgspec.structs.replace(nodes[0], spec={"listeners": [{"healthCheck": {"path": "/ping"}}]})
    assert (path_of(nodes, "/"), path_of([checked], "/")) == ("/", "/ping")


# --- what is remembered -------------------------------------------------------------------------------------------------------------------

GONE = (Sample(error="refused"),) * 3
FINE = (Sample(status=200),)


def review(marks: dict[str, Sick], probes: dict[str, Any], now: float = 100.0, rested: Rested | None = None, **changes: Any) -> Any:
    return reviewed(marks, rested or Rested(), changes.get("registry", registry()), changes.get("views", VIEWS), probes, owner="demo", now=now)


MARK = {"eksc2.b": Sick(uid="b", evidence="connection refused 3 times", at=100.0)}


def test_three_refusals_of_a_seen_clusters_instance_are_a_mark_fewer_or_a_timeout_none() -> None:
    assert review({}, {"eksc2.b": GONE})[0] == MARK
    assert review({}, {"eksc2.b": GONE[:2]})[0] == {}
    assert review({}, {"eksc2.b": (Sample(error="timeout"),) * 3})[0] == {}


def test_an_instance_of_an_unseen_cluster_or_of_somebody_else_is_never_marked() -> None:
    dark = (VIEWS[0], Unseen(cluster="eksc2", cause="timeout"))
    assert review({}, {"eksc2.b": GONE}, views=dark, registry=registry())[0] == {}
    foreign = registry(Instance(id="x", attributes={"AWS_INSTANCE_IPV4": "172.16.0.1"}))
    assert review({}, {"x": GONE}, registry=foreign)[0] == {}


def test_a_mark_ends_with_a_successful_probe_another_pod_or_the_instance_and_not_for_lack_of_a_probe() -> None:
    assert review(MARK, {"eksc2.b": FINE})[0] == {}
    assert review(MARK, {})[0] == MARK
    assert review(MARK, {"eksc2.b": (Sample(error="timeout"),) * 3})[0] == MARK
    assert review({"eksc2.b": msgspec.structs.replace(MARK["eksc2.b"], uid="old")}, {})[0] == {}
    assert review(MARK, {}, registry=registry(without="b"))[0] == {}


def test_what_was_marked_and_came_back_is_left_alone_for_a_while() -> None:
    marks, rested = review(MARK, {"eksc2.b": FINE}, now=200.0)
    assert (marks, rested.ended) == ({}, {"eksc2.b": 200.0})
    assert review({}, {"eksc2.b": GONE}, now=200.0 + COOL_DOWN - 1, rested=rested)[0] == {}
    again, rest = review({}, {"eksc2.b": GONE}, now=200.0 + COOL_DOWN, rested=rested)
    assert (set(again), rest.ended) == ({"eksc2.b"}, {})


# --- Kubernetes in detail -----------------------------------------------------------------------------------------------------------------


def listed(kind: type[Any], *items: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode({"kind": "L", "metadata": {"resourceVersion": "1"}, "items": items}), type=kind).items


def test_a_pod_in_detail() -> None:
    (item,) = listed(
        PodDetailList,
        {
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"pod-template-hash": "x"}}
            | {"ownerReferences": [{"kind": "ReplicaSet", "name": "dep-x"}]},
            "spec": {
                "nodeName": "n1",
                "terminationGracePeriodSeconds": 45,
                "readinessGates": [{"conditionType": "g"}],
                "containers": [
                    {"name": "app", "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 12"]}}}},
                    {"name": "odd", "lifecycle": {"preStop": {"sleep": {"seconds": 3}}}},
                ],
                "initContainers": [{"name": "setup"}, {"name": "envoy", "restartPolicy": "Always"}],
            },
            "status": {
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "app", "ready": True, "restartCount": 2, "state": {"running": {}}}],
                "initContainerStatuses": [{"name": "envoy", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
        },
    )
    pod = pod_facts(item)
    assert (pod.deployment, pod.grace, pod.gates, pod.pre_stop, pod.ready) == ("dep", 45, ("g",), 12.0, True)
    told = {c.name: (c.ready, c.state, c.restarts) for c in pod.containers}
    assert told == {
        "app": (True, "running", 2),
        "odd": (False, "not started", 0),
        "envoy": (False, "waiting: CrashLoopBackOff", 0),
    }


def test_a_hook_that_does_not_say_how_long_it_takes_is_unknown() -> None:
    hook = {"preStop": {"exec": {"command": ["/drain.sh"]}}}
    (item,) = listed(PodDetailList, {"metadata": {}, "spec": {"containers": [{"name": "a", "lifecycle": hook}]}})
    assert pod_facts(item).pre_stop is None


@pytest.mark.parametrize(
    ("spec", "unavailable"),
    [
        ({"replicas": 10}, 2),
        ({"replicas": 3}, 0),
        ({"replicas": 3, "strategy": {"type": "Recreate"}}, 3),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 1}}}, 1),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": "0%"}}}, 0),
    ],
)
def test_how_many_pods_a_deployment_may_take_away(spec: dict[str, Any], unavailable: int) -> None:
    (item,) = listed(DeploymentList, {"metadata": {"name": "d"}, "spec": spec})
    assert deployment_facts(item).max_unavailable == unavailable


def test_a_node_without_a_ready_condition_is_not_called_unready() -> None:
    said = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting"}
    quiet, sick = listed(NodeDetailList, {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}, "status": {"conditions": [said]}})
    assert node_facts(quiet).ready
    assert (node_facts(sick).ready, node_facts(sick).why) == (False, "NodeStatusUnknown: Kubelet stopped posting")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a1b2c3-1707174071.us-east-1.elb.amazonaws.com", "a1b2c3"),
        ("internal-my-lb-123.eu-west-1.elb.amazonaws.com", "my-lb"),
        ("k8s-demo-front-0a1b2c3d4e-5f6a7b8c9d0e1f2a.elb.eu-central-1.amazonaws.com", "k8s-demo-front-0a1b2c3d4e"),
        ("dualstack.front-99.us-east-1.elb.amazonaws.com", "front"),
        ("shop.example.com", None),
        ("169.254.169.254", None),
    ],
)
def test_a_load_balancers_name_is_read_from_its_host_name(host: str, name: str | None) -> None:
    found = _HOST.fullmatch(host)
    assert (found["name"] if found else None) == name
