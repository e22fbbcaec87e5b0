"""The `Clusters` port: what is in memory, and the adapter on either tier — with an EKS token of an assumed role, as a function has it."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import yaml
from crossmesh.adapters.kubernetes import api as kubernetes_api
from crossmesh.adapters.kubernetes import transport as kubernetes_transport
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.adapters.kubernetes.pods import GATE
from crossmesh.adapters.memory import MemoryClock, MemoryClusters
from crossmesh.core.diagnosis.cluster_access import rights
from crossmesh.core.observed import Pod, Seen, Unseen
from crossmesh.core.settings import ClusterSettings, ServiceTarget
from crossmesh.core.topology import Topology
from crossmesh.errors import Conflict, NotFound, RefusedError
from crossmesh.ports import PodRef

from tests.conformance.kubernetes_tiers import Tier
from tests.support.builders import context, node
from tests.support.pod_objects import pod as pod_object
from world.aws.clients import client
from world.clusters.client import apply, wait_for
from world.supervisor import ROOT


@dataclass
class Looked:
    """A cluster seen through the port, with hands to change it."""

    port: Any
    settings: ClusterSettings
    namespace: str
    put: Callable[[str], str]  # a running, ready pod by name; its uid
    end: Callable[[str], None]
    terminate: Callable[[str], None]
    tier: Tier | None = None

    def observe(self, registered: tuple[PodRef, ...] = (), identity: str = "", versions: dict[str, int] | None = None) -> Seen | Unseen:
        return self.port.observe(self.settings, (self.namespace,), registered, identity, versions or {})  # type: ignore[no-any-return]

    def seen(self, registered: tuple[PodRef, ...] = (), identity: str = "", versions: dict[str, int] | None = None) -> Seen:
        found = self.observe(registered, identity, versions)
        assert isinstance(found, Seen), found
        return found

    def unseen(self, **asked: Any) -> Unseen:
        found = self.observe(**asked)
        assert isinstance(found, Unseen), f"{len(found.pods)} pods seen"
        return found


def in_memory() -> Looked:
    """The port in memory."""
    port = MemoryClusters(MemoryClock())

    def put(name: str, *, terminating: bool = False) -> str:
        uid = f"uid-of-{name}"
        port.put(
            "eksc1", Pod(namespace="here", name=name, uid=uid, ip="10.0.0.1", phase="Running", containers_ready=True, terminating=terminating)
        )
        return uid

    settings = ClusterSettings(name="eksc1", eks="eksc1", region="us-east-1")
    return Looked(
        port, settings, "here", put, lambda name: port.remove("eksc1", f"uid-of-{name}"), lambda name: put(name, terminating=True) and None
    )


def reached(tier: Tier, cluster: str, namespace: str) -> Looked:
    """The adapter, as the role `looks`."""
    own = tier.clusters[cluster]
    own.apply({"kind": "Namespace", "metadata": {"name": namespace}})

    def put(name: str) -> str:
        item = {"kind": "Pod", **pod_object(name, {"app": name}, schedulerName="default-scheduler")}
        item["metadata"] |= {"namespace": namespace, "annotations": {"world/stop-delay": "3s"}}
        uid: str = own.apply(item)["metadata"]["uid"]
        wait_for(lambda: name in {p["metadata"]["name"] for p in own.ready_pods(namespace)}, 30, f"{name} ready in {cluster} of {tier.name}")
        return uid

    settings = ClusterSettings(name=cluster, eks=cluster, region=tier.world.document["region"])
    port = KubernetesClusters(settings.region)
    return Looked(
        port,
        settings,
        namespace,
        put,
        lambda name: own.delete("Pod", namespace, name, 0),
        lambda name: own.delete("Pod", namespace, name),
        tier,
    )


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    return str(request.node.originalname.removeprefix("test_").replace("_", "-")[:60])


@pytest.fixture(params=["memory", "embedded", "real"])
def any_cluster(request: pytest.FixtureRequest, namespace: str) -> Iterator[Looked]:
    """The port, each kind."""
    if request.param == "memory":
        yield in_memory()
        return
    yield from _reached(request.getfixturevalue(request.param), namespace)


@pytest.fixture
def cluster(tier: Tier, namespace: str) -> Iterator[Looked]:
    """The adapter on each tier."""
    yield from _reached(tier, namespace)


@pytest.fixture
def real_cluster(real: Tier, namespace: str) -> Iterator[Looked]:
    """The adapter on Kubernetes itself, for faults that only a real one has."""
    yield from _reached(real, namespace)


def be_reader(tier: Tier, patch: pytest.MonkeyPatch) -> None:
    """Take a function's environment."""
    for name, value in tier.reader_environment().items():
        patch.setenv(name, value)


