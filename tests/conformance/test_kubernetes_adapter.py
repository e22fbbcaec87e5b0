"""The adapter that reaches clusters, against the world's Kubernetes API with the rights of clusters/*.yaml and no others."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from crossmesh.adapters.clock import SystemClock
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.settings import ClusterSettings
from crossmesh.driver import drive
from crossmesh.errors import Conflict, NotFound, RefusedError
from crossmesh.ports import PodRef

from tests.support.adapted_cluster import GATE, SETTINGS, adapter
from tests.support.builders import context
from tests.support.one_cluster import Cluster
from tests.support.passes import MemoryWorld
from world.clusters.addresses import Addresses
from world.clusters.client import wait_for
from world.clusters.controllers import Controllers


def seen(cluster: Cluster, *registered: PodRef) -> Seen:
    found = adapter(cluster).observe(SETTINGS, ("demo",), registered, "", {})
    assert isinstance(found, Seen), found
    return found


def controller(cluster: Cluster, namespace: str, ready: int, *, account: str = "appmesh-controller") -> tuple[str, str, str, str]:
    """A Deployment with the label of AWS's controller; `ready`: pods of it."""
    if ("", "namespaces", "", namespace) not in cluster.store.objects:
        cluster.store.create(("", "namespaces", "", namespace), {"metadata": {"name": namespace}})
    key, labels = ("apps", "deployments", namespace, "appmesh-controller"), {"app.kubernetes.io/name": "appmesh-controller"}
    spec = {"replicas": 1, "template": {"spec": {"serviceAccountName": account}}}
    cluster.store.create(key, {"metadata": {"name": "appmesh-controller", "labels": labels}, "spec": spec})
    cluster.store.update(key, lambda old: {**old, "status": {"replicas": 1, "readyReplicas": ready}}, status=True)
    return key


@pytest.mark.parametrize(
    ("namespace", "ready", "account", "found"),
    [
        ("appmesh-system", 1, "appmesh-controller", True),
        ("mallory", 1, "appmesh-controller", False),
        ("demo", 1, "appmesh-controller", False),
        ("appmesh-system", 0, "appmesh-controller", False),
        ("appmesh-system", 1, "default", False),
    ],
    ids=["it", "in any namespace", "in a namespace of the mesh", "no pod of it is ready", "another account"],
)
def test_awss_controller_is_believed_only_where_it_belongs_and_works(
    cluster: Cluster, namespace: str, ready: int, account: str, found: bool
) -> None:
    controller(cluster, namespace, ready, account=account)
    view = seen(cluster)
    assert (view.controller, view.controller_unknown) == (f"{namespace}/appmesh-controller" if found else "", "")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"controller_namespaces": ("mesh-tools",)}, "mesh-tools/appmesh-controller"),
        ({"controller_namespaces": ("mesh-tools",), "controller": "none"}, ""),
        ({}, ""),
    ],
    ids=["named", "none", "not named"],
)
def test_the_settings_say_where_awss_controller_is_and_that_there_is_none(cluster: Cluster, changes: dict[str, Any], found: str) -> None:
    controller(cluster, "mesh-tools", 1)
    view = adapter(cluster).observe(msgspec.structs.replace(SETTINGS, **changes), ("demo",), (), "", {})
    assert isinstance(view, Seen)
    assert view.controller == found


def test_without_the_right_to_see_deployments_the_pods_are_seen_and_the_gap_is_said(cluster: Cluster) -> None:
    cluster.pod("p1")
    key = ("rbac.authorization.k8s.io", "clusterroles", "", "crossmesh-reader")
    cluster.store.update(key, lambda role: {**role, "rules": [rule for rule in role["rules"] if rule["apiGroups"] != ["apps"]]})
    found = seen(cluster)
    assert [pod.name for pod in found.pods] == ["p1"]
    assert "403" in found.controller_unknown


def test_pods_known_by_name_alone_are_proved_absent_by_a_get(cluster: Cluster) -> None:
    cluster.pod("p1")
    refs = [PodRef(namespace="demo", name=name, uid="") for name in ("p1", "p2", "p3")]
    assert seen(cluster, *refs).absent == ("demo/p2", "demo/p3")
    cluster.faults.set(b'[{"path": "/pods$", "empty_list": true}]')
    assert seen(cluster, *refs).absent == ("demo/p2", "demo/p3"), "a list that lies proves nothing: the GET finds it"


# --- a zonal shift, as EKS carries it out -----------------------------------------------------------------------------------------------

FOLLOWING = ClusterSettings(name="c", eks="c", region="us-east-1", zonal_shift="follow")
SLICES = ("discovery.k8s.io", "endpointslices", "demo")


def zone(cluster: Cluster, name: str, *, cordoned: bool) -> None:
    """A node of the zone, and a pod on it."""
    node = {"metadata": {"name": name, "labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": name}}}
    cluster.store.create(("", "nodes", "", name), node | {"spec": {"unschedulable": True} if cordoned else {}})
    cluster.pod(name)
    at = ("", "pods", "demo", name)
    cluster.store.update(
        at, lambda old: {**old, "metadata": {**old["metadata"], "labels": {"app": "x"}}, "spec": {**old["spec"], "nodeName": name}}
    )


