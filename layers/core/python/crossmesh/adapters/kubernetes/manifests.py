"""A cluster's App Mesh custom resources and Namespaces, complete or not at all."""

from collections.abc import Callable
from typing import Any

from crossmesh.core.compiler.cluster_manifests import LISTS, ListedDocuments, kept


def listed(cluster: str, begun: float, whole: Callable[[str, str], list[dict[str, Any]]]) -> ListedDocuments:
    """All documents; `whole` gives the complete list of (path, expected kind)."""
    items = [kept(item, kind, version) for path, kind, version in LISTS for item in whole(path, f"{kind}List")]
    items.sort(key=lambda item: (item["kind"], item["metadata"].get("namespace", ""), item["metadata"].get("name", "")))
    return ListedDocuments(cluster=cluster, begun=begun, items=tuple(items))
