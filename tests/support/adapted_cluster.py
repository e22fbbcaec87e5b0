"""The Kubernetes adapter against an embedded cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from crossmesh.adapters.eks import Access, Eks
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.core.settings import ClusterSettings

from tests.support.one_cluster import Cluster
from world.clusters.auth import Who
from world.clusters.client import RESOURCE
from world.deploy import ROOT

SETTINGS = ClusterSettings(name="c", eks="c", region="us-east-1")
USERS: dict[str, Who] = {
    "reader": ("reader", frozenset({"crossmesh:readers"})),
    "gatekeeper": ("gatekeeper", frozenset({"crossmesh:gatekeepers"})),
}


GATE = "conditions.appmesh.k8s.aws/aws-cloudmap-healthy"


class OneEks(Eks):
    """EKS for one cluster on loopback: no DescribeCluster, and a token that is a user's name."""

    def __init__(self, cluster: Cluster, user: str) -> None:
        self.cluster, self.user = cluster, user

    def access(self, cluster: ClusterSettings, now: float) -> Access:
        return Access(endpoint=f"https://127.0.0.1:{self.cluster.port}", ca=(self.cluster.folder / "ca.crt").read_bytes())

    def token(self, cluster: ClusterSettings, now: float) -> str:
        return self.user

    def forget(self, cluster: ClusterSettings) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    found.server.RequestHandlerClass.auth.who = USERS.__getitem__  # type: ignore[attr-defined]
    for file in ("reader.yaml", "readiness-gate.yaml"):
        for item in yaml.safe_load_all((ROOT / "clusters" / file).read_text()):
            found.store.create((*RESOURCE[item["kind"]], "", item["metadata"]["name"]), item)
    yield found
    found.stop()


def adapter(cluster: Cluster, user: str = "reader") -> KubernetesClusters:
    return KubernetesClusters("us-east-1", OneEks(cluster, user))
