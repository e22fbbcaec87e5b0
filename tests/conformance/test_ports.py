"""One suite a port, every adapter: what is in memory must do what the adapters that reach AWS do."""

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from crossmesh.adapters.app_mesh import AppMesh
from crossmesh.adapters.cloud_map import CloudMap
from crossmesh.adapters.dynamodb import DynamoState
from crossmesh.adapters.ec2 import Ec2Networks
from crossmesh.adapters.elb import ElasticLoadBalancing
from crossmesh.adapters.memory import (
    MemoryBalancers,
    MemoryClock,
    MemoryNetworks,
    MemoryRegistry,
    MemoryRunStore,
    MemorySnapshots,
    MemoryState,
)
from crossmesh.adapters.memory_app_mesh import MemoryMesh
from crossmesh.adapters.s3 import S3RunStore
from crossmesh.adapters.snapshots import AmazonSnapshots
from crossmesh.core.diagnosis.facts import BalancerFacts, NetworkFacts, RuleFacts, TargetFacts
from crossmesh.core.mesh.backend import MeshTarget
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.registry.plan import CreateService
from crossmesh.core.settings import ClusterSettings
from crossmesh.errors import Conflict, NotFound
from crossmesh.ports import Lease

from tests.conformance.aws_drivers import ServerProcess
from world.aws.clients import client, environment
from world.aws.config import url
from world.aws.seed import NAMESPACE, open_port, seed
from world.clusters.client import wait_for


@dataclass
class Ports:
    """The four ports of one kind."""

    registry: Any
    mesh: Any
    state: Any
    runs: Any
    namespace_id: str
    balancers: Any
    networks: Any
    snapshots: Any


CLASSIC = "a1b2-17.us-east-1.elb.amazonaws.com"
FRONT = ClusterSettings(name="eksc1", eks="eksc1", region="us-east-1")


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """The adapters that reach AWS, on the world's servers, by the environment as in a function."""
    process = ServerProcess(tmp_path_factory.mktemp("world"))
    for name in process.world["clusters"]:  # none runs here; EKS tells of a cluster's authority once it is there
        (Path(process.world["dir"]) / f"{name}.ca.pem").write_text("an authority")
    try:
        process.start("world.aws.ministack_host")
        process.start("world.aws.server")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment(process.world).items():
                patch.setenv(name, value)
            namespace = seed(process.world)["namespace_id"]
            client(process.world, "s3").create_bucket(Bucket="runs")
            client(process.world, "dynamodb").create_table(
                TableName="state",
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            )
            region = "us-east-1"
            open_port(process.world, "eksc2", "eksc1", 8080)
            tell(
                process.world,
                {
                    "name": "a1b2",
                    "hostname": CLASSIC,
                    "listeners": [{"port": 80}],
                    "instances": [{"id": "i-1"}, {"id": "i-2", "state": "OutOfService"}],
                },
            )
            yield Ports(
                CloudMap(region),
                AppMesh(region),
                DynamoState(region, "state"),
                S3RunStore(region, "runs"),
                namespace,
                ElasticLoadBalancing(region),
                Ec2Networks(region),
                AmazonSnapshots(region, "state", "runs"),
            )
    finally:
        process.stop()


@pytest.fixture(params=["memory", "reached"])
def ports(request: pytest.FixtureRequest) -> Ports:
    """Both kinds."""
    if request.param == "reached":
        found: Ports = request.getfixturevalue("reached")
        return found
    registry = MemoryRegistry()
    registry.namespaces[NAMESPACE] = ("ns-1", "DNS_PRIVATE")
    balancers, networks = MemoryBalancers(), MemoryNetworks()
    targets = (TargetFacts(id="i-1", healthy=True), TargetFacts(id="i-2", healthy=False))
    balancers.balancers[CLASSIC] = BalancerFacts(name="a1b2", kind="classic", ports=(80,), targets=targets)
    networks.networks["eksc1"] = NetworkFacts(cluster="eksc1", group="sg-1", cidrs=("10.0.0.0/8",))
    rule = RuleFacts(protocol="tcp", first=8080, last=8080, groups=("sg-1",))
    networks.networks["eksc2"] = NetworkFacts(cluster="eksc2", group="sg-2", cidrs=("10.0.0.0/8",), rules=(rule,))
    return Ports(
        registry, MemoryMesh(), MemoryState(), MemoryRunStore(), "ns-1", balancers, networks, MemorySnapshots(MemoryClock(time.time()))
    )