def in_slices(cluster: Cluster, *pods: str) -> None:
    """What the EndpointSlice controller writes, one slice a pod, beside one of addresses that are no pods."""
    uids = {name: cluster.store.get(("", "pods", "demo", name))["metadata"]["uid"] for name in pods}
    for name, uid in uids.items():
        target = {"kind": "Pod", "namespace": "demo", "name": name, "uid": uid}
        cluster.store.create((*SLICES, f"x-{name}"), _slice(f"x-{name}", {"addresses": ["10.0.0.1"], "targetRef": target}))
    cluster.store.create((*SLICES, "outside"), _slice("outside", {"addresses": ["192.0.2.1"]}))
    cluster.store.create((*SLICES, "empty"), {**_slice("empty"), "endpoints": None})


def _slice(name: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "addressType": "IPv4", "endpoints": list(endpoints)}


def following(cluster: Cluster, asked: KubernetesClusters | None = None) -> Seen:
    found = (asked or adapter(cluster)).observe(FOLLOWING, ("demo",), (), "", {})
    assert isinstance(found, Seen), found
    return found


def test_a_zonal_shift_is_read_with_the_readers_rights_and_its_end_too(cluster: Cluster) -> None:
    zone(cluster, "ra", cordoned=True)
    zone(cluster, "rb", cordoned=False)
    in_slices(cluster, "rb")
    asked = adapter(cluster)
    found = following(cluster, asked)
    assert (found.shifted, found.shift_unknown) == (("ra",), "")
    assert found.away("ra") == "ra"
    assert found.away("rb") == ""
    assert seen(cluster).shifted == (), "only where the settings say follow"
    cluster.store.update(("", "nodes", "", "ra"), lambda node: {**node, "spec": {}})
    assert following(cluster, asked).shifted == (), "nodes are not remembered for it"


def test_slices_that_may_not_be_read_are_said_and_those_that_cannot_leave_the_cluster_unseen(cluster: Cluster) -> None:
    zone(cluster, "ra", cordoned=True)
    key = ("rbac.authorization.k8s.io", "clusterroles", "", "crossmesh-reader")
    role = cluster.store.get(key)
    cluster.store.update(key, lambda held: {**held, "rules": [r for r in held["rules"] if r["apiGroups"] != ["discovery.k8s.io"]]})
    found = following(cluster)
    assert found.shifted == ()
    assert "403" in found.shift_unknown
    assert [pod.name for pod in found.pods] == ["ra"]
    cluster.store.update(key, lambda held: {**held, "rules": role["rules"]})
    cluster.faults.set(b'[{"path": "/endpointslices", "code": 500}]')
    assert seen(cluster).shifted == (), "nobody asks for slices where the settings do not say follow"
    lost = adapter(cluster).observe(FOLLOWING, ("demo",), (), "", {})
    assert isinstance(lost, Unseen)
    assert lost.cause == "server-error"


def gated(cluster: Cluster, name: str) -> dict[str, Any]:
    cluster.pod(name)
    key = ("", "pods", "demo", name)
    cluster.store.update(key, lambda old: {**old, "spec": {**old["spec"], "readinessGates": [{"conditionType": GATE}]}})
    return cluster.store.get(key)


def test_a_gate_is_read_opened_and_read_again(cluster: Cluster) -> None:
    uid = gated(cluster, "p1")["metadata"]["uid"]
    cluster.pod("p2")
    assert {pod.name: pod.gate for pod in seen(cluster).pods} == {"p1": "closed", "p2": ""}
    adapter(cluster, "gatekeeper").open_gate(SETTINGS, PodRef(namespace="demo", name="p1", uid=uid))
    assert {pod.name: pod.gate for pod in seen(cluster).pods} == {"p1": "open", "p2": ""}
    conditions = {c["type"]: c["status"] for c in cluster.store.get(("", "pods", "demo", "p1"))["status"]["conditions"]}
    assert conditions == {"ContainersReady": "True", "Ready": "True", GATE: "True"}, "merged, not replaced"


def test_another_pod_of_the_name_no_pod_and_no_right_are_told_apart(cluster: Cluster) -> None:
    gated(cluster, "p1")
    with pytest.raises(Conflict):
        adapter(cluster, "gatekeeper").open_gate(SETTINGS, PodRef(namespace="demo", name="p1", uid="another"))
    with pytest.raises(NotFound):
        adapter(cluster, "gatekeeper").open_gate(SETTINGS, PodRef(namespace="demo", name="p9", uid="x"))
    with pytest.raises(RefusedError, match="readiness-gate"):
        adapter(cluster, "reader").open_gate(SETTINGS, PodRef(namespace="demo", name="p1", uid="x"))


# --- a rolling update that waits for registration --------------------------------------------------------------------------------------


