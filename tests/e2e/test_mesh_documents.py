"""The walkthrough's documents, as in the article and as in AWS's repository, with clusters as written and swapped; and manifests read live from a cluster.

One deployment holds both meshes at once: the article's and the repository's, each placed both ways, so that everything crosses in both directions.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from crossmesh.core.canary.binomial import two_sided

from tests.e2e.conftest import Deployed
from tests.support.command_line import crossmesh
from world.aws.clients import client
from world.aws.seed import open_port, seed
from world.clusters.client import Cluster, apply, wait_for
from world.deploy import ROOT, deploy

pytestmark = pytest.mark.e2e

HOWTO, ARTICLE = "howto-k8s-cross-cluster", "appmesh-demo"
SPACE, DOTTED = f"{HOWTO}.pvt.aws.local", "api-1.5"
WALKTHROUGH = ROOT / "world" / "walkthrough"


def objects(part: str, mesh: str) -> list[dict[str, Any]]:
    """The Kubernetes objects of one side of the walkthrough ("eksc1": front, "eksc2": colours), for either mesh."""
    text = (WALKTHROUGH / f"{part}.yaml").read_text()
    if mesh == HOWTO:
        text = text.replace("colorapp.appmesh-demo.pvt.aws.local", f"colorapp.{HOWTO}.svc.cluster.local").replace(ARTICLE, HOWTO)
    return [item for item in yaml.safe_load_all(text) if item and item["metadata"]["name"] != "curler"]


class Placed:
    """One mesh's programs in the clusters."""

    def __init__(self, here: Deployed, mesh: str) -> None:
        self.here, self.mesh = here, mesh
        self.clusters = {"eksc1": here.front, "eksc2": here.colours}

    def put(self, front: str, colours: str) -> None:
        """front in one cluster and the colours in the other, and in no other."""
        for part, where in (("eksc1", front), ("eksc2", colours)):
            for item in objects(part, self.mesh):
                self.clusters[where].apply(item)
                other = self.clusters["eksc2" if where == "eksc1" else "eksc1"]
                if item["kind"] in ("Deployment", "Service") and item in other_items(other, item):
                    other.delete(item["kind"], self.mesh, item["metadata"]["name"])
        self.clusters[front].wait_ready(self.mesh, "app=front", 1)
        self.clusters[colours].wait_ready(self.mesh, "app=colorapp", 2)
        self.front = self.clusters[front]

    def gone(self) -> None:
        """Nothing of it runs anywhere."""
        for cluster in self.clusters.values():
            for kind in ("Deployment", "Service"):
                for item in cluster.items(kind, self.mesh):
                    cluster.delete(kind, self.mesh, item["metadata"]["name"])
            wait_for(lambda cluster=cluster: not cluster.items("Pod", self.mesh), 30, f"no pod of {self.mesh} in {cluster.name}")

    def mix(self, requests: int) -> Counter[str]:
        """Bodies of requests through the front load balancer of this mesh."""
        host = self.front.get("Service", self.mesh, "front")["status"]["loadBalancer"]["ingress"][0]["hostname"]
        url = f"{self.here.world.url('front')}/color"

        def one(_: int) -> str:
            with urlopen(Request(url, headers={"Host": host}), timeout=20) as answer:
                return str(answer.read().decode())

        with ThreadPoolExecutor(4) as pool:
            return Counter(pool.map(one, range(requests)))


def other_items(cluster: Cluster, item: dict[str, Any]) -> list[dict[str, Any]]:
    """`[item]` where the cluster has an object of that name, else nothing."""
    names = {found["metadata"]["name"] for found in cluster.items(item["kind"], item["metadata"]["namespace"])}
    return [item] if item["metadata"]["name"] in names else []


def edited(here: Deployed, name: str) -> Path:
    """A copy of the configuration folder to change."""
    folder = here.world.dir / name
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    return folder


def spaces(here: Deployed) -> dict[str, str]:
    """HttpName -> id of the namespaces that share the repository's name."""
    found = [space for space in here.app.registry.list_namespaces()["Namespaces"] if space["Name"] == SPACE]
    return {space["Properties"]["HttpProperties"]["HttpName"]: space["Id"] for space in found}