def tell(world: Any, balancer: dict[str, Any]) -> None:
    """What the data plane does: make a load balancer known."""
    request = urllib.request.Request(f"{url(world, 'aws')}/_world/load-balancers", data=json.dumps(balancer).encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=5).close()


def create(ports: Ports, name: str) -> tuple[str, str]:
    action = CreateService(
        namespace=NAMESPACE,
        service=name,
        namespace_id=ports.namespace_id,
        dns=True,
        tags={"crossmesh:owner": "t"},
        creator=f"t/{name}",
        reason="",
    )
    found: tuple[str, str] = ports.registry.create_service(action)
    assert ports.registry.create_service(action) == found, "the same intent asked twice is one service"
    return found


def test_a_service_is_found_by_name_with_its_tags_and_a_missing_one_is_empty(ports: Ports) -> None:
    service, arn = create(ports, "found")
    one, two = ports.registry.find_services(((NAMESPACE, "found"), (NAMESPACE, "missing")), {})
    assert (one.id, one.arn, one.tags["crossmesh:owner"], one.namespace_type) == (service, arn, "t", "DNS_PRIVATE")
    assert (two.id, two.namespace_id) == ("", ports.namespace_id)
    (nowhere,) = ports.registry.find_services((("no.such.namespace", "x"),), {})
    assert (nowhere.id, nowhere.namespace_type) == ("", "")
    ports.registry.tag(arn, {"more": "yes"})
    assert ports.registry.find_services(((NAMESPACE, "found"),), {one.key: (service, arn)})[0].tags == {**one.tags, "more": "yes"}


def test_an_instance_is_an_upsert_of_all_attributes_and_moves_the_revision(ports: Ports) -> None:
    service, _ = create(ports, "upsert")
    first = ports.registry.revision(NAMESPACE, "upsert")
    attributes = {"AWS_INSTANCE_IPV4": "10.0.0.1", "a": "1"}
    done(ports, ports.registry.register(service, "i-1", attributes, "token-1"))
    wait_for(lambda: [i.id for i in ports.registry.list_instances(service)] == ["i-1"], 5, "the instance")
    assert ports.registry.revision(NAMESPACE, "upsert") > first
    done(ports, ports.registry.register(service, "i-1", {"AWS_INSTANCE_IPV4": "10.0.0.2"}, "token-2"))
    wait_for(
        lambda: dict(ports.registry.list_instances(service)[0].attributes) == {"AWS_INSTANCE_IPV4": "10.0.0.2"},
        5,
        "the new attributes, all of them",
    )
    assert ports.registry.discover(NAMESPACE, "upsert")[0].id == "i-1"
    with pytest.raises(Conflict):
        ports.registry.delete_service(service)
    done(ports, ports.registry.deregister(service, "i-1"))
    wait_for(lambda: ports.registry.list_instances(service) == (), 5, "nothing")
    with pytest.raises(NotFound):
        ports.registry.deregister(service, "i-1")
    ports.registry.delete_service(service)
    with pytest.raises(NotFound):
        ports.registry.list_instances(service)