class NoRuntime:
    """Pods without processes."""

    def start(self, cluster: str, pod: Any) -> None:
        pass

    def stop(self, uid: str) -> None:
        pass


def deployment(image: str, replicas: int) -> dict[str, Any]:
    labels = {"version": "blue"}
    spec = {"containers": [{"name": "app", "image": image}], "readinessGates": [{"conditionType": GATE}]}
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "metadata": {"name": "blue"},
        "spec": {"replicas": replicas, "strategy": strategy, "selector": {"matchLabels": labels}, "template": template},
    }


@pytest.fixture
def rolling(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with its controllers and four gated pods."""
    controllers = Controllers("c", cluster.store, 1, Addresses("10.9.0.0/16"), NoRuntime())
    thread = threading.Thread(target=controllers.run)
    thread.start()
    cluster.store.create(("apps", "deployments", "demo", "blue"), deployment("v1", 4))
    yield cluster
    controllers.ended.set()
    thread.join(5)


def pods_of(cluster: Cluster, condition: str) -> dict[str, str]:
    """uid -> image of pods with a condition that are not ending."""
    return {
        pod["metadata"]["uid"]: pod["spec"]["containers"][0]["image"]
        for pod in cluster.store.all("", "pods", "demo")
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == condition and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ())
    }


def test_with_the_gate_a_rolling_update_never_has_fewer_live_instances_than_before(rolling: Cluster) -> None:
    world, where = MemoryWorld(), context(clusters=("c",), readiness_gate=True)
    reading, opening = adapter(rolling), adapter(rolling, "gatekeeper")
    reading.open_gate = opening.open_gate  # type: ignore[method-assign]
    ports = {**world.ports, "Clock": SystemClock(), "Clusters": reading}
    runs = 0

    def run() -> bool:
        nonlocal runs
        runs += 1
        drive(world.steps(where, f"run-{runs}"), ports)
        return len(pods_of(rolling, "Ready")) == 4

    wait_for(lambda: len(pods_of(rolling, "ContainersReady")) == 4, 10, "four pods with ready containers")
    assert pods_of(rolling, "Ready") == {}, "they wait for the gate"
    wait_for(run, 10, "four ready pods")
    rolling.store.update(("apps", "deployments", "demo", "blue"), lambda old: {**old, "spec": deployment("v2", 4)["spec"]})
    least, seconds, began = 4, 20.0, time.monotonic()
    while set(pods_of(rolling, "Ready").values()) != {"v2"} or len(pods_of(rolling, "Ready")) < 4:
        registered = world.pods_in()
        least = min(least, len(registered & pods_of(rolling, "ContainersReady").keys()))
        assert time.monotonic() - began < seconds, pods_of(rolling, "Ready")
        run()
    assert least == 4
    time.sleep(0.2)
    run()
    assert world.pods_in() == set(pods_of(rolling, "Ready"))


def test_beside_awss_controller_nothing_is_written_and_without_it_all_is(cluster: Cluster) -> None:
    cluster.pod("p1")
    key = ("", "pods", "demo", "p1")
    cluster.store.update(key, lambda old: {**old, "metadata": {**old["metadata"], "labels": {"version": "blue"}}})
    key = controller(cluster, "appmesh-system", 1)
    world, where = MemoryWorld(), context(clusters=("c",))
    ports = {**world.ports, "Clock": SystemClock(), "Clusters": adapter(cluster)}
    held = drive(world.steps(where, "run-beside"), ports)
    assert world.registry.writes == []
    assert [w.why for w in held.withheld] == ["controller"]
    assert "appmesh-system/appmesh-controller" in world.telemetry.reports[-1].notes[0]
    cluster.store.update(key, lambda old: {**old, "status": {"replicas": 0}}, status=True)
    drive(world.steps(where, "run-alone"), ports)
    assert len(world.pods_in()) == 1


def test_awss_leftovers_of_a_real_list_are_taken_over(cluster: Cluster) -> None:
    """One of a pod that runs, one of a pod that a GET cannot find: both leave, after ours stands."""
    cluster.pod("p1")
    cluster.store.update(("", "pods", "demo", "p1"), lambda old: {**old, "metadata": {**old["metadata"], "labels": {"version": "blue"}}})
    world, where = MemoryWorld(), context(clusters=("c",), adopt=True)
    ports = {**world.ports, "Clock": SystemClock(), "Clusters": adapter(cluster)}
    drive(world.steps(where, "run-first"), ports)
    service = next(iter(world.registry.services))
    ours = world.registry.instances[service]
    for name, ip in (("p1", "10.0.0.1"), ("p2", "10.0.0.2")):
        marks = {"k8s.io/pod": name, "k8s.io/namespace": "demo", "appmesh.k8s.aws/mesh": "demo", "appmesh.k8s.aws/virtualNode": "blue_demo"}
        ours[ip] = {"AWS_INSTANCE_IPV4": ip, **marks}
    drive(world.steps(where, "run-adopting"), ports)
    assert [a.get("k8s.io/pod") for a in ours.values()] == ["p1"]
    assert all("crossmesh/owner" in a for a in ours.values())