@pytest.fixture
def both(here: Deployed) -> Iterator[dict[str, Placed]]:
    """One deployment with the documents of both meshes. One has a dot in a service's name, and a namespace whose name is used twice."""
    folder = edited(here, "config-both")
    documents = (WALKTHROUGH / "howto" / "mesh.yaml").read_text()
    assert documents.count("serviceName: colorapp") == 2
    (folder / "mesh" / "howto.yaml").write_text(documents.replace("serviceName: colorapp", f"serviceName: {DOTTED}"))
    settings = folder / "crossmesh.yaml"  # with two meshes of the same names a bare one is ambiguous
    registry = client(here.world.document, "servicediscovery")
    registry.create_private_dns_namespace(Name=SPACE, Vpc=seed(here.world.document)["vpc_id"])
    wait_for(lambda: spaces(here), 20, "a namespace")
    registry.create_private_dns_namespace(Name=SPACE, Vpc="vpc-of-somebody-else")
    ids = wait_for(lambda: found if len(found := spaces(here)) == 2 else None, 20, "two namespaces of one name")
    text = re.sub(r"(of|blue|red): (colorapp)", rf"\1: {ARTICLE}/\2", settings.read_text())
    settings.write_text(text.replace("mesh:\n", f"mesh:\n  namespaces: {{{SPACE}: {ids[SPACE]}}}\n", 1))
    open_port(here.world.document, "eksc1", "eksc2", 8080)
    placed = {mesh: Placed(here, mesh) for mesh in (ARTICLE, HOWTO)}
    try:
        deploy(here.world.document, config=folder, Mode="apply", Schedule="DISABLED")
        yield placed
    finally:
        placed[HOWTO].gone()
        placed[ARTICLE].put("eksc1", "eksc2")
        deploy(here.world.document, Mode="apply", Schedule="DISABLED")
        wait_for(lambda: here.app.look(90).kind == "quiet", 90, "a quiet look")
        # A name that means two namespaces hides what was in them: every look of the tests that follow would read all anew.
        for space in spaces(here).values():
            of_it = [{"Name": "NAMESPACE_ID", "Values": [space]}]
            wait_for(lambda of_it=of_it: not (here.app.look(90) and registry.list_services(Filters=of_it)["Services"]), 120, "no service")
            registry.delete_namespace(Id=space)
        wait_for(lambda: not spaces(here), 20, "the namespaces to be gone")
        wait_for(lambda: here.app.look(90).kind == "quiet", 90, "a quiet look")
        assert {m["meshName"] for m in here.app.mesh.list_meshes()["meshes"]} == {ARTICLE}, (
            "the mesh that no document declares any more is gone"
        )


def settled(here: Deployed) -> None:
    """Everything made, then a pass that writes nothing."""
    wait_for(lambda: here.app.look(90).kind == "quiet", 120, "a quiet look")
    here.app.calls(reset=True)
    assert here.app.look(90).kind == "quiet"
    written = {
        entry["operation"] for entry in here.app.calls()["calls"] if not entry["operation"].startswith(("Describe", "List", "Discover", "Get"))
    }
    assert not written & {"CreateRoute", "UpdateRoute", "RegisterInstance", "DeregisterInstance", "UpdateVirtualNode", "CreateMesh"}
    assert not [operation for operation in written if operation.startswith(("Create", "Update", "Delete", "Register", "Deregister"))]


def test_both_walkthroughs_carry_traffic_in_both_placements_and_are_then_quiet(here: Deployed, both: dict[str, Placed]) -> None:
    for front, colours in (("eksc1", "eksc2"), ("eksc2", "eksc1")):
        both[ARTICLE].put(front, colours)
        both[HOWTO].put(colours, front)
        settled(here)
        for mesh, placed in both.items():
            wait_for(lambda placed=placed: placed.mix(8).keys() == {"blue", "red"}, 30, f"both colours of {mesh}")
            counts = placed.mix(200)
            assert set(counts) == {"blue", "red"}, (mesh, front, counts)
            assert two_sided(counts["blue"], 200, 0.5) >= 0.001, (mesh, front, counts)
    services = {
        space: here.app.registry.list_services(Filters=[{"Name": "NAMESPACE_ID", "Values": [space]}])["Services"]
        for space in spaces(here).values()
    }
    assert {service["Name"] for service in services[spaces(here)[SPACE]]} == {DOTTED, "front"}
    assert sum(map(len, services.values())) == 2, "nothing in the other namespace of the name"
    names = {node["virtualNodeName"] for node in here.app.mesh.list_virtual_nodes(meshName=HOWTO)["virtualNodes"]}
    assert names == {f"{node}_{HOWTO}" for node in ("front", "colorapp-blue", "colorapp-red")}