def with_custom_health(ports: Ports, name: str) -> str:
    """A service made by somebody with HealthCheckCustomConfig; crossmesh makes none."""
    if isinstance(ports.registry, MemoryRegistry):
        service, _ = create(ports, name)
        ports.registry.services[service] = msgspec.structs.replace(ports.registry.services[service], custom_health=True)
        return service
    made = ports.registry._write.create_service(Name=name, NamespaceId=ports.namespace_id, DnsConfig=RECORD, HealthCheckCustomConfig={})
    return str(made["Service"]["Id"])


RECORD = {"DnsRecords": [{"Type": "A", "TTL": 300}]}


def test_health_is_kept_where_the_service_was_made_with_it(ports: Ports) -> None:
    service = with_custom_health(ports, "judged")
    (view,) = ports.registry.find_services(((NAMESPACE, "judged"),), {})
    assert (view.custom_health, view.records) == (True, ("A",))
    for name, first in (("i-1", "HEALTHY"), ("i-2", "UNHEALTHY")):
        attributes = {"AWS_INSTANCE_IPV4": "10.0.0.1", "AWS_INIT_HEALTH_STATUS": first}
        done(ports, ports.registry.register(service, name, attributes, f"token-{name}"))
    wait_for(lambda: ports.registry.health(service) == {"i-1": "HEALTHY", "i-2": "UNHEALTHY"}, 5, "the first health")
    revision = ports.registry.revision(NAMESPACE, "judged")
    ports.registry.set_health(service, "i-1", "UNHEALTHY")
    wait_for(lambda: ports.registry.health(service)["i-1"] == "UNHEALTHY", 40, "the health asked for")
    assert ports.registry.revision(NAMESPACE, "judged") == revision, "no revision tells"
    with pytest.raises(NotFound):
        ports.registry.set_health(service, "i-9", "HEALTHY")
    plain, _ = create(ports, "unjudged")
    done(ports, ports.registry.register(plain, "i-1", {"AWS_INSTANCE_IPV4": "10.0.0.1"}, "token-u"))
    with pytest.raises(NotFound):
        ports.registry.set_health(plain, "i-1", "HEALTHY")


def test_records_are_of_the_family_asked_for(ports: Ports) -> None:
    action = CreateService(
        namespace=NAMESPACE, service="six", namespace_id=ports.namespace_id, dns=True, ipv6=True, tags={}, creator="t/six", reason=""
    )
    service, _ = ports.registry.create_service(action)
    assert ports.registry.find_services(((NAMESPACE, "six"),), {})[0].records == ("AAAA",)
    done(ports, ports.registry.register(service, "i-6", {"AWS_INSTANCE_IPV6": "2001:db8::7"}, "token-6"))


def done(ports: Ports, operation: str) -> None:
    wait_for(lambda: ports.registry.operation(operation).status == "SUCCESS", 5, "the operation")