def _reached(tier: Tier, namespace: str) -> Iterator[Looked]:
    with pytest.MonkeyPatch.context() as patch:
        be_reader(tier, patch)
        found = reached(tier, "eksc1", namespace)
        wait_for(lambda: isinstance(found.observe(), Seen), 15, f"the access entry's effect in {tier.name}")
        yield found
        found.tier.clusters["eksc1"].delete("Namespace", "", namespace)  # type: ignore[union-attr]


# --- every kind --------------------------------------------------------------------------------------------------------------------------------


def test_pods_as_they_are(any_cluster: Looked) -> None:
    uids = {any_cluster.put(name) for name in ("one", "two")}
    view = any_cluster.seen()
    assert {pod.uid for pod in view.pods} == uids
    assert all(pod.ready and pod.ip and pod.phase == "Running" and not pod.terminating for pod in view.pods)
    assert {pod.name for pod in view.pods} == {"one", "two"}
    assert view.versions[any_cluster.namespace] > 0


def test_versions_rise(any_cluster: Looked) -> None:
    before = any_cluster.seen().versions
    any_cluster.put("one")
    after = any_cluster.seen(versions=before).versions
    assert after[any_cluster.namespace] > before[any_cluster.namespace]
    assert any_cluster.unseen(versions={any_cluster.namespace: after[any_cluster.namespace] + 1_000_000}).cause == "went-back"


def test_identity_is_kept(any_cluster: Looked) -> None:
    identity = any_cluster.seen().identity
    assert any_cluster.seen(identity=identity).identity == identity
    assert any_cluster.unseen(identity="another-cluster").cause == "identity"


def test_gone_is_confirmed(any_cluster: Looked) -> None:
    uids = {name: any_cluster.put(name) for name in ("stays", "ends")}
    any_cluster.end("ends")
    refs = tuple(PodRef(uid=uid, namespace=any_cluster.namespace, name=name) for name, uid in uids.items())
    assert any_cluster.seen(registered=refs).gone == (uids["ends"],)


def test_terminating_is_seen(any_cluster: Looked) -> None:
    any_cluster.put("ends")
    any_cluster.terminate("ends")
    assert [pod.terminating for pod in any_cluster.seen().pods] == [True]


# --- the adapter on both tiers -----------------------------------------------------------------------------------------------------------------


def test_a_name_used_again_is_another_pod(cluster: Looked) -> None:
    first = cluster.put("phoenix")
    cluster.end("phoenix")
    second = cluster.put("phoenix")
    view = cluster.seen(registered=(PodRef(uid=first, namespace=cluster.namespace, name="phoenix"),))
    assert view.gone == (first,)
    assert {pod.uid for pod in view.pods} == {second}


def test_zones_of_nodes(cluster: Looked) -> None:
    cluster.put("one")
    view = cluster.seen()
    node = view.pods[0].node
    assert view.zones == {node: ("us-east-1", {"1": "us-east-1a", "2": "us-east-1b"}[node[-1]])}


def test_pages_make_one_list(cluster: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_api, "PAGE", 2)
    uids = {cluster.put(f"p{index}") for index in range(5)}
    assert {pod.uid for pod in cluster.seen().pods} == uids