def hostile_tenant(file: Path) -> Path:
    """A namespace of the mesh that takes names and a Cloud Map service of another, refers to nothing, and selects everybody's pods."""
    labels = {"mesh": ARTICLE}
    listeners = [{"portMapping": {"port": 8080, "protocol": "http"}}]
    taken = {"awsCloudMap": {"namespaceName": f"{ARTICLE}.pvt.aws.local", "serviceName": "colorapp"}}
    specs: dict[str, tuple[str, dict[str, Any]]] = {
        "taken": ("VirtualNode", {"podSelector": {"matchLabels": {"app": "x"}}, "listeners": listeners, "serviceDiscovery": taken}),
        "named": ("VirtualNode", {"awsName": f"front_{ARTICLE}", "podSelector": {"matchLabels": {"app": "x"}}, "listeners": listeners}),
        "nonsense": ("VirtualNode", {"podSelector": [1], "listeners": "none"}),
        "nowhere": ("VirtualService", {"provider": {"virtualRouter": {"virtualRouterRef": {"name": "none"}}}}),
    }
    items: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": labels}}]
    for name, (kind, spec) in specs.items():
        version = "appmesh.k8s.aws/v1beta2"
        items.append({"apiVersion": version, "kind": kind, "metadata": {"namespace": "team", "name": name}, "spec": spec})
    file.write_text(yaml.safe_dump_all(items))
    return file


def test_manifests_read_live_from_a_cluster_are_followed_and_stay_in_force_when_it_goes_dark(here: Deployed) -> None:
    folder = edited(here, "config-live")
    file = folder / "crossmesh.yaml"
    text = file.read_text().replace("{files: [mesh/*.yaml]}", "{clusters: [eksc2]}")
    assert text != file.read_text()
    file.write_text(text)
    shutil.rmtree(folder / "mesh")
    for name in ("world/clusters/crds.yaml", "clusters/manifests-reader.yaml"):
        apply(here.world.document, "eksc2", ROOT / name)
    for manifest in sorted((ROOT / "config" / "mesh").glob("*.yaml")):
        apply(here.world.document, "eksc2", manifest)
    router = {"meshName": ARTICLE, "virtualRouterName": f"colorapp_{ARTICLE}", "routeName": "color-route"}

    def weights() -> list[int]:
        try:
            spec = here.app.mesh.describe_route(**router)["route"]["spec"]
        except here.app.mesh.exceptions.NotFoundException:
            return []
        return [target["weight"] for target in spec["httpRoute"]["action"]["weightedTargets"]]

    try:
        deploy(here.world.document, config=folder, Mode="apply", Schedule="DISABLED")
        settled(here)
        before = here.app.instances()
        assert before, "the documents that the cluster holds select the same pods"
        there = here.colours.get("VirtualRouter", ARTICLE, "colorapp")["spec"]["routes"]
        there[0]["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 3
        here.colours.patch("VirtualRouter", ARTICLE, "colorapp", {"spec": {"routes": there}})
        wait_for(lambda: here.app.look(90) and sorted(weights()) == [1, 3], 90, "kubectl apply to be the change")
        apply(here.world.document, "eksc2", hostile_tenant(here.world.dir / "tenant.yaml"))
        here.front.scale(ARTICLE, "front", 2)
        names = {pod["metadata"]["name"] for pod in here.front.wait_ready(ARTICLE, "app=front", 2)}
        here.app.hint()
        assert here.app.wait_pods(names, "front") < 10, "the documents of one tenant hold up nobody"
        assert here.app.instances() == before
        assert "team/" in str(crossmesh(here, "status")[1]["manifests"])
        here.colours.tell("dark", {"on": True})
        here.app.look(90)
        here.app.mesh.delete_route(**router)
        wait_for(lambda: here.app.look(90) and sorted(weights()) == [1, 3], 90, "drift to be repaired by the documents that were seen last")
        code, told = crossmesh(here, "status")
        assert code == 3
        assert told["manifests"]["lines"][0]["cause"] in ("unreachable", "cut")
        assert here.app.instances() == before
    finally:
        here.colours.tell("dark", {"on": False})
        here.front.scale(ARTICLE, "front", 1)
        deploy(here.world.document, Mode="apply", Schedule="DISABLED")
        here.heal()
