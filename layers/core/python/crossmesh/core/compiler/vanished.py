"""Losing declarations is not a decision: a live document that vanishes stays in force in its last
form until it was away for long, and removals are allowed. Pure.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from crossmesh.core.compiler.cluster_manifests import ClusterDocuments

# Seconds between the first and the last complete reading that lack a document
AWAY = 600.0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's documents with those that vanished; `since`: when each was first missed."""

    documents: ClusterDocuments
    since: dict[str, float] = {}


def name_of(item: Mapping[str, Any]) -> str:
    """Kind and name of a document, for people."""
    metadata = item.get("metadata") or {}
    space = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{item.get('kind', '')} {space}{metadata.get('name', '')}"


def standing(
    listed: ClusterDocuments,
    before: ClusterDocuments | None,
    since: Mapping[str, float],
    *,
    begun: float,
    elsewhere: Collection[str] = (),
    remove: bool = True,
) -> Standing:
    """`begun`: when the complete reading `listed` began. `elsewhere`: documents that another
    cluster holds. `remove`: what was away for long may go.
    """
    there = set(map(name_of, listed.items))
    kept: list[dict[str, Any]] = []
    missed: dict[str, float] = {}
    for item in before.items if before is not None else ():
        name = name_of(item)
        first = since.get(name, begun)
        if name in there or name in elsewhere or (remove and begun - first >= AWAY):
            continue
        kept.append(item)
        missed[name] = first
    return Standing(
        documents=msgspec.structs.replace(listed, items=_sorted((*listed.items, *kept))) if kept else listed,
        since=missed,
    )


def _sorted(items: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(sorted(items, key=name_of))
