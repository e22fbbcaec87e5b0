"""`crossmesh access`: with its Roles alone the adapter does all it must; each rule is needed; nothing else can be read."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.core.diagnosis.cluster_access import fronts_in, pods_in, rights
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.settings import CanarySettings, ClusterSettings, ServiceTarget, Settings
from crossmesh.core.topology import Topology
from crossmesh.errors import CrossmeshError
from crossmesh.ports import PodRef

from tests.support.adapted_cluster import GATE, OneEks
from tests.support.builders import context, node
from tests.support.one_cluster import Cluster
from world.clusters.auth import Who
from world.clusters.client import RESOURCE

FRONT = ServiceTarget(cluster="c", namespace="web", name="front", port=80)
HERE = ClusterSettings(name="c", eks="c", region="us-east-1", zonal_shift="follow")
BOTH: Who = ("functions", frozenset({"crossmesh:readers", "crossmesh:gatekeepers"}))


def settings(cluster: ClusterSettings = HERE, *, gate: bool = True) -> Settings:
    base = context(clusters=("c",)).settings
    canary = CanarySettings(name="front", service=FRONT)
    return msgspec.structs.replace(base, clusters=(cluster,), canaries=(canary,), readiness_gate=gate)


TOPOLOGY = Topology(nodes=(node("blue"), node("red")))  # of namespace demo
OBJECTS = rights(settings(), TOPOLOGY, HERE)


def given(cluster: Cluster, objects: tuple[dict[str, Any], ...]) -> None:
    for item in objects:
        about = item["metadata"]
        cluster.store.create((*RESOURCE[item["kind"]], about.get("namespace", ""), about["name"]), item)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Pods and Deployments in the mesh's namespace, the front's, the controller's, and another team's."""
    found = Cluster(tmp_path)
    found.server.RequestHandlerClass.auth.who = {"functions": BOTH}.__getitem__  # type: ignore[attr-defined]
    for namespace in ("demo", "web", "appmesh-system", "others"):
        if ("", "namespaces", "", namespace) not in found.store.objects:
            found.store.create(("", "namespaces", "", namespace), {"metadata": {"name": namespace}})
    zone = {"labels": {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "ra"}}
    found.store.create(("", "nodes", "", "ra"), {"metadata": {"name": "ra", **zone}, "spec": {}})
    found.pod("p1")
    at = ("", "pods", "demo", "p1")
    gate = {"readinessGates": [{"conditionType": GATE}], "nodeName": "ra"}
    found.store.update(at, lambda old: {**old, "spec": {**old["spec"], **gate}})
    for name in ("front", "admin"):
        found.store.create(("", "services", "web", name), {"metadata": {"name": name}, "spec": {"selector": {"app": name}}})
    for namespace, name in (("demo", "blue"), ("web", "front"), ("appmesh-system", "appmesh-controller")):
        labels = {"app.kubernetes.io/name": "appmesh-controller"} if namespace == "appmesh-system" else {}
        template = {"spec": {"serviceAccountName": name}}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        found.store.create(("apps", "deployments", namespace, name), {"metadata": {"name": name, "labels": labels}, "spec": spec})
        running = {"status": {"replicas": 1, "readyReplicas": 1}}
        found.store.update(("apps", "deployments", namespace, name), lambda old, seen=running: {**old, **seen}, status=True)
    yield found
    found.stop()


