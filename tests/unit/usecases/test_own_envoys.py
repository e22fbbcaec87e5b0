"""Runs of a deployment with Envoys of its own, by the shipped state machine."""

import msgspec
import pytest
import yaml
from crossmesh import codec
from crossmesh.core.observed import Unseen
from crossmesh.core.reporting.report import Report
from crossmesh.core.settings import ManifestSource
from crossmesh.core.topology import Topology
from crossmesh.effects import Batch, Call
from crossmesh.errors import CrossmeshError, RefusedError, ServiceGone, Throttled, TransientError
from crossmesh.usecases import state

from tests.support.builders import pod
from tests.support.own_envoys import EnvoyWorld, deployed, virtual_node
from tests.support.passes import played

WRITES = {"register", "deregister", "set_health", "create_service", "tag", "delete_service"}
ERRORS: list[CrossmeshError] = [
    TransientError("503"),
    Throttled("slow down"),
    RefusedError("AccessDeniedException", "no"),
    ServiceGone("EndpointConnectionError", "nobody answers"),
]


@pytest.fixture
def world() -> EnvoyWorld:
    made = EnvoyWorld()
    made.clusters.put("a", pod("u1", ip="10.0.0.1"))
    made.clusters.put("b", pod("v1", ip="10.0.0.2"))
    return made


def test_a_run_publishes_before_its_first_write_to_cloud_map(world: EnvoyWorld) -> None:
    where, asked = deployed(), list[tuple[str, str]]()

    def note(call: Call | Batch) -> bool:
        asked.extend((one.port, one.method) for one in (call.calls if isinstance(call, Batch) else (call,)))
        return True

    looked = world.look(where)
    assert world.published() is None, "a look writes nothing"
    assert played(world.steps(where, looked.id, looked.look), world, note)
    first = next(place for place, (port, method) in enumerate(asked) if port == "Registry" and method in WRITES)
    assert asked.index(("Snapshots", "move")) < first
    assert world.served() == {"10.0.0.1": "HEALTHY", "10.0.0.2": "HEALTHY"}
    assert world.pods_in() == {"u1", "v1"}


def test_where_nothing_changed_no_run_is_asked_for_and_nothing_is_published(world: EnvoyWorld) -> None:
    where = deployed()
    assert world.follow(where) == "apply"
    before = world.published()
    assert before is not None
    for _ in range(3):
        assert world.follow(where) == "quiet"
    world.run(where)
    after = world.published()
    assert after is not None
    assert after.pointer == before.pointer, "a run that was started by hand publishes nothing new either"


def test_cut_anywhere_a_run_leaves_the_snapshot_before_or_the_new_one_whole(world: EnvoyWorld) -> None:
    where, at, whole = deployed(), 0, False
    pointers = set()
    while not whole:
        world = EnvoyWorld()
        world.clusters.put("a", pod("u1", ip="10.0.0.1"))
        world.follow(where)
        world.clusters.put("a", pod("u1", ip="10.0.0.1", terminating=True))
        world.clusters.put("b", pod("v1", ip="10.0.0.2"))
        world.clock.sleep(60)
        looked, count = world.look(where), 0

        def go_on(_: Call | Batch, end: int = at) -> bool:
            nonlocal count
            count += 1
            return count <= end

        whole = played(world.steps(where, looked.id, looked.look), world, go_on)
        found = world.published()
        assert found is not None
        pointers.add(found.pointer.number)
        assert world.served() == ({"10.0.0.1": "HEALTHY"} if found.pointer.number == 1 else {"10.0.0.2": "HEALTHY"}), f"cut after {at}"
        world.executions.alive.clear()
        world.follow(where, 300.0)
        assert world.served() == {"10.0.0.2": "HEALTHY"}, f"cut after {at}, and then again"
        at += 1
    assert pointers == {1, 2}


@pytest.mark.parametrize("why", ERRORS, ids=lambda error: type(error).__name__)
def test_pods_come_and_go_while_cloud_map_answers_nothing(world: EnvoyWorld, why: CrossmeshError) -> None:
    where = deployed()
    world.follow(where)
    world.cloud_map.why = why
    world.clusters.put("a", pod("u2", ip="10.0.0.3"))
    world.follow(where)
    assert world.served() == {"10.0.0.1": "HEALTHY", "10.0.0.2": "HEALTHY", "10.0.0.3": "HEALTHY"}
    world.clusters.put("a", pod("u2", ip="10.0.0.3", ready=False))
    world.follow(where)
    assert world.served()["10.0.0.3"] == "UNHEALTHY", "at once, though it was never registered"
    world.clusters.put("a", pod("u2", ip="10.0.0.3", terminating=True))
    world.clusters.put("b", pod("v1", ip="10.0.0.2", terminating=True))
    world.clusters.put("b", pod("v2", ip="10.0.0.4"))
    world.follow(where)
    assert world.served() == {"10.0.0.1": "HEALTHY", "10.0.0.4": "HEALTHY"}
    found = world.published()
    assert found is not None
    assert sorted(one.address for one in found.root.left) == ["10.0.0.2", "10.0.0.3"]
    assert all(one.reason.startswith("dead: ") for one in found.root.left)
    world.cloud_map.why = None
    world.follow(where)
    assert world.pods_in() == {"u1", "v2"}, "Cloud Map follows when it answers again"
    assert world.follow(where) == "quiet"


