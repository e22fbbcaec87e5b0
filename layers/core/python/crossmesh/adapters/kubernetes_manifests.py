"""A cluster's App Mesh custom resources and Namespaces, complete or not at all."""

from collections.abc import Callable
from typing import Any

import msgspec

from crossmesh.adapters.kubernetes_pods import ListMeta
from crossmesh.core.live import LISTS, Listed, kept


class ObjectList(msgspec.Struct, rename="camel"):
    """A page of any objects."""

    kind: str
    metadata: ListMeta
    items: list[dict[str, Any]] | None = None


def listed(cluster: str, begun: float, pages: Callable[[str, str], list[Any]]) -> Listed:
    """All documents; `pages` gives the complete chain of pages of (path, expected kind)."""
    items = [kept(item, kind, version) for path, kind, version in LISTS for page in pages(path, f"{kind}List") for item in page.items or ()]
    items.sort(key=lambda item: (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]))
    return Listed(cluster=cluster, begun=begun, items=tuple(items))
