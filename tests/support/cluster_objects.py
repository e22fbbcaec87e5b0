"""Manifests as the objects of a cluster, and a deployment that reads them from there."""

from typing import Any

import yaml
from crossmesh.core.settings import ClusterSettings, ManifestSource, MeshSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.usecases.context import Context


def objects(*texts: str) -> list[dict[str, Any]]:
    """Documents as a cluster's API answers them: with uids, versions, and what AWS's webhooks add."""
    found = [item for item in yaml.safe_load_all("".join(texts)) if item]
    for number, item in enumerate(found):
        item["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(number), "managedFields": [{}]}
        if item["kind"] not in ("Namespace", "Mesh"):
            item["spec"]["meshRef"] = {"name": "shop", "uid": f"uid-{number}"}
        item["status"] = {"conditions": []}
    return found


def deployment(*clusters: str) -> Context:
    """The configuration layer of a deployment that reads its manifests from `clusters`: it knows no topology of its own."""
    settings = Settings(
        owner="me",
        region="us-east-1",
        mesh=MeshSettings(manifests=ManifestSource(clusters=clusters or ("one", "two"))),
        clusters=tuple(ClusterSettings(name=name, eks=name, region="us-east-1") for name in ("one", "two")),
    )
    return Context(settings=settings, topology=Topology(), config="layer", deployment="1/r/s")
