"""What a diagnosis stands on: the way, the openings, whom it may ask, what it remembers, how Kubernetes tells it — each by itself."""

from typing import Any

import msgspec
import pytest
from crossmesh.adapters import aws
from crossmesh.adapters.eks import Eks
from crossmesh.adapters.elb import ElasticLoadBalancing, Named, named
from crossmesh.adapters.instances import Instances
from crossmesh.adapters.kubernetes.detail import DeploymentItem, NodeDetail, PodDetail, deployment_facts, node_facts, pod_facts
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.facts import NetworkFacts, RuleFacts
from crossmesh.core.diagnosis.ingress_rules import needed
from crossmesh.core.diagnosis.outliers import COOL_DOWN, CoolingDown, OutlierReview, Remembered, update_outliers
from crossmesh.core.diagnosis.probe_policy import inside, path_of, port_of
from crossmesh.core.mesh.request_path import request_path_of
from crossmesh.core.observed import Instance, Unseen
from crossmesh.core.settings import CanarySettings, ClusterSettings, Expect
from crossmesh.errors import NotFound
from hypothesis import given
from hypothesis import strategies as st

from tests.support.diagnosis_world import CANARY, FRONT, HALF, TOPOLOGY, VIEWS, detail, registry

# --- the way ------------------------------------------------------------------------------------------------------------------------------


def names(way: Any) -> tuple[list[str], list[str]]:
    return [n.name for n in way.sources], [n.name for n in way.targets]


def test_the_way_leads_from_the_services_pods_to_the_nodes_with_a_share() -> None:
    assert names(request_path_of(TOPOLOGY, CANARY, HALF, {"app": "front"})) == (["front"], ["colorapp-blue", "colorapp-red"])
    only = {"colorapp-blue_appmesh-demo": HALF["colorapp-blue_appmesh-demo"]}
    assert names(request_path_of(TOPOLOGY, CANARY, only, {"app": "front"}))[1] == ["colorapp-blue"]


def test_without_a_service_those_ask_that_have_the_mixs_service_as_backend() -> None:
    by_url = msgspec.structs.replace(CANARY, service=None, url="https://shop.test")
    assert names(request_path_of(TOPOLOGY, by_url, HALF, {})) == (["front"], ["colorapp-blue", "colorapp-red"])
    blind = CanarySettings(name="c", url="https://shop.test", expect=Expect())
    assert names(request_path_of(TOPOLOGY, blind, {}, {})) == ([], [])


@pytest.mark.parametrize("mark", [{"virtual_node": "front"}, {"deployment": "front"}])
def test_of_v1beta1_nodes_only_the_one_that_has_the_services_pods_asks(mark: dict[str, str]) -> None:
    front = next(n for n in TOPOLOGY.nodes if n.name == "front")
    beside = msgspec.structs.replace(front, name="batch", aws_name="batch_appmesh-demo")  # it asks the same service
    nodes = tuple(msgspec.structs.replace(node, selector=None, legacy=True) for node in (*TOPOLOGY.nodes, beside))
    legacy = msgspec.structs.replace(TOPOLOGY, nodes=nodes)
    pod = detail(FRONT, "app", **mark)
    assert names(request_path_of(legacy, CANARY, HALF, {"app": "front"}, [pod]))[0] == ["front"]
    assert names(request_path_of(legacy, CANARY, HALF, {"app": "front"}))[0] == ["batch", "front"], (
        "unknown pods: whoever asks the service may be it"
    )


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
    way = request_path_of(TOPOLOGY, CANARY, HALF, {"app": "front"})
    service_names = {"front_appmesh-demo": {"a"}, "colorapp-blue_appmesh-demo": {"b"}, "colorapp-red_appmesh-demo": {"a"}}
    (found,) = needed(way.sources, way.targets, service_names, {"a": network("a", "sg-1"), "b": network("b", "sg-2", *rules)})
    assert (found.source, found.target, found.port, found.open) == ("a", "b", 8080, is_open)


def test_clusters_that_share_a_group_are_open_and_unknown_networks_are_not_judged() -> None:
    way = request_path_of(TOPOLOGY, CANARY, HALF, {"app": "front"})
    service_names = {"front_appmesh-demo": {"a"}, "colorapp-blue_appmesh-demo": {"b"}}
    assert [o.open for o in needed(way.sources, way.targets, service_names, {"a": network("a", "sg"), "b": network("b", "sg")})] == [True]
    assert [o.open for o in needed(way.sources, way.targets, service_names, {})] == [None]


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


def review(
    marks: dict[str, OutlierReview], probes: dict[str, Any], now: float = 100.0, cooling_down: CoolingDown | None = None, **changes: Any
) -> Any:
    return update_outliers(
        Remembered(marks, cooling_down or CoolingDown()),
        changes.get("registry", registry()),
        changes.get("views", VIEWS),
        probes,
        owner="demo",
        now=now,
    )


MARK = {"eksc2.b": OutlierReview(uid="b", evidence="connection refused 3 times", at=100.0)}


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
    marks, cooling_down = review(MARK, {"eksc2.b": FINE}, now=200.0)
    assert (marks, cooling_down.ended) == ({}, {"eksc2.b": 200.0})
    assert review({}, {"eksc2.b": GONE}, now=200.0 + COOL_DOWN - 1, cooling_down=cooling_down)[0] == {}
    again, rest = review({}, {"eksc2.b": GONE}, now=200.0 + COOL_DOWN, cooling_down=cooling_down)
    assert (set(again), rest.ended) == ({"eksc2.b"}, {})