def test_mesh_resources_are_created_described_updated_listed_and_deleted(ports: Ports) -> None:
    mesh = MeshTarget(mesh="m", kind="mesh", name="m")
    router = MeshTarget(mesh="m", kind="virtualRouter", name="r")
    route = MeshTarget(mesh="m", kind="route", parent="r", name="x")
    node = MeshTarget(mesh="m", kind="virtualNode", name="n")
    tags = {"crossmesh:owner": "t"}
    assert ports.mesh.describe(mesh) is None
    assert ports.mesh.list("m", "virtualRouter") == ()
    dns = {"dns": {"hostname": "n.local"}}
    listener = [{"portMapping": {"port": 80, "protocol": "http"}}]
    ports.mesh.create("CreateMesh", {"meshName": "m", "spec": {}}, tags, "t1")
    ports.mesh.create(
        "CreateVirtualNode", {"meshName": "m", "virtualNodeName": "n", "spec": {"listeners": listener, "serviceDiscovery": dns}}, tags, "t2"
    )
    ports.mesh.create("CreateVirtualRouter", {"meshName": "m", "virtualRouterName": "r", "spec": {"listeners": listener}}, tags, "t3")
    spec = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": "n", "weight": 1}]}}}
    names = {"meshName": "m", "virtualRouterName": "r", "routeName": "x"}
    ports.mesh.create("CreateRoute", {**names, "spec": spec}, tags, "t4")
    with pytest.raises(Conflict):
        ports.mesh.create("CreateRoute", {**names, "spec": spec}, tags, "t5")
    found = ports.mesh.describe(route)
    assert found.spec == spec
    assert ports.mesh.tags(found.arn) == tags
    assert [name for name, _ in ports.mesh.list("m", "route", "r")] == ["x"]
    heavier = {"httpRoute": {"match": {"prefix": "/"}, "action": {"weightedTargets": [{"virtualNode": "n", "weight": 7}]}}}
    ports.mesh.update("UpdateRoute", {**names, "spec": heavier}, "t6")
    assert ports.mesh.describe(route).spec == heavier
    ports.mesh.tag(found.arn, {"more": "yes"})
    assert ports.mesh.tags(found.arn) == {**tags, "more": "yes"}
    with pytest.raises(Conflict):
        ports.mesh.delete(router)
    for target in (route, router, node, mesh):
        ports.mesh.delete(target)
        assert ports.mesh.describe(target) is None
    with pytest.raises(NotFound):
        ports.mesh.delete(mesh)


def test_a_lease_changes_hands_only_as_expected_and_never_loses_a_request(ports: Ports) -> None:
    state = ports.state
    assert state.read_lease("l") is None
    one = Lease(epoch=1, holder="one", expires=100.0)
    assert state.write_lease("l", one, None)
    assert not state.write_lease("l", Lease(epoch=1, holder="two", expires=100.0), None), "it is there already"
    assert state.read_lease("l") == one
    assert not state.ask_again("l", Lease(epoch=1, holder="two", expires=0.0))
    assert state.ask_again("l", one)
    assert state.read_lease("l").again
    assert not state.write_lease("l", None, one), "released without seeing that somebody asked"
    asked = state.read_lease("l")
    assert state.write_lease("l", None, asked)
    free = state.read_lease("l")
    assert (free.holder, free.epoch, free.again) == ("", 1, False)


def test_a_document_is_replaced_only_where_it_is_what_was_read(ports: Ports) -> None:
    state, long = ports.state, b"a" * 5000
    assert not state.replace("r", b"one", b"before"), "it is not there"
    assert state.replace("r", b"one", None)
    assert not state.replace("r", b"two", None), "it is there already"
    assert state.replace("r", long, b"one")
    assert not state.replace("r", b"two", b"one")
    assert state.read("r") == long
    assert state.replace("r", b"two", long)
    assert state.read("r") == b"two"


def test_documents_and_runs_are_kept_as_they_are(ports: Ports) -> None:
    assert ports.state.read("d") is None
    ports.state.write("d", b"\x00one")
    ports.state.write("d", b"two")
    assert ports.state.read("d") == b"two"
    assert ports.runs.get("runs/a/x.json") is None
    for key in ("runs/a/y.json", "runs/a/x.json", "runs/b/x.json"):
        ports.runs.put(key, key.encode())
    assert ports.runs.get("runs/a/x.json") == b"runs/a/x.json"
    assert ports.runs.list("runs/a/") == ("runs/a/x.json", "runs/a/y.json")


def test_the_pointer_of_snapshots_moves_only_forward_and_only_from_what_was_read(ports: Ports) -> None:
    snapshots = ports.snapshots
    assert snapshots.pointer() is None
    assert len(snapshots.lineage()) == 32
    one = Pointer(lineage="1a" * 16, epoch=3, number=1, root="0" * 64)
    assert snapshots.move(one, None)
    assert snapshots.move(one, None), "a write that is repeated was done"
    two = msgspec.structs.replace(one, number=2, root="2" * 64)
    assert not snapshots.move(two, None), "there is one already"
    assert not snapshots.move(two, msgspec.structs.replace(one, root="1" * 64)), "another root stands"
    for wrong in ({"lineage": "2b" * 16}, {"epoch": 2}, {"number": 1}, {"number": 0}):
        assert not snapshots.move(msgspec.structs.replace(two, **wrong), one), wrong
    assert snapshots.pointer() == one
    assert snapshots.move(two, one)
    assert not snapshots.move(msgspec.structs.replace(two, number=3, root="3" * 64), one), "it moved meanwhile"
    assert snapshots.pointer() == two


