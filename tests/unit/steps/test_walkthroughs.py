"""The walkthrough's documents, as in the article and as in AWS's repository, in both placements: made in one pass, and then nothing is written.

That they carry traffic is tests/e2e/test_mesh_documents.py's.
"""

from pathlib import Path

import msgspec
import pytest
from crossmesh.core.compiler.build import build
from crossmesh.core.observed import Pod
from crossmesh.core.settings import ClusterSettings
from crossmesh.manifests import load
from crossmesh.usecases.context import Context

from tests.support.mesh_runs import app_mesh, declared_by, exact, new_world, reconcile
from tests.support.passes import MemoryWorld

ROOT = Path(__file__).parents[3]
DOCUMENTS = {
    "appmesh-demo": sorted((ROOT / "config" / "mesh").glob("*.yaml")),
    "howto-k8s-cross-cluster": [ROOT / "world" / "walkthrough" / "howto" / "mesh.yaml"],
}
SERVICE = {
    "appmesh-demo": "colorapp.appmesh-demo.pvt.aws.local",
    "howto-k8s-cross-cluster": "colorapp.howto-k8s-cross-cluster.svc.cluster.local",
}


def deployment(mesh: str) -> Context:
    built = build(load([(str(file), file.read_bytes()) for file in DOCUMENTS[mesh]]).documents)
    assert built.findings == ()
    base = declared_by()
    clusters = tuple(ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("eksc1", "eksc2"))
    return msgspec.structs.replace(base, topology=built.topology, settings=msgspec.structs.replace(base.settings, clusters=clusters))


def place(world: MemoryWorld, mesh: str, front: str, colours: str) -> None:
    for number, (cluster, labels) in enumerate(
        (
            (front, {"app": "front", "version": "v1"}),
            (colours, {"app": "colorapp", "version": "blue"}),
            (colours, {"app": "colorapp", "version": "red"}),
        )
    ):
        name = "-".join(labels.values())
        pod = Pod(
            namespace=mesh,
            name=name,
            uid=f"{cluster}-{name}",
            ip=f"172.16.0.{number}",
            labels={**labels, "pod-template-hash": "7d4b"},
            phase="Running",
            containers_ready=True,
        )
        world.clusters.put(cluster, pod)


@pytest.mark.parametrize(("front", "colours"), [("eksc1", "eksc2"), ("eksc2", "eksc1")])
@pytest.mark.parametrize("mesh", list(DOCUMENTS))
def test_one_pass_makes_all_of_it_and_a_second_writes_nothing(mesh: str, front: str, colours: str) -> None:
    world, where = new_world(), deployment(mesh)
    world.registry.namespaces[f"{mesh}.pvt.aws.local"] = ("ns-9", "DNS_PRIVATE")
    place(world, mesh, front, colours)
    world.run(where)
    assert reconcile(world, where).failed == 0
    assert exact(world, where)
    blue = next(a for instances in world.registry.instances.values() for a in instances.values() if a.get("color") == "blue")
    assert blue == {
        "app": "colorapp",
        "version": "blue",
        "pod-template-hash": "7d4b",
        "color": "blue",
        "AWS_INSTANCE_IPV4": "172.16.0.1",
        "AWS_INSTANCE_PORT": "8080",
        "AWS_INIT_HEALTH_STATUS": "HEALTHY",
        "k8s.io/pod": "colorapp-blue",
        "k8s.io/namespace": mesh,
        "appmesh.k8s.aws/mesh": mesh,
        "appmesh.k8s.aws/virtualNode": f"colorapp-blue_{mesh}",
        "crossmesh/owner": "me",
        "crossmesh/cluster": colours,
        "crossmesh/pod-uid": f"{colours}-colorapp-blue",
    }
    assert {target.name for target in app_mesh(world).specs() if target.kind == "virtualService"} == {SERVICE[mesh]}
    before = app_mesh(world).writes(), len(world.registry.writes)
    assert world.look(where).decision == "quiet"
    world.executions.alive.clear()  # the mesh's own pass is over
    assert world.run(where).actions == ()
    assert reconcile(world, where).actions == 0
    assert (app_mesh(world).writes(), len(world.registry.writes)) == before
