"""The mesh's kinds as custom resources: any content passes, for what is allowed in them is crossmesh's business (`crossmesh.manifests`), not the tier's."""

import urllib.error
from typing import Any

from world.clusters.client import Cluster, wait_for
from world.clusters.objects import CLUSTER_WIDE, KINDS, VERSIONS

GROUP = "appmesh.k8s.aws"
_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def define(cluster: Cluster) -> None:
    """Make the kinds known, and wait until the API serves them. Kinds that are there stay as they are."""
    for plural, kind in KINDS[GROUP].items():
        try:
            cluster.call("POST", _PATH, _definition(plural, kind))
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
    for kind in KINDS[GROUP].values():
        wait_for(lambda kind=kind: _served(cluster, kind), 20, f"{kind} in {cluster.name}")


def _definition(plural: str, kind: str) -> dict[str, Any]:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": VERSIONS[GROUP],
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster" if plural in CLUSTER_WIDE else "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def _served(cluster: Cluster, kind: str) -> bool:
    try:
        cluster.items(kind)
    except urllib.error.HTTPError as error:
        if error.code in (404, 429, 503):  # not there yet, or its storage is being made
            return False
        raise
    return True