def test_the_pods_of_published_hosts_are_asked_for_in_their_clusters(world: EnvoyWorld) -> None:
    where = deployed()
    world.cloud_map.why = TransientError("503")
    for _ in range(2):
        world.follow(where)
    assert world.served() == {"10.0.0.1": "HEALTHY", "10.0.0.2": "HEALTHY"}
    asked: list[str] = []
    observe = world.clusters.observe

    def noted(cluster: object, namespaces: object, registered: tuple[object, ...], *rest: object, **named: object) -> object:
        asked.extend(one.uid for one in registered)  # type: ignore[attr-defined]
        return observe(cluster, namespaces, registered, *rest, **named)  # type: ignore[arg-type]

    world.clusters.observe = noted  # type: ignore[assignment,method-assign]
    world.follow(where)
    assert sorted(asked) == ["u1", "v1"]


def test_a_cluster_that_goes_dark_takes_nothing_out_and_a_dead_pod_elsewhere_leaves(world: EnvoyWorld) -> None:
    where = deployed()
    world.follow(where)
    world.clusters.failing["a"] = Unseen(cluster="a", cause="timeout")
    world.clusters.put("b", pod("v1", ip="10.0.0.2", terminating=True))
    world.follow(where)
    assert world.served() == {"10.0.0.1": "HEALTHY"}


def test_an_unhealthy_host_of_a_cluster_that_goes_dark_stays_unhealthy(world: EnvoyWorld) -> None:
    where = deployed()
    world.follow(where)
    world.clusters.put("a", pod("u1", ip="10.0.0.1", ready=False))
    world.follow(where)
    world.clusters.failing["a"] = Unseen(cluster="a", cause="timeout")
    world.follow(where)
    assert world.served() == {"10.0.0.1": "UNHEALTHY", "10.0.0.2": "HEALTHY"}


def test_an_error_of_the_bucket_stops_no_write_to_cloud_map_and_is_told(world: EnvoyWorld) -> None:
    where = deployed()

    def full(*_: object) -> None:
        raise TransientError("SlowDown: reduce your request rate")

    world.snapshots.put = full  # type: ignore[method-assign]
    world.follow(where)
    assert world.pods_in() == {"u1", "v1"}, "the registry does not wait for the mesh (rule 13)"
    assert world.published() is None


def test_a_node_that_files_no_longer_declare_leaves_with_a_reason(world: EnvoyWorld) -> None:
    both = deployed(virtual_node(), virtual_node("green", "green"))
    world.clusters.put("a", pod("g1", "green", ip="10.0.0.9"))
    world.follow(both)
    name = "cds_egress_demo_green_demo_http_8080"
    assert world.served(name) == {"10.0.0.9": "HEALTHY"}
    for _ in range(3):
        world.follow(deployed())
    found = world.published()
    assert found is not None
    assert name not in found.endpoints
    assert world.served() == {"10.0.0.1": "HEALTHY", "10.0.0.2": "HEALTHY"}


def test_live_documents_that_vanish_stay_are_told_and_go_after_ten_minutes() -> None:
    world = EnvoyWorld()
    where = deployed()
    source = msgspec.structs.replace(where.settings.mesh, manifests=ManifestSource(clusters=("a",)))
    where = msgspec.structs.replace(where, settings=msgspec.structs.replace(where.settings, mesh=source), topology=Topology())
    world.clusters.declared["a"] = list(yaml.safe_load_all(LIVE))
    world.clusters.put("a", pod("u1", ip="10.0.0.1"))
    world.follow(where)
    name = "cds_egress_demo_blue_demo_http_8080"
    assert world.served(name) == {"10.0.0.1": "HEALTHY"}
    world.clusters.declared["a"] = [one for one in world.clusters.declared["a"] if one["kind"] != "VirtualNode"]
    for _ in range(3):
        world.follow(where)
        assert world.served(name) == {"10.0.0.1": "HEALTHY"}, "losing declarations is not a decision"
    report = codec.decode(world.state.read(state.LOOKED) or b"", Report)
    assert any("VirtualNode demo/blue" in line for line in report.withheld)
    for _ in range(3):
        world.follow(where, 400.0)
    assert world.served(name) == {}


LIVE = """\
apiVersion: v1
kind: Namespace
metadata: {name: demo, labels: {mesh: demo}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: Mesh
metadata: {name: demo}
spec: {namespaceSelector: {matchLabels: {mesh: demo}}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: VirtualNode
metadata: {name: blue, namespace: demo}
spec:
  podSelector: {matchLabels: {version: blue}}
  listeners: [{portMapping: {port: 8080, protocol: http}}]
  serviceDiscovery: {awsCloudMap: {namespaceName: demo.local, serviceName: color}}
"""