def test_objects_of_snapshots_are_kept_listed_with_their_time_and_discarded(ports: Ports) -> None:
    names = tuple(f"{number}" * 64 for number in range(3))
    assert ports.snapshots.get(names[0]) is None
    for name in names:
        ports.snapshots.put(name, name.encode())
    assert ports.snapshots.get(names[1]) == names[1].encode()
    found = ports.snapshots.stored()
    assert [one.digest for one in found] == list(names)
    assert all(abs(one.at - time.time()) < 120 for one in found)
    ports.snapshots.discard((names[0], names[2], "f" * 64))
    ports.snapshots.discard(())
    assert [one.digest for one in ports.snapshots.stored()] == [names[1]]


def test_a_load_balancer_is_found_by_its_host_name_with_listeners_and_targets(ports: Ports) -> None:
    found = ports.balancers.find(CLASSIC, FRONT)
    assert (found.kind, found.ports) == ("classic", (80,))
    assert {target.id: target.healthy for target in found.targets} == {"i-1": True, "i-2": False}
    assert ports.balancers.find("shop.example.com", FRONT) is None


def test_a_network_load_balancer_is_found_through_the_newer_api(reached: Ports) -> None:
    elb = boto3.client("elbv2")
    made = elb.create_load_balancer(Name="wide", Type="network", Subnets=[])["LoadBalancers"][0]
    group = elb.create_target_group(Name="pods", Protocol="TCP", Port=8080, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.1", "Port": 8080}])
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="TCP", Port=443, DefaultActions=forward)
    found = reached.balancers.find("wide-0a1b.elb.us-east-1.amazonaws.com", FRONT)
    assert (found.name, found.kind, found.ports) == ("wide", "network", (443,))
    assert [target.id for target in found.targets] == ["10.0.0.1:8080"]
    with pytest.raises(NotFound):
        reached.balancers.find("gone-0a1b.elb.us-east-1.amazonaws.com", FRONT)


def test_a_clusters_network_tells_group_addresses_and_who_is_let_in(ports: Ports) -> None:
    one, two = (ports.networks.observe(ClusterSettings(name=name, eks=name, region="us-east-1")) for name in ("eksc1", "eksc2"))
    assert one.cidrs == two.cidrs != ()
    assert one.group != two.group
    assert [(rule.protocol, rule.first, rule.last, rule.groups) for rule in two.rules] == [("tcp", 8080, 8080, (one.group,))]
    with pytest.raises(NotFound):
        ports.networks.observe(ClusterSettings(name="none", eks="none", region="us-east-1"))


def test_a_rule_of_ours_is_added_once_known_by_its_mark_and_taken_away_once(ports: Ports) -> None:
    cluster = ClusterSettings(name="eksc1", eks="eksc1", region="us-east-1")
    group, other = (ports.networks.observe(ClusterSettings(name=n, eks=n, region="us-east-1")).group for n in ("eksc1", "eksc2"))
    for _ in range(2):
        ports.networks.open(cluster, group, other, 9090, "crossmesh:owner=t")
        assert [(r.first, r.groups, r.mark) for r in ports.networks.observe(cluster).rules] == [(9090, (other,), "crossmesh:owner=t")]
    for _ in range(2):
        ports.networks.close(cluster, group, other, 9090, "crossmesh:owner=t")
        assert ports.networks.observe(cluster).rules == ()
