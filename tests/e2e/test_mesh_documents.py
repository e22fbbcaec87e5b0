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
from crossmesh.core.exact import two_sided

from tests.e2e.conftest import Deployed
from tests.e2e.test_operating import crossmesh
from world.aws.clients import client
from world.aws.seed import open_port, seed
from world.clusters.client import Cluster, apply, wait_for
from world.deploy import ROOT, deploy

pytestmark = pytest.mark.e2e

HOWTO, ARTICLE = "howto-k8s-cross-cluster", "appmesh-demo"
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


@pytest.fixture
def both(here: Deployed) -> Iterator[dict[str, Placed]]:
    """One deployment with the documents of both meshes."""
    folder = edited(here, "config-both")
    shutil.copy(WALKTHROUGH / "howto" / "mesh.yaml", folder / "mesh" / "howto.yaml")
    settings = folder / "crossmesh.yaml"  # with two meshes of the same names a bare one is ambiguous
    settings.write_text(re.sub(r"(of|blue|red): (colorapp)", rf"\1: {ARTICLE}/\2", settings.read_text()))
    registry = client(here.world.document, "servicediscovery")
    registry.create_private_dns_namespace(Name=f"{HOWTO}.pvt.aws.local", Vpc=seed(here.world.document)["vpc_id"])
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
    names = {node["virtualNodeName"] for node in here.app.mesh.list_virtual_nodes(meshName=HOWTO)["virtualNodes"]}
    assert names == {f"{node}_{HOWTO}" for node in ("front", "colorapp-blue", "colorapp-red")}


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
        spec = here.app.mesh.describe_route(**router)["route"]["spec"]
        return [target["weight"] for target in spec["httpRoute"]["action"]["weightedTargets"]]

    try:
        deploy(here.world.document, config=folder, Mode="apply", Schedule="DISABLED")
        settled(here)
        before = here.app.instances()
        assert before, "the documents that the cluster holds select the same pods"
        there = here.colours.get("VirtualRouter", ARTICLE, "colorapp")["spec"]["routes"]
        there[0]["httpRoute"]["action"]["weightedTargets"][0]["weight"] = 3
        here.colours.patch("VirtualRouter", ARTICLE, "colorapp", {"spec": {"routes": there}})
        here.app.look(90)
        assert sorted(weights()) == [1, 3], "kubectl apply is the change"
        here.colours.tell("dark", {"on": True})
        here.app.look(90)
        here.app.mesh.delete_route(**router)
        here.app.look(90)
        assert sorted(weights()) == [1, 3], "the last seen documents stay in force, and drift is repaired by them"
        code, told = crossmesh(here, "status")
        assert code == 3
        assert told["manifests"]["lines"][0]["cause"] in ("unreachable", "cut")
        assert here.app.instances() == before
    finally:
        here.colours.tell("dark", {"on": False})
        deploy(here.world.document, Mode="apply", Schedule="DISABLED")
        here.heal()