def failing(cluster: Cluster) -> str:
    """What the adapter cannot do with its rights; "" where it can do all."""
    asked = KubernetesClusters("us-east-1", OneEks(cluster, "functions"))
    uid = cluster.store.get(("", "pods", "demo", "p1"))["metadata"]["uid"]
    gone = PodRef(namespace="demo", name="gone", uid="7e1b1ff0-9a58-4f7b-8a9f-0f3c5b1a2d3e")
    view = asked.observe(HERE, tuple(sorted(pods_in(TOPOLOGY, HERE))), (gone,), "", {})
    if isinstance(view, Unseen):
        return f"observe: {view.detail}"
    assert isinstance(view, Seen)
    if view.controller_unknown or view.shift_unknown:
        return f"observe: {view.controller_unknown}{view.shift_unknown}"
    assert view.controller == "appmesh-system/appmesh-controller"
    assert view.gone == (gone.uid,)
    assert view.zones == {"ra": ("r", "ra")}
    try:
        asked.service(FRONT, HERE)
        within = pods_in(TOPOLOGY, HERE) | set(fronts_in(settings(), HERE))
        work = asked.workloads(HERE, tuple(sorted(within)))
        asked.open_gate(HERE, PodRef(namespace="demo", name="p1", uid=uid))
    except CrossmeshError as error:
        return str(error)
    return "" if {one.namespace for one in work.deployments} == {"demo", "web"} else "deployments are missing"


def test_with_these_rights_alone_all_can_be_done(cluster: Cluster) -> None:
    given(cluster, OBJECTS)
    assert failing(cluster) == ""


def test_without_any_nothing_can_be_done(cluster: Cluster) -> None:
    assert "403" in failing(cluster)


RULES = [(number, rule) for number, item in enumerate(OBJECTS) for rule in range(len(item.get("rules", ())))]


@pytest.mark.parametrize(
    ("number", "rule"),
    RULES,
    ids=[f"{OBJECTS[n]['metadata'].get('namespace', 'cluster')}-{OBJECTS[n]['rules'][r]['resources'][0].replace('/', '-')}" for n, r in RULES],
)
def test_each_rule_is_needed(cluster: Cluster, number: int, rule: int) -> None:
    less = deepcopy(OBJECTS)
    del less[number]["rules"][rule]
    given(cluster, less)
    assert failing(cluster)


def status(cluster: Cluster, path: str, verb: str = "GET") -> int:
    request = urllib.request.Request(f"https://127.0.0.1:{cluster.port}{path}", headers={"Authorization": "Bearer functions"}, method=verb)
    try:
        with urllib.request.urlopen(request, timeout=5, context=ssl._create_unverified_context()) as answer:
            json.load(answer)
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods",
        "/api/v1/namespaces",
        "/api/v1/namespaces/others",
        "/api/v1/namespaces/others/pods",
        "/api/v1/namespaces/kube-system/pods",
        "/api/v1/namespaces/appmesh-system/pods",
        "/api/v1/namespaces/web/pods/front-1",
        "/api/v1/namespaces/web/services",
        "/api/v1/namespaces/web/services/admin",
        "/api/v1/namespaces/demo/services/front",
        "/api/v1/namespaces/demo/configmaps",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/namespaces/others/deployments",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ],
)
def test_what_the_mesh_does_not_need_is_refused(cluster: Cluster, path: str) -> None:
    given(cluster, OBJECTS)
    assert status(cluster, path) == 403
    assert status(cluster, "/api/v1/namespaces/demo/pods") == 200


@pytest.mark.parametrize("verb", ["DELETE", "POST"])
def test_no_pod_is_made_or_deleted(cluster: Cluster, verb: str) -> None:
    given(cluster, OBJECTS)
    assert status(cluster, "/api/v1/namespaces/demo/pods" + ("/p1" if verb == "DELETE" else ""), verb) == 403


def test_rights_follow_the_settings() -> None:
    plain = msgspec.structs.replace(HERE, zonal_shift="", controller="none", nodes=("demo/blue",))
    found = rights(settings(plain, gate=False), Topology(nodes=(node("blue"), msgspec.structs.replace(node("red"), namespace="shop"))), plain)
    assert {item["metadata"].get("namespace", "") for item in found} == {"", "demo", "web"}, "neither the controller's nor an uncounted node's"
    assert "endpointslices" not in str(found)
    assert "gatekeeper" not in str(found)
    (wide,) = (item for item in found if item["kind"] == "ClusterRole")
    assert [rule["resources"] for rule in wide["rules"]] == [["nodes"], ["namespaces"]]