# --- Kubernetes in detail -----------------------------------------------------------------------------------------------------------------


def listed(kind: type[Any], *items: Any) -> Any:
    return [msgspec.json.decode(msgspec.json.encode(item), type=kind) for item in items]


def test_a_pod_in_detail() -> None:
    (item,) = listed(
        PodDetail,
        {
            "metadata": {
                "name": "p",
                "namespace": "n",
                "uid": "u",
                "labels": {"pod-template-hash": "x"},
                "annotations": {"appmesh.k8s.aws/virtualNode": "blue"},
            }
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
    assert pod.virtual_node == "blue"
    assert (pod.deployment, pod.grace, pod.gates, pod.pre_stop, pod.ready) == ("dep", 45, ("g",), 12.0, True)
    told = {c.name: (c.ready, c.state, c.restarts) for c in pod.containers}
    assert told == {
        "app": (True, "running", 2),
        "odd": (False, "not started", 0),
        "envoy": (False, "waiting: CrashLoopBackOff", 0),
    }


def test_a_hook_that_does_not_say_how_long_it_takes_is_unknown() -> None:
    hook = {"preStop": {"exec": {"command": ["/drain.sh"]}}}
    (item,) = listed(PodDetail, {"metadata": {}, "spec": {"containers": [{"name": "a", "lifecycle": hook}]}})
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
    (item,) = listed(DeploymentItem, {"metadata": {"name": "d"}, "spec": spec})
    assert deployment_facts(item).max_unavailable == unavailable


def test_a_node_without_a_ready_condition_is_not_called_unready() -> None:
    said = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting"}
    quiet, outliers = listed(NodeDetail, {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}, "status": {"conditions": [said]}})
    assert node_facts(quiet).ready
    assert (node_facts(outliers).ready, node_facts(outliers).why) == (False, "NodeStatusUnknown: Kubelet stopped posting")


@pytest.mark.parametrize(
    ("host", "name", "region", "network"),
    [
        ("a1b2c3-1707174071.us-east-1.elb.amazonaws.com", "a1b2c3", "us-east-1", False),
        ("internal-my-lb-123.eu-west-1.elb.amazonaws.com", "my-lb", "eu-west-1", False),
        ("k8s-demo-front-0a1b2c3d4e-5f6a7b8c9d0e1f2a.elb.eu-central-1.amazonaws.com", "k8s-demo-front-0a1b2c3d4e", "eu-central-1", True),
        ("Dualstack.Front-99.US-East-1.elb.amazonaws.com.", "Front", "us-east-1", False),
        ("front-1.cn-north-1.elb.amazonaws.com.cn", "front", "cn-north-1", False),
        ("front-1.elb.cn-northwest-1.amazonaws.com.cn", "front", "cn-northwest-1", True),
        ("front-1.us-gov-west-1.elb.amazonaws.com", "front", "us-gov-west-1", False),
        ("front-1.eusc-de-east-1.elb.amazonaws.eu", "front", "eusc-de-east-1", False),
    ],
)
def test_a_load_balancers_name_and_region_are_read_from_its_host_name(host: str, name: str, region: str, network: bool) -> None:
    assert named(host) == Named(name, region, network)


@pytest.mark.parametrize(
    "host",
    [
        "shop.example.com",
        "169.254.169.254",
        "front-1.us-east-1.elb.example.com",
        "front-1.evil.elb.amazonaws.com",
        "front-1.cn-north-1.elb.amazonaws.com",  # a Region of another partition
        "front-1.us-east-1.elb.amazonaws.com.evil.example",
    ],
)
def test_a_name_that_is_no_load_balancers_is_asked_for_nowhere(host: str) -> None:
    assert named(host) is None


@pytest.mark.parametrize("role", ["", "arn:aws:iam::444455556666:role/crossmesh-reader"])
def test_a_load_balancer_is_asked_for_in_its_own_region_and_account(monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    """The reported case: the stack's Region and account were asked whatever the host name said."""
    asked: list[tuple[str, str, Any]] = []

    class Nobody:
        def describe_load_balancers(self, **_: Any) -> Any:
            raise aws.ClientError({"Error": {"Code": "LoadBalancerNotFound"}}, "DescribeLoadBalancers")

    monkeypatch.setattr(aws, "client", lambda service, region, credentials=None: (asked.append((service, region, credentials)), Nobody())[1])
    keys = {"access_key_id": "theirs"} if role else None
    monkeypatch.setattr(Eks, "keys", lambda _self, cluster, _now: keys if cluster.role_arn else None)
    cluster = ClusterSettings(name="c", eks="c", region="ap-south-1", role_arn=role)
    with pytest.raises(NotFound, match="no load balancer in eu-west-1"):
        ElasticLoadBalancing("us-east-1").find("front-1.eu-west-1.elb.amazonaws.com", cluster)
    assert asked == [("elb", "eu-west-1", keys), ("elbv2", "eu-west-1", keys)]
