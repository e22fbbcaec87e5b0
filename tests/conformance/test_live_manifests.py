"""Reading manifests out of a cluster, against the world's Kubernetes API with the rights of clusters/manifests-reader.yaml and no others."""

import pytest
import yaml
from crossmesh.adapters.memory import MemoryClock, MemoryClusters
from crossmesh.core.compiler.build import build
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments, ListedDocuments
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.observed import Unseen
from crossmesh.manifests.live import load_live

from tests.support.adapted_cluster import SETTINGS, adapter
from tests.support.cluster_objects import objects
from tests.support.mesh_runs import ONE, declared_by
from tests.support.one_cluster import Cluster
from world.clusters.client import RESOURCE
from world.deploy import ROOT


def put(here: Cluster, *items: dict[str, object]) -> None:
    for item in items:
        about: dict[str, str] = item["metadata"]  # type: ignore[assignment]
        here.store.create((*RESOURCE[str(item["kind"])], about.get("namespace", ""), about["name"]), item)


@pytest.fixture
def installed(cluster: Cluster) -> Cluster:
    """The CRDs, the right to read, and a mesh's documents."""
    for name in ("world/clusters/crds.yaml", "clusters/manifests-reader.yaml"):
        put(cluster, *yaml.safe_load_all((ROOT / name).read_text()))
    put(cluster, *objects(*ONE))
    return cluster


def read(here: Cluster, identity: str = "") -> ListedDocuments | Unseen:
    return adapter(here).manifests(SETTINGS, identity)


def test_what_a_cluster_holds_means_what_its_files_meant(installed: Cluster) -> None:
    found = read(installed)
    assert isinstance(found, ListedDocuments), found
    loaded = load_live([ClusterDocuments(cluster="c", items=found.items)])
    built = build(loaded.documents)
    assert [*loaded.findings, *built.findings] == []
    assert requests(built.topology) == requests(declared_by(*ONE).topology)


def test_two_readings_of_an_unchanged_cluster_are_equal_whatever_its_controllers_write(installed: Cluster) -> None:
    first = read(installed)
    key = ("appmesh.k8s.aws", "virtualnodes", "shop", "a")
    installed.store.update(key, lambda old: {**old, "status": {"conditions": [{"type": "VirtualNodeActive"}]}})
    again = read(installed)
    assert isinstance(first, ListedDocuments)
    assert isinstance(again, ListedDocuments)
    assert first.items == again.items


def test_the_memory_port_says_the_same(installed: Cluster) -> None:
    memory = MemoryClusters(MemoryClock())
    memory.declared["c"] = objects(*ONE)
    found, real = memory.manifests(SETTINGS, ""), read(installed)
    assert isinstance(found, ListedDocuments)
    assert isinstance(real, ListedDocuments)
    ours = [item for item in real.items if item["metadata"]["name"] in {"shop", "a", "b", "r", "s"}]
    assert sorted(map(repr, found.items)) == sorted(map(repr, ours))


def test_without_the_crds_without_the_right_or_under_another_identity_a_cluster_is_unseen_and_not_empty(cluster: Cluster) -> None:
    def cause(identity: str = "") -> str:
        found = read(cluster, identity)
        assert isinstance(found, Unseen), found
        return found.cause

    assert cause() == "refused", "Namespaces may not be listed by the right to read pods alone"
    put(cluster, *yaml.safe_load_all((ROOT / "clusters" / "manifests-reader.yaml").read_text()))
    assert cause() == "not-found"
    put(cluster, *yaml.safe_load_all((ROOT / "world" / "clusters" / "crds.yaml").read_text()))
    assert isinstance(read(cluster), ListedDocuments)
    assert cause("another") == "identity"
