"""Manifests as clusters hold them: what one reading of one cluster's custom resources gave. Pure
values.
"""

from typing import Any

import msgspec

from crossmesh.core.compiler.merge import METADATA_NAME

# Lists to read: path below the API's root, kind of its items, apiVersion of its items.
LISTS = (
    ("/api/v1/namespaces", "Namespace", "v1"),
    *(
        (f"/apis/appmesh.k8s.aws/v1beta2/{plural}", kind, "appmesh.k8s.aws/v1beta2")
        for plural, kind in (
            ("meshes", "Mesh"),
            ("virtualnodes", "VirtualNode"),
            ("virtualservices", "VirtualService"),
            ("virtualrouters", "VirtualRouter"),
            ("virtualgateways", "VirtualGateway"),
            ("gatewayroutes", "GatewayRoute"),
            ("backendgroups", "BackendGroup"),
        )
    ),
)
# By the webhooks of AWS's controller, with uids that differ from cluster to cluster
_WRITTEN_BY_CLUSTERS = ("meshRef", "virtualGatewayRef")


class ListedDocuments(msgspec.Struct, frozen=True, kw_only=True, tag="listed"):
    """Every document of a cluster, complete; `items` as `kept` leaves them, sorted. `begun`: when
    the reading began, seconds since the epoch.
    """

    cluster: str
    begun: float
    items: tuple[dict[str, Any], ...] = ()


class ClusterDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's documents as stored: without times, so that equal documents have one digest."""

    cluster: str
    items: tuple[dict[str, Any], ...] = ()


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's documents in force: when they were seen, how many they are; `cause` and `detail`
    where the last reading failed.
    """

    cluster: str
    seen: float
    documents: int
    cause: str = ""
    detail: str = ""


class ActiveManifests(msgspec.Struct, frozen=True, kw_only=True):
    """State document "manifests": the digest of the documents in force, where they come from, and
    which changes were set aside and why.

    `kept`: when they were last written to the run store, whose objects expire. `vanished`: by
    cluster, documents in force that it no longer holds, and when each was first missed.
    """

    digest: str
    lines: tuple[SourceStatus, ...] = ()
    refused: tuple[str, ...] = ()
    kept: float = 0.0
    vanished: dict[str, dict[str, float]] = {}


def kept(item: dict[str, Any], kind: str, version: str) -> dict[str, Any]:
    """An object as a person would have written it: without status and all that the cluster itself
    adds.
    """
    metadata = _object(item.get("metadata"))
    written = item.get("spec") or {}
    spec = (
        {key: value for key, value in written.items() if key not in _WRITTEN_BY_CLUSTERS}
        if isinstance(written, dict)
        else written
    )
    labels = {key: value for key, value in _object(metadata.get("labels")).items() if key != METADATA_NAME}
    named = {
        key: metadata[key] for key in ("name", "namespace") if metadata.get(key) and isinstance(metadata[key], str)
    } | ({"labels": labels} if labels else {})
    return {"apiVersion": version, "kind": kind, "metadata": named, **({} if kind == "Namespace" else {"spec": spec})}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def describe_source(line: SourceStatus, now: float) -> str:
    """A line for people."""
    age = f"{now - line.seen:.0f} s ago"
    if line.cause:
        return (
            f"{line.cluster}: {line.documents} documents seen {age} stay in force: it is unseen ({line.cause}:"
            f" {line.detail})"
        )
    return f"{line.cluster}: {line.documents} documents, seen {age}"