def test_an_expired_page_starts_again(tier: Tier, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    be_reader(tier, monkeypatch)
    found = reached(tier, "eksc2", namespace)  # the one without a watch cache: there a compaction takes effect
    uids = {found.put(f"p{index}") for index in range(3)}
    monkeypatch.setattr(kubernetes_api, "PAGE", 1)
    statuses: list[int] = []
    request = kubernetes_api.Api.request

    def compacting(api: Any, path: str, until: float, **how: Any) -> tuple[int, bytes]:
        if "continue=" in path and not statuses:
            made = tier.clusters["eksc2"].apply({"kind": "ConfigMap", "metadata": {"name": "later", "namespace": namespace}})
            tier.compact("eksc2", made["metadata"]["resourceVersion"])
        status, body = request(api, path, until, **how)
        if "continue=" in path:
            statuses.append(status)
        return status, body

    wait_for(lambda: isinstance(found.observe(), Seen) or statuses.clear(), 15, "a view")
    statuses.clear()
    monkeypatch.setattr(kubernetes_api.Api, "request", compacting)
    assert {pod.uid for pod in found.seen().pods} == uids
    assert statuses[0] == 410
    assert set(statuses[1:]) == {200}
    tier.clusters["eksc2"].delete("Namespace", "", namespace)


def test_rights_taken_away(cluster: Looked) -> None:
    own = cluster.tier.clusters["eksc1"]  # type: ignore[union-attr]
    cluster.put("one")
    own.delete("ClusterRoleBinding", "", "crossmesh-reader")
    try:
        wait_for(lambda: isinstance(cluster.observe(), Unseen), 10, "the loss of rights")
        view = cluster.unseen()
        assert view.cause == "refused"
        assert "403" in view.detail
    finally:
        apply(cluster.tier.world.document, "eksc1", ROOT / "clusters" / "reader.yaml")  # type: ignore[union-attr]
    wait_for(lambda: isinstance(cluster.observe(), Seen), 10, "the rights again")


def test_rights_in_the_meshs_namespace_alone(cluster: Looked) -> None:
    """What `crossmesh access` prints, in place of clusters/reader.yaml."""
    own = cluster.tier.clusters["eksc1"]  # type: ignore[union-attr]
    uid = cluster.put("one")
    settings = msgspec.structs.replace(cluster.settings, controller="none", zonal_shift="follow")
    mesh = Topology(nodes=(msgspec.structs.replace(node("one"), namespace=cluster.namespace),))
    for item in rights(msgspec.structs.replace(context().settings, clusters=(settings,)), mesh, settings):
        own.apply(item)
    try:
        wait_for(lambda: isinstance(cluster.port.observe(settings, ("default",), (), "", {}), Unseen), 10, "the narrow rights in force")
        other = cluster.port.observe(settings, ("default",), (), "", {})
        assert isinstance(other, Unseen)
        assert (other.cause, "403" in other.detail) == ("refused", True)
        view = cluster.port.observe(settings, (cluster.namespace,), (), "", {})
        assert isinstance(view, Seen), view
        assert {pod.uid for pod in view.pods} == {uid}
        assert (view.shift_unknown, len(view.zones)) == ("", 1)
    finally:
        apply(cluster.tier.world.document, "eksc1", ROOT / "clusters" / "reader.yaml")  # type: ignore[union-attr]
    wait_for(lambda: isinstance(cluster.port.observe(settings, ("default",), (), "", {}), Seen), 10, "the rights again")


def test_an_access_entry_taken_away(cluster: Looked) -> None:
    eks = client(cluster.tier.world.document, "eks")  # type: ignore[union-attr]
    arn = next(a for a in eks.list_access_entries(clusterName="eksc1")["accessEntries"] if a.endswith("role/looks"))
    eks.delete_access_entry(clusterName="eksc1", principalArn=arn)
    try:
        wait_for(lambda: isinstance(cluster.observe(), Unseen), 20, "the loss of the entry")
        view = cluster.unseen()
        assert view.cause == "refused"
        assert "401" in view.detail
    finally:
        eks.create_access_entry(clusterName="eksc1", principalArn=arn, kubernetesGroups=["crossmesh:readers", "crossmesh:gatekeepers"])
    wait_for(lambda: isinstance(cluster.observe(), Seen), 20, "the entry again")


def test_a_cluster_that_is_none(cluster: Looked) -> None:
    nowhere = ClusterSettings(name="nowhere", eks="nowhere", region="us-east-1")
    view = cluster.port.observe(nowhere, (cluster.namespace,), (), "", {})
    assert isinstance(view, Unseen)
    assert view.cause == "not-found"


def test_load_balancer_name(cluster: Looked) -> None:
    own = cluster.tier.clusters["eksc1"]  # type: ignore[union-attr]
    target = ServiceTarget(cluster="eksc1", namespace=cluster.namespace, name="front", port=80)
    with pytest.raises(NotFound):
        cluster.port.load_balancer(target, cluster.settings)
    spec = {"type": "LoadBalancer", "selector": {"app": "x"}, "ports": [{"port": 80}]}
    own.apply({"kind": "Service", "metadata": {"name": "front", "namespace": cluster.namespace}, "spec": spec})
    found = wait_for(lambda: cluster.port.load_balancer(target, cluster.settings), 10, "a load balancer's name")
    assert found.endswith(".elb.amazonaws.com")
    assert cluster.port.service(target, cluster.settings).ports == (80,)


def test_opening_a_gate(cluster: Looked) -> None:
    own = cluster.tier.clusters["eksc1"]  # type: ignore[union-attr]
    uid = cluster.put("gated")
    ref = PodRef(uid=uid, namespace=cluster.namespace, name="gated")
    with pytest.raises(RefusedError):
        cluster.port.open_gate(cluster.settings, ref)
    apply(cluster.tier.world.document, "eksc1", ROOT / "clusters" / "readiness-gate.yaml")  # type: ignore[union-attr]
    try:
        wait_for(lambda: attempt(cluster, ref), 10, "the right to open gates")
        states = {c["type"]: c["status"] for c in own.get("Pod", cluster.namespace, "gated")["status"]["conditions"]}
        assert states[GATE] == "True"
        assert states["Ready"] == "True", "the other conditions stay"
        with pytest.raises(Conflict):
            cluster.port.open_gate(cluster.settings, PodRef(uid="another", namespace=cluster.namespace, name="gated"))
        with pytest.raises(NotFound):
            cluster.port.open_gate(cluster.settings, PodRef(uid=uid, namespace=cluster.namespace, name="missing"))
    finally:
        for item in yaml.safe_load_all((ROOT / "clusters" / "readiness-gate.yaml").read_text()):
            own.delete(item["kind"], "", item["metadata"]["name"])


def attempt(cluster: Looked, ref: PodRef) -> bool:
    """Try; refused is not yet."""
    try:
        cluster.port.open_gate(cluster.settings, ref)
    except RefusedError:
        return False
    return True


# --- faults that only Kubernetes itself has ----------------------------------------------------------------------------------------------------


def process(cluster: Looked, name: str) -> int:
    """The process of a component."""
    found = json.loads((cluster.tier.world.dir / "real.json").read_text())  # type: ignore[union-attr]
    return int(found["pids"][name])


def test_a_store_that_hangs(real_cluster: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    real_cluster.put("one")
    monkeypatch.setattr(kubernetes_transport, "READ_TIMEOUT", 2.0)
    store = process(real_cluster, "etcd")
    os.kill(store, signal.SIGSTOP)
    try:
        began = time.monotonic()
        view = real_cluster.unseen()
        assert view.cause in ("timeout", "server-error")
        assert time.monotonic() - began < 15
    finally:
        os.kill(store, signal.SIGCONT)
    wait_for(lambda: isinstance(real_cluster.observe(), Seen), 40, "a view once etcd goes on")
    assert [pod.name for pod in real_cluster.seen().pods] == ["one"]


def test_an_api_killed_in_a_list(real_cluster: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = {real_cluster.put(f"p{index}") for index in range(3)}
    monkeypatch.setattr(kubernetes_api, "PAGE", 1)
    request, struck = kubernetes_api.Api.request, threading.Event()

    def killing(api: Any, path: str, until: float, **how: Any) -> tuple[int, bytes]:
        if "continue=" in path and not struck.is_set():
            struck.set()
            os.kill(process(real_cluster, "eksc1-apiserver"), signal.SIGKILL)
        return request(api, path, until, **how)

    monkeypatch.setattr(kubernetes_api.Api, "request", killing)
    before = process(real_cluster, "eksc1-apiserver")
    assert real_cluster.unseen().cause in ("unreachable", "cut", "server-error")
    other = reached(real_cluster.tier, "eksc2", "kube-system")  # type: ignore[arg-type]
    assert isinstance(other.observe(), Seen), "the other cluster is seen all the while"
    wait_for(lambda: isinstance(real_cluster.observe(), Seen), 60, "a view once the API is back")
    assert process(real_cluster, "eksc1-apiserver") != before
    assert {pod.uid for pod in real_cluster.seen().pods} == uids
